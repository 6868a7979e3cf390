"""Sweeps of the real pipeline: in parallel on one SQLite, killed, failing, searched by Optuna."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from immunocast.store.runfolder import list_runs
from immunocast.sweep.folder import SweepFolder

pytestmark = pytest.mark.slow

#: As little pipeline as there can be.
LEAST = (
    "experiment=quick",
    "cohort.n_patients=200",
    "~models.forest",
    "~models.xgboost",
    "~models.loris_pan",
    "~models.loris_nsclc",
    "~models.pdl1_50",
    "evaluation.subgroups=[]",
    "recalibration.methods=[]",
    "decisions.rules=[]",
    "controls.models=[]",
    "survival.outcomes=[]",
    "explain.stability.n_refits=0",
    "explain.methods.n_permutations=0",
    "explain.conformal=[]",
)
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def command(root, *words):
    return [sys.executable, str(root / "pipelines/run.py"), "-m", *LEAST, *words]


def sweep(root, cwd, *words):
    return subprocess.run(command(root, *words), cwd=cwd, capture_output=True, text=True)


def folder_of(cwd):
    (path,) = (cwd / "sweeps").iterdir()
    return SweepFolder(path)


def mlflow_runs(cwd):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{cwd}/mlflow.db")
    experiment = client.get_experiment_by_name("immunocast")
    return client.search_runs([experiment.experiment_id])


GRID = ("features=default,linear_tmb", "models.ridge.estimator.C=0.05,0.5")


@pytest.fixture(scope="module")
def grid(root, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("grid")
    return cwd, sweep(root, cwd, *GRID, *JOBLIB)


def test_four_jobs_by_two_workers_on_one_sqlite(grid):
    cwd, done = grid
    assert done.returncode == 0, done.stderr
    assert "4 jobs, 2 at a time" in done.stderr
    assert "[4/4]" in done.stderr
    assert "left" in done.stderr
    assert len(list_runs(cwd / "runs")) == 4
    assert {p.name for p in cwd.iterdir() if not p.name.startswith(".")} == {
        "runs",
        "sweeps",
        "mlflow.db",
        "mlartifacts",
    }
    runs = mlflow_runs(cwd)
    assert {r.info.status for r in runs} == {"FINISHED"}
    (top,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    jobs = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == top.info.run_id]
    assert len(jobs) == 4
    assert {r.data.params["sweep.models.ridge.estimator.C"] for r in jobs} == {"0.05", "0.5"}
    ids = {r.info.run_id for r in jobs}
    models = [r for r in runs if r.data.tags.get("mlflow.parentRunId") in ids]
    assert len(models) == 4 * 4
    assert top.data.metrics["n_done"] == 4
    assert "compare-runs" in top.data.tags["mlflow.note.content"]


def test_the_same_command_again_does_nothing_twice(root, grid):
    cwd, _ = grid
    again = sweep(root, cwd, *GRID)
    assert again.returncode == 0, again.stderr
    assert "4 done before" in again.stderr
    assert len(list_runs(cwd / "runs")) == 4


def test_results_are_the_same_bytes_with_one_worker_and_without_mlflow(root, grid, tmp_path):
    cwd, _ = grid
    alone = sweep(root, tmp_path, *GRID, "tracking=none")
    assert alone.returncode == 0, alone.stderr
    one, two = folder_of(tmp_path), folder_of(cwd)
    assert one.sweep_id == two.sweep_id
    for name in ("results.csv", "results.parquet", "summary.md"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes(), name


@pytest.mark.parametrize("when", ["in a job", "between jobs"])
def test_a_killed_sweep_goes_on_where_it_was(root, tmp_path, when):
    with subprocess.Popen(
        command(root, *GRID, "tracking=none"), cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            states = folder_of(tmp_path).states() if (tmp_path / "sweeps").is_dir() else []
            done = [s for s in states if s.status == "done"]
            # the first job is over; the next one either has made its folder, or has not begun
            half = list((tmp_path / "runs").glob(".*.unfinished")) if (tmp_path / "runs").is_dir() else []
            if done and (half or when == "between jobs"):
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    first = {s.number: s.run for s in folder_of(tmp_path).states() if s.status == "done"}
    assert first
    assert len(first) < 4
    done = sweep(root, tmp_path, *GRID, "tracking=none")
    assert done.returncode == 0, done.stderr
    assert f"{len(first)} done before" in done.stderr
    states = folder_of(tmp_path).states()
    assert [s.status for s in states] == ["done"] * 4
    assert {n: s.run for n, s in enumerate(states, start=1) if n in first} == first
    assert len(list_runs(tmp_path / "runs")) == 4
    assert not list((tmp_path / "runs").glob(".*")), "no half-made run folder is left"


def test_a_failing_job_stops_no_other_and_is_told_everywhere(root, tmp_path):
    done = sweep(root, tmp_path, "evaluation.headline_model=ridge,nosuch,tmb_10")
    assert done.returncode == 8, done.stderr
    assert "1 of 3 jobs of this sweep failed" in done.stderr
    assert "job 2 (evaluation.headline_model=nosuch)" in done.stderr
    assert "Traceback" not in done.stderr
    folder = folder_of(tmp_path)
    assert [s.status for s in folder.states()] == ["done", "failed", "done"]
    text = folder.error_path(2).read_text()
    assert text.startswith("ConfigError: evaluation names the model 'nosuch'")
    assert "Traceback" in text
    (top,) = [r for r in mlflow_runs(tmp_path) if r.data.tags.get("kind") == "sweep"]
    assert top.info.status == "FAILED"
    assert "1 of 3 jobs" in top.data.tags["immunocast.error"]
    assert "names the model 'nosuch'" in top.data.tags["mlflow.note.content"].replace("\\", "")


def test_a_search_goes_on_and_its_journal_holds_all_trials(root, tmp_path):
    words = ("sweep=ridge", "sweep.batch=2", "tracking=none", *JOBLIB)
    two = sweep(root, tmp_path, *words, "sweep.n_trials=2")
    assert two.returncode == 0, two.stderr
    four = sweep(root, tmp_path, *words, "sweep.n_trials=4")
    assert four.returncode == 0, four.stderr
    assert "2 done before" in four.stderr
    folder = folder_of(tmp_path)
    states = folder.states()
    assert len(states) == 4
    assert states[0].words == ()
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(folder.path / "optuna.log")))
    study = optuna.load_study(study_name=folder.sweep_id, storage=storage)
    assert [json.loads(t.user_attrs["params"]) for t in study.trials] == [dict(s.params) for s in states]
    assert "the best of many looks better than it is" in (folder.path / "summary.md").read_text()


def test_a_search_on_a_held_out_test_set_is_refused(root, tmp_path):
    done = sweep(root, tmp_path, "sweep=ridge", "validation=external", "validation.test=[synthetic-C]")
    assert done.returncode == 2
    assert "no test any more" in done.stderr
    assert not (tmp_path / "sweeps").exists()
