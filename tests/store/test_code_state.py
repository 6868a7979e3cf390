"""Which code made a run."""

import subprocess

from immunocast.store import code_state as state


def _repository(tmp_path):
    package = tmp_path / "src" / "immunocast"
    package.mkdir(parents=True)
    (package / "a.py").write_text("A = 1\n")
    (tmp_path / "README.md").write_text("one\n")
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    return package


def _state(monkeypatch, package):
    monkeypatch.setattr(state, "_PACKAGE", package)
    state.code_state.cache_clear()
    try:
        return state.code_state()
    finally:
        state.code_state.cache_clear()


def test_a_clean_tree_names_its_commit(monkeypatch, tmp_path):
    package = _repository(tmp_path)
    (tmp_path / "README.md").write_text("two\n")  # no result depends on it
    found = _state(monkeypatch, package)
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert found["git_commit"] == head.stdout.strip()
    assert found["dirty"] is False
    assert len(found["lock_digest"]) == 64


def test_changed_and_new_code_make_it_dirty(monkeypatch, tmp_path):
    package = _repository(tmp_path)
    before = _state(monkeypatch, package)
    (package / "a.py").write_text("A = 2\n")
    (package / "b.py").write_text("")
    found = _state(monkeypatch, package)
    assert found["dirty"] is True
    assert found["dirty_files"] == ["src/immunocast/a.py", "src/immunocast/b.py"]
    assert found["source_digest"] != before["source_digest"]


def test_an_installed_package_has_no_commit(monkeypatch, tmp_path):
    package = tmp_path / "lib" / "python3.12" / "site-packages" / "immunocast"
    package.mkdir(parents=True)
    found = _state(monkeypatch, package)
    assert (found["git_commit"], found["dirty"], found["lock_digest"]) == (None, None, None)


def test_the_environment_names_what_moves_numbers():
    packages = state.environment()["packages"]
    assert {"numpy", "scikit-learn", "immunocast"} <= set(packages)
