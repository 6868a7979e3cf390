"""Fixtures that many tests share: where the real cohorts lie, and one small finished run."""

import os
import socket
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parents[1]

# set before anything imports mlflow: nothing that tests run reports home
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
mpl.use("Agg")


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


@pytest.fixture(scope="session")
def small_run(pipelines, tmp_path_factory):
    """A finished run folder of 300 synthetic patients; tests must not write into it."""
    from immunocast.config import check, load_config
    from immunocast.store.runfolder import RunFolder

    runs = tmp_path_factory.mktemp("runs")
    cfg = load_config(["experiment=quick", f"paths.runs={runs}", "tracking=none"])
    check(cfg)
    work = RunFolder(runs / ".small.unfinished")
    for stage in pipelines.STAGES.values():
        stage(cfg, work)
    pipelines.report.run(cfg, work, "20260101T000000000Z-synthetic-000000")
    return work.seal(runs / work.run_id)
