"""Whole runs made again, as users made them: by run.py, in a sweep, by DVC, moved, and where only MLflow has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from immunocast.store.runfolder import list_runs

pytestmark = pytest.mark.slow

TINY = (
    "experiment=quick",
    "cohort.n_patients=200",
    "controls.models=[]",
    "explain.stability.n_refits=0",
    "explain.methods.n_permutations=0",
    "evaluation.subgroups=[tumor_type]",
    "~models.loris_pan",
    "~models.pdl1_50",
)


def pipeline(tree, cwd, *words, **variables):
    """Run pipelines/run.py of a source tree, as a user does."""
    done = subprocess.run(
        [sys.executable, str(tree / "pipelines/run.py"), *words],
        cwd=cwd, env={**_environment(tree), **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list_runs(Path(cwd) / "runs")


def reproduce(tree, cwd, run_id, *words, **variables):
    """The command, and the record that it prints; the run's own folder has the same."""
    done = subprocess.run(
        [sys.executable, "-m", "immunocast.cli", "reproduce", run_id, "--json", *map(str, words)],
        cwd=cwd, env={**_environment(tree), **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 4), done.stdout + done.stderr
    record = json.loads(done.stdout)
    assert json.loads((Path(cwd) / "runs" / record["run_id"] / "reproduction.json").read_text()) == record
    return record


def _environment(tree):
    kept = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "IMMUNOCAST_RUNS")}
    return {**kept, "PYTHONPATH": str(tree / "src")}


def identical(record):
    others = {name: t["how"] for name, t in record["tables"].items() if t["verdict"] != "identical"}
    assert others == {}
    assert record["bundles"]["different"] == record["bundles"]["missing"] == record["bundles"]["extra"] == []
    assert record["config"] == []
    return record["verdict"] == "identical" and all(t["how"] == "bytes" for t in record["tables"].values())


@pytest.fixture(scope="module")
def tree(copied_checkout):
    """A copy of the checkout, which a test may move."""
    return copied_checkout


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    """A run that is on disk and in MLflow."""
    cwd = tmp_path_factory.mktemp("made")
    (run,) = pipeline(tree, cwd, *TINY)
    return cwd, run


def test_with_processes_and_another_number_of_workers(tree, made):
    cwd, run = made
    record = reproduce(tree, cwd, run.run_id, "--engine", "processes", "--workers", "3")
    assert identical(record)
    assert record["engine"]["backend"] == "loky"
    assert len(record["tables"]) == len(list((run.path / "tables").iterdir()))


def test_one_after_the_other_with_another_checkout_that_moved(tree, made, tmp_path):
    cwd, run = made
    moved = tmp_path / "another place" / "checkout"
    shutil.copytree(tree, moved)
    record = reproduce(tree, cwd, run.run_id, "--engine", "serial", "--checkout", moved, "--keep", tmp_path / "kept")
    assert identical(record)
    assert Path(record["kept"]).parent == tmp_path / "kept"


def test_a_run_that_only_mlflow_has(tree, made, tmp_path):
    cwd, run = made
    record = reproduce(tree, tmp_path, run.run_id, "--tracking-uri", f"sqlite:///{cwd}/mlflow.db")
    assert identical(record)
    assert record["run_id"] == run.run_id
    assert record["bundles"]["n"] > 0
    assert not (tmp_path / "mlflow.db").exists()  # reproducing publishes nothing


def test_other_code_comes_out_different_and_is_named(tree, made, tmp_path):
    cwd, run = made
    other = tmp_path / "checkout"
    shutil.copytree(tree, other)
    recipe = other / "src/immunocast/metrics/_accuracy.py"
    text = recipe.read_text()
    assert "return (p - y) ** 2" in text
    recipe.write_text(text.replace("return (p - y) ** 2", "return 1.001 * (p - y) ** 2"))
    record = reproduce(tree, cwd, run.run_id, "--checkout", other)
    assert record["code"]["same_as_run"] is False
    assert record["verdict"] == "different"
    assert record["tables"]["cohort"]["verdict"] == record["tables"]["predictions"]["verdict"] == "identical"
    moved = record["tables"]["metrics"]["columns"]
    assert 0 < max(c["max_abs"] or 0 for c in moved if c["column"] == "estimate") < 0.01
    assert record["bundles"]["different"] == []


def test_runs_of_a_sweep(tree, tmp_path):
    runs = pipeline(tree, tmp_path, "-m", "seed=5,6", *TINY, "tracking=none")
    assert len(runs) == 2
    for run in runs:
        assert identical(reproduce(tree, tmp_path, run.run_id))


def test_a_run_of_dvc(tree, tmp_path):
    folder = tmp_path / "checkout"
    shutil.copytree(tree, folder)
    params = folder / "params.yaml"
    small = (
        params.read_text()
        .replace("n_patients: 1200", "n_patients: 240")
        .replace("n_resamples: 2000", "n_resamples: 200")
    )
    params.write_text(small)
    bin_dir = str(Path(sys.executable).parent)
    variables = {**_environment(folder), "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [f"{bin_dir}/dvc", "repro", "report"], cwd=folder, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = list_runs(folder / "runs")
    assert identical(reproduce(folder, folder, run.run_id))


def test_a_cohort_of_ones_own_after_its_folder_moved(tree, tmp_path):
    from immunocast.cohort.synthetic import SyntheticCohort

    (tmp_path / "then").mkdir()
    table = SyntheticCohort(n_patients=200, n_cohorts=2, seed=3).load().cohort
    table.to_csv(tmp_path / "then/patients.csv", index=False)
    few = [word for word in TINY if not word.startswith(("experiment", "cohort"))]
    shorter = ("evaluation.n_resamples=200", "explain.n_resamples=200", "tracking=none", "~models.forest")
    (run,) = pipeline(tree, tmp_path / "then", "cohort=csv", "cohort.file=patients.csv", *few, *shorter)
    (tmp_path / "then").rename(tmp_path / "now")
    record = reproduce(tree, tmp_path / "now", run.run_id)
    assert identical(record)
    assert record["data"]["files"] == ["patients.csv"]
