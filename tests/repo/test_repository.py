"""What must hold for the repository as a whole: its files, its make targets, its lock."""

import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def committed() -> list[Path]:
    """Return the files that git tracks."""
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("not a git checkout")
    return [REPO / name for name in answer.stdout.split("\0") if name and (REPO / name).is_file()]


def hits(needles: list[str]) -> list[str]:
    """Return `file:line: text` of every line of a tracked text file that holds one of `needles`."""
    found = []
    for path in committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if any(needle in text for needle in needles):
            lines = enumerate(text.splitlines(), start=1)
            found += [
                f"{path.relative_to(REPO)}:{i}: {line[:120]}" for i, line in lines if any(n in line for n in needles)
            ]
    return found


def make_targets() -> set[str]:
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, flags=re.MULTILINE))


def make(*arguments: str) -> str:
    """Call make as a person would, without what an outer make (these tests run under one) has set."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = ["make", "--silent", *arguments]
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True).stdout


def called_targets(text: str) -> set[str]:
    """Return what follows `make` where it is a command: at a line's start, in backticks, after && or `if`."""
    commands = re.findall(r"(?:^|`|&&|;|\|\||\$|\bif)[ \t]*make[ \t]+([a-z][a-z-]*)", text, flags=re.MULTILINE)
    return set(commands)


def test_no_registry_address_is_committed() -> None:
    # put together here, or this file would be the first hit
    domains = {
        "org": ["pypi", "files.pythonhosted", "test.pypi", "registry.npmjs", "deb.debian", "conda.anaconda"],
        "com": ["registry.yarnpkg", "archive.ubuntu"],
        "io": ["index.crates", "static.crates"],
    }
    needles = [f"{name}.{end}" for end, names in domains.items() for name in names]
    assert hits(needles) == []


def test_no_path_of_one_machine_is_committed() -> None:
    places = [("work", "main"), ("work", "shared"), ("work", ".library"), ("root", ".pyenv"), ("root", ".cache")]
    assert hits(["/".join(("", *place)) for place in places]) == []


def test_one_lock_and_it_holds_hashes_only() -> None:
    names = {path.name for path in committed()}
    assert not names & {"uv.lock", "package-lock.json", "poetry.lock", "Pipfile.lock", "yarn.lock"}
    lock = (REPO / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    packages = re.findall(r"^[a-z0-9].*", lock, flags=re.MULTILINE)
    assert packages
    unhashed = [line for line in packages if not re.match(r"[a-z0-9._-]+(\[.*\])?==[^ ]+.* \\$", line)]
    assert unhashed == []


def test_lock_is_made_from_this_pyproject() -> None:
    answer = subprocess.run(
        [sys.executable, "scripts/lock.py", "--check"], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr) == (0, "")


def lock_check(folder: Path, pyproject: str, lock: str | None) -> str:
    """Run the lock check on a copy with other contents and return what it says."""
    (folder / "scripts").mkdir()
    (folder / "scripts/lock.py").write_bytes((REPO / "scripts/lock.py").read_bytes())
    (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    if lock is not None:
        (folder / "requirements.lock").write_text(lock, encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, str(folder / "scripts/lock.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == (1 if answer.stderr else 0)
    return answer.stderr


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ('"numpy>=', '"numpy>9,>=', True),
        ('"pytest>=', '"pytest>99,>=', True),
        ('requires-python = "', 'requires-python = ">=3.13,', True),
        ("description = ", "description = 'other' #", False),
        ('gpu = ["xgboost', 'gpu = ["xgboost>0,', False),
    ],
)
def test_lock_is_stale_when_a_dependency_moves_and_only_then(tmp_path: Path, old: str, new: str, stale: bool) -> None:
    pyproject = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    assert old in pyproject
    digest = runpy.run_path(str(REPO / "scripts/lock.py"))["inputs_digest"](REPO / "pyproject.toml")
    lock = f"# inputs: sha256:{digest}\na==1\n"
    said = lock_check(tmp_path, pyproject.replace(old, new, 1), lock)
    assert bool(said) == stale
    assert not stale or "call `make lock`" in said


@pytest.mark.parametrize("lock", [None, "", "a==1\n"])
def test_missing_or_unmarked_lock_is_told(tmp_path: Path, lock: str | None) -> None:
    said = lock_check(tmp_path, (REPO / "pyproject.toml").read_text(encoding="utf-8"), lock)
    assert "requirements.lock" in said
    assert "call `make lock`" in said


def test_ci_calls_lint_and_test_and_no_other_target() -> None:
    script = REPO / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "must be executable"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert called_targets("\n".join(line for line in lines if not line.startswith("#"))) == {"lint", "test"}


def test_readme_opens_with_the_two_commands() -> None:
    opening = (REPO / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert any("make run" in line for line in opening)
    assert any("make test" in line for line in opening)


def test_every_make_target_that_a_document_names_exists() -> None:
    documents = [path for path in committed() if path.suffix == ".md"]
    targets = make_targets()
    assert {"run", "test", "test-all", "lint", "lock", "params"} <= targets
    unknown = {
        f"{path.relative_to(REPO)}: make {name}"
        for path in documents
        for name in called_targets(path.read_text(encoding="utf-8")) - targets
    }
    assert unknown == set()


def test_every_make_target_is_listed_by_help_and_sets_itself_up() -> None:
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([a-z][a-z-]*):(.*)$", text, flags=re.MULTILINE))
    assert [name for name, rest in rules.items() if "## " not in rest] == []
    assert [name for name in rules if f".PHONY: {name}\n" not in text] == []
    without = {name for name, rest in rules.items() if "setup" not in rest.partition("##")[0]}
    # these must work where a set-up can't: they list, mend the lock, or take things away
    assert without == {"help", "setup", "lock", "clean", "clean-env"}
    listed = make("help")
    assert set(re.findall(r"^  make ([a-z-]+) ", listed, flags=re.MULTILINE)) == set(rules)


def test_make_hands_the_quiet_settings_to_every_tool(tmp_path: Path) -> None:
    extra = tmp_path / "show.mk"
    extra.write_text("show:\n\t@env\n", encoding="utf-8")
    shown = make("-f", "Makefile", "-f", str(extra), "show").splitlines()
    assert {"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "DVC_NO_ANALYTICS=1"} <= set(shown)


def test_clean_never_names_a_result() -> None:
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    recipe = text[text.index("\nclean:") : text.index(".PHONY: clean-env")]
    removed = " ".join(re.findall(r"rm -rf ([^{\n]+)", recipe)).split()
    assert removed
    assert not set(removed) & {"runs", "data", "mlflow.db", "mlartifacts", "outputs", "multirun"}
    assert all(f"-path ./{name}" in recipe for name in ("runs", "data", ".venv"))


def test_layers_are_a_contract() -> None:
    contracts = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    packages = {path.parent.name for path in (REPO / "src/immunocast").glob("*/__init__.py")}
    modules = {path.stem for path in (REPO / "src/immunocast").glob("*.py")} - {"__init__", "__main__"}
    named = {name.strip().removeprefix("immunocast.") for line in layers for name in line.split("|")}
    assert packages - named == {"testing"} & packages, "a package outside the layers is a package without rules"
    assert {"errors", "cohort"} <= named
    assert modules <= named
    forbidden = next(contract for contract in contracts if contract["type"] == "forbidden")
    assert {"hydra", "omegaconf", "mlflow", "dvc"} <= set(forbidden["forbidden_modules"])


def test_licence_is_the_apache_text() -> None:
    text = (REPO / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
