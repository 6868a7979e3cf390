"""An installed immunocast finds its configuration without the checkout."""

import json
import os
import subprocess
import sys
import zipfile

import pytest


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """The wheel, unpacked where no checkout is."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _python(installed, cwd, *commands):
    """Call the command as many times in one process, each with its exit code at the end of what it says."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    # the editable install's hook would bring the checkout back: isolate from .pth files of the environment
    code = (
        "import json, sys; sys.path[:] = [p for p in sys.path if not p.rstrip('/').endswith('/src')]\n"
        "import immunocast; from immunocast.cli import main; print(immunocast.__file__, file=sys.stderr)\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['immunocast', *words]\n"
        "    try: main()\n"
        "    except SystemExit as end: print('exit code', end.code or 0, file=sys.stderr)\n"
    )
    words = json.dumps([[str(word) for word in command] for command in commands])
    return subprocess.run([sys.executable, "-c", code, words], cwd=cwd, env=environment, capture_output=True, text=True)


def test_conf_is_in_the_wheel_and_complete(root, installed):
    there = {p.relative_to(installed / "immunocast/conf") for p in (installed / "immunocast/conf").rglob("*.yaml")}
    assert there == {p.relative_to(root / "conf") for p in (root / "conf").rglob("*.yaml")}
    assert (installed / "immunocast/report/templates/report.html.j2").is_file()


def test_an_installed_command_scores_with_a_shipped_mapping(installed, small_run, tmp_path):
    small_run.table("cohort").head(5).to_csv(tmp_path / "new.csv", index=False)
    runs = ("--runs-dir", small_run.path.parent)
    done = _python(
        installed,
        tmp_path,
        ("score", "new.csv", *runs),
        ("score", "new.csv", "--mapping", "no", *runs),
        ("cohorts", "list", "--format", "csv"),
    )
    assert str(installed) in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("exit code")] == [
        f"exit code {code}" for code in (0, 2, 0)
    ], done.stderr
    assert "5 scored" in done.stdout
    assert "liu2019, loris" in done.stderr
    assert "imvigor210,347,Bladder" in done.stdout
