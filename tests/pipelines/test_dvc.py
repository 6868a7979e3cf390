"""DVC runs the same stages: once, and not again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from immunocast.store.runfolder import RunFolder, list_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(copied_checkout):
    """A copy of the checkout with small settings in params.yaml."""
    params = copied_checkout / "params.yaml"
    small = (
        params.read_text()
        .replace("n_patients: 1200", "n_patients: 240")
        .replace("n_resamples: 2000", "n_resamples: 200")
    )
    params.write_text(small)
    return copied_checkout


def _dvc(folder, *words):
    bin_dir = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    return subprocess.run([f"{bin_dir}/dvc", *words], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def first(checkout):
    """What the first `dvc repro` said."""
    done = _dvc(checkout, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_repro_runs_all_stages_then_none(checkout, first):
    assert first.stdout.count("Running stage") == 7
    (run,) = list_runs(checkout / "runs")
    assert len(run.table("cohort")) == 240
    assert (run.path / "mlflow.json").is_file()
    second = _dvc(checkout, "repro")
    assert "Data and pipelines are up to date" in second.stdout
    assert "Running stage" not in second.stdout
    assert len(list_runs(checkout / "runs")) == 1


@pytest.mark.usefixtures("first")
def test_what_params_says_is_what_runs(checkout):
    """An edit of params.yaml reaches the stage: it is the configuration, not a copy."""
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("n_resamples: 200", "n_resamples: 150"))
    done = _dvc(checkout, "repro", "evaluate")
    assert "Running stage 'evaluate'" in done.stdout, done.stdout + done.stderr
    assert "Running stage 'train'" not in done.stdout
    assert RunFolder(checkout / "data/processed").manifest()["n_resamples"] == 150
