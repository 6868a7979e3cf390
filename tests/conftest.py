"""Fixtures that many tests share: where the real cohorts lie, and one small finished run."""

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# set before anything imports mlflow: nothing that tests run reports home
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
mpl.use("Agg")
# no test is timed: a busy machine would fail it
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


#: Modules whose functions are compiled as they are imported; either three take about as long.
COMPILED = (
    *("metrics._kernels", "explain.trees.paths", "explain.trees.preorder"),
    *("explain.trees.tables", "explain.trees.kernels", "explain.trees.units"),
)


def pytest_configure(config):
    """In a fresh checkout two workers compile from both ends, and each finds the other's machine code on disk."""
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    if worker:
        for name in COMPILED[:: -1 if int(worker.removeprefix("gw")) % 2 else 1]:
            importlib.import_module(f"immunocast.{name}")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """No test may reach another machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the public cohorts; skips where it is absent."""
    folder = Path(os.environ.get("IMMUNOCAST_DATA", ROOT.parent / "shared/data"))
    if not (folder / "cohorts/loris/loris.xlsx").is_file():
        pytest.skip(f"no public cohorts in {folder}: set IMMUNOCAST_DATA to the folder that holds cohorts/")
    return folder


@pytest.fixture(scope="session")
def pipelines():
    """The entry points as modules: load, train, evaluate, explain, report, run."""
    folder = str(ROOT / "pipelines")
    sys.path.insert(0, folder)
    yield __import__("run")
    sys.path.remove(folder)


#: A run in seconds, with the models and the group of patients that tests look at.
SMALL = ("experiment=quick", "evaluation.subgroups=[tumor_type]", "~models.loris_pan", "~models.pdl1_50")


@dataclass(frozen=True)
class Finished:
    """What an entry point of pipelines/ left behind."""

    cwd: Path
    settings: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def start(pipelines, monkeypatch, capsys):
    """Start an entry point as its command line does, but in this process: (name, folder, *words) -> what it left.

    Python needs seconds to start and import everything; that a process ends with the code is seen with `finished`.
    """
    from _stage import entry, stage

    def call(name: str, cwd: Path, *words: object) -> Finished:
        settings = tuple(map(str, words))
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [f"{ROOT}/pipelines/{name}.py", *settings])
        capsys.readouterr()
        code = 0
        try:
            if name == "run":
                entry(pipelines.main)
            else:
                stage(pipelines.STAGES[name])
        except SystemExit as error:
            code = error.code or 0
        return Finished(cwd, settings, code, *capsys.readouterr())

    return call


@pytest.fixture
def typed_command(monkeypatch, capsys):
    """Call the entry point as the installed command does: words -> (exit code, output, errors)."""
    from immunocast.cli import main

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["immunocast", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def copied_checkout(tmp_path_factory) -> Path:
    """A copy of the checkout's files with an empty history, which a test may change and move."""
    folder = tmp_path_factory.mktemp("tree") / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\n"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """A whole run as a user starts it, made once for all workers of a session; tests must not write into its folder.

    One thread; `settings` are the others.
    """
    from immunocast.tracking.process import file_lock

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cwd, said = shared / "finished", shared / "finished.json"
    with file_lock(shared / "finished.lock"):
        if not said.exists():
            shutil.rmtree(cwd, ignore_errors=True)
            cwd.mkdir()
            command = [sys.executable, ROOT / "pipelines/run.py", *SMALL, "engine=serial"]
            done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return Finished(cwd, SMALL, *json.loads(said.read_text()))


@pytest.fixture(scope="session")
def small_run(finished, tmp_path_factory):
    """The run folder of 300 synthetic patients under a name of a known day; tests must not write into it."""
    from immunocast.store.runfolder import RunFolder, list_runs

    assert finished.returncode == 0, finished.stderr
    (made,) = list_runs(finished.cwd / "runs")
    run = RunFolder(tmp_path_factory.mktemp("runs") / "20260101T000000000Z-synthetic-000000")
    shutil.copytree(made.path, run.path, ignore=shutil.ignore_patterns("mlflow.json"))
    run.update_manifest(run_id=run.path.name)
    return run
