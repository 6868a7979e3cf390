"""The whole pipeline as users run it: results, exit codes, determinism, failures."""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pandas as pd
import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import load_config
from immunocast.errors import DataError
from immunocast.store.runfolder import RunFolder, list_runs
from immunocast.store.schemas import TABLES

QUICK = ("experiment=quick", "~models.forest")


def run_py(root, cwd, *overrides, **more):
    """Run pipelines/run.py as a user does, in a folder of its own."""
    return subprocess.run(
        [sys.executable, root / "pipelines/run.py", *overrides], cwd=cwd, capture_output=True, text=True, **more
    )


def mlflow_runs(cwd):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{cwd}/mlflow.db")
    experiment = client.get_experiment_by_name("immunocast")
    return client.search_runs([experiment.experiment_id])


def test_a_run_ends_with_results_and_the_way_to_mlflow(finished):
    cwd, done = finished.cwd, finished
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stdout
    assert re.search(r"Ridge logistic regression +\d+ +\d+ +0\.\d{3} \(0\.\d{3}, 0\.\d{3}\)", done.stdout)
    assert f"mlflow ui --backend-store-uri sqlite:///{cwd}/mlflow.db" in done.stdout
    for stage in ("load", "train", "controls", "evaluate", "explain", "report", "publish"):
        assert stage in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_the_run_folder_is_whole_and_nothing_unfinished_is_left(finished):
    cwd = finished.cwd
    (run,) = list_runs(cwd / "runs")
    assert [p.name for p in (cwd / "runs").iterdir()] == [run.path.name]
    assert sorted(p.stem for p in (run.path / "tables").iterdir()) == sorted(TABLES)
    for name in ("config.yaml", "report.html", "summary.md", "results.csv", "mlflow.json", "manifest.json"):
        assert (run.path / name).is_file(), name
    assert run.manifest()["digests"] == run.digests()


def test_mlflow_has_a_parent_and_a_child_a_model_all_finished(finished):
    cwd = finished.cwd
    runs = mlflow_runs(cwd)
    assert {r.info.status for r in runs} == {"FINISHED"}
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1
    assert len(runs) == 1 + 7


def test_nothing_is_written_but_runs_and_the_store(finished):
    cwd = finished.cwd
    names = {p.name for p in cwd.iterdir() if not p.name.startswith(".")}
    assert names <= {"runs", "mlflow.db", "mlartifacts"}


@pytest.mark.slow
def test_tables_are_the_same_bytes_with_processes(pipelines, finished, tmp_path):
    """With threads: tests/pipelines/test_dvc_file.py."""
    cfg = load_config([*finished.settings, f"paths.work={tmp_path}", "engine=processes", "engine.n_jobs=2"])
    work = RunFolder(tmp_path)
    for stage in pipelines.STAGES.values():
        stage(cfg, work)
    (serial,) = list_runs(finished.cwd / "runs")
    for name in TABLES:
        assert work.table_path(name).read_bytes() == serial.table_path(name).read_bytes(), name


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    """A CSV cohort in which albumin carries the outcome, within albumin's range and with noise."""
    cohort = SyntheticCohort(n_patients=240, n_cohorts=1, seed=3).load().cohort
    noise = pd.Series(range(len(cohort))) % 7 * 0.05
    cohort["albumin_g_dl"] = 3.4 + 0.5 * cohort["responder"].astype("float64").fillna(0) + noise
    path = tmp_path_factory.mktemp("canary") / "canary.csv"
    cohort.to_csv(path, index=False)
    return path


CANARY = (
    "cohort=csv",
    "validation=repeated_kfold",
    "validation.n_repeats=1",
    "evaluation.n_resamples=200",
    "evaluation.subgroups=[tumor_type]",
    "controls.models=[]",
    "explain.n_resamples=200",
    "explain.stability.n_refits=20",
    "~models.forest",
    "~models.xgboost",
)


def test_a_leak_under_a_real_name_stops_the_run(start, canary, tmp_path):
    done = start("run", tmp_path, *CANARY, f"cohort.file={canary}")
    assert done.returncode == 3, done.stderr
    assert "IC-LEAK-001" in done.stderr
    assert "Albumin" in done.stderr
    assert "checks.waive" in done.stderr
    assert "Traceback" not in done.stderr
    assert list_runs(tmp_path / "runs") == []
    assert not list((tmp_path / "runs").iterdir())
    (run,) = mlflow_runs(tmp_path)
    assert run.info.status == "FAILED"
    assert "IC-LEAK-001" in run.data.tags["immunocast.error"]


@pytest.mark.slow
def test_a_waived_leak_goes_on_and_the_reason_is_kept(root, canary, tmp_path):
    reason = "+checks.waive={IC-LEAK-001: planted on purpose, IC-PERF-001: planted on purpose}"
    done = run_py(root, tmp_path, *CANARY, f"cohort.file={canary}", "tracking=none", reason)
    assert done.returncode == 0, done.stderr
    (run,) = list_runs(tmp_path / "runs")
    checks = run.table("checks")
    leak = checks[(checks["code"] == "IC-LEAK-001") & (checks["column"] == "albumin_g_dl")]
    assert leak["waived_because"].tolist() == ["planted on purpose"]
    # what a leak does to the model is caught a second time, from its results
    assert "IC-PERF-001" in set(run.table("model_checks")["code"])


def test_a_missing_file_is_a_message_and_not_a_traceback(start, tmp_path):
    done = start("run", tmp_path, "cohort=loris", "paths.data=/nowhere", "tracking=none")
    assert done.returncode == 2
    assert "loris.xlsx" in done.stderr
    assert "IMMUNOCAST_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_a_message(start, tmp_path):
    done = start("run", tmp_path, "experiment=quick", "tracking=none", "paths.runs=/proc/nowhere")
    assert done.returncode == 2
    assert "/proc/nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_class_only_is_told(start, tmp_path):
    cohort = SyntheticCohort(n_patients=60, n_cohorts=1, seed=3).load().cohort
    cohort.assign(bor="SD", responder=0).to_csv(tmp_path / "one.csv", index=False)
    done = start("run", tmp_path, "cohort=csv", "cohort.file=one.csv", "validation=repeated_kfold", "tracking=none")
    assert done.returncode == 2
    assert "all are non-responders" in done.stderr


def test_a_cohort_with_a_reserved_name_is_refused_before_training(pipelines, tmp_path):
    cohort = SyntheticCohort(n_patients=60, n_cohorts=1, seed=3).load().cohort
    cohort.assign(cohort_id="combined").to_csv(tmp_path / "c.csv", index=False)
    cfg = load_config(["cohort=csv", f"cohort.file={tmp_path / 'c.csv'}"])
    with pytest.raises(DataError, match=r"reserved .*'combined'.*Rename the cohort"):
        pipelines.STAGES["load"](cfg, RunFolder(tmp_path / "w"))


def _numbers(pipelines, folder, *overrides):
    """Predictions, metrics and manifest after load, train and evaluate, without what takes long."""
    few = (f"~models.{name}" for name in ("forest", "xgboost", "loris_pan", "loris_nsclc", "pdl1_50"))
    less = ("evaluation.subgroups=[]", "evaluation.all_pairs=false", "survival.outcomes=[]")
    cfg = load_config(["experiment=quick", f"paths.work={folder}", *few, *less, *overrides])
    work = RunFolder(folder)
    for name in ("load", "train", "evaluate"):
        pipelines.STAGES[name](cfg, work)
    return work.table("predictions"), work.table("metrics"), work.manifest()


def test_another_seed_gives_other_numbers(pipelines, finished, tmp_path):
    (made,) = list_runs(finished.cwd / "runs")
    one, estimates = made.table("predictions"), made.table("metrics")
    others, metrics, _ = _numbers(pipelines, tmp_path, "seed=2", "cohort.seed=2")
    for model in others["model"].unique():
        before, after = (t.loc[t["model"] == model, "p_response"].dropna().tolist() for t in (one, others))
        assert before
        assert before != after, model
    keys = ["metric", "model", "recalibration", "cohort_id", "subgroup", "level", "threshold_or_horizon"]
    both = estimates.merge(metrics, on=keys)
    assert len(both.dropna(subset=["estimate_x", "estimate_y"])) > 100
    assert not both["estimate_x"].equals(both["estimate_y"])


def test_resistance_turns_the_published_models_round(pipelines, tmp_path):
    predictions, metrics, about = _numbers(pipelines, tmp_path / "w", "endpoint=primary_resistance")
    assert set(predictions["endpoint"]) == {"primary_resistance"}
    assert about["endpoint"] == "primary_resistance"
    assert about["endpoint_settings"]["exposure_weeks"] == 6
    assert about["reference_model"] == "loris_routed"
    assert about["models"]["tmb_10"]["label"] == "TMB < 10"
    whole = {"metric": "auroc", "cohort_id": "combined", "recalibration": "none", "subgroup": "all"}
    auroc = metrics[(metrics[list(whole)] == pd.Series(whole)).all(axis=1)].set_index("model")
    assert auroc.loc["loris_routed", "estimate"] > 0.6, "as published it would rank resistance backwards"
    assert auroc.loc["loris_routed", "ci_low"] > 0.5


def test_toxicity_leaves_published_models_out_and_has_no_reference(pipelines, tmp_path):
    cohort = SyntheticCohort(n_patients=240, n_cohorts=2, seed=3).load().cohort
    path = tmp_path / "t.csv"
    cohort = cohort.drop(columns=["irae_grade", "irae_organ", "irae_onset_days"])
    cohort.assign(irae=[i % 3 // 2 for i in range(len(cohort))]).to_csv(path, index=False)
    overrides = ("endpoint=irae", "cohort=csv", f"cohort.file={path}")
    predictions, _, about = _numbers(pipelines, tmp_path / "w", *overrides)
    assert set(predictions["model"]) == {"ridge"}
    assert about["reference_model"] is None
    assert "loris_routed" in about["left_out_models"]


def test_an_endpoint_without_columns_names_them(start, tmp_path):
    cohort = SyntheticCohort(n_patients=60, n_cohorts=1, seed=3).load().cohort
    cohort[["patient_id", "cohort_id", "bor", "nlr", "tumor_type"]].to_csv(tmp_path / "few.csv", index=False)
    done = start("run", tmp_path, "cohort=csv", "cohort.file=few.csv", "tracking=none", "endpoint=irae_grade3")
    assert done.returncode == 2
    assert "irae_grade (0 to 5)" in done.stderr
    assert "the source has no column irae_grade (60)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "endpoint", ["dcb", "primary_resistance", "acquired_resistance", "irae", "irae_grade3", "os", "pfs"]
)
def test_every_endpoint_runs_from_cohort_to_report(root, tmp_path, endpoint):
    if endpoint.startswith("irae") and "irae_grade" not in SyntheticCohort(n_patients=10, n_cohorts=1).load().cohort:
        pytest.skip("the synthetic cohort has no irAE")
    done = run_py(root, tmp_path, *QUICK, "tracking=none", f"endpoint={endpoint}")
    assert done.returncode == 0, done.stderr
    assert "responder" not in done.stdout
    (run,) = list_runs(tmp_path / "runs")
    assert run.manifest()["endpoint"] == endpoint


def test_run_ids_name_the_file_of_a_csv_cohort(pipelines):
    cfg = load_config(["cohort=csv", "cohort.file=/some/where/our patients.csv"])
    assert "Z-our_patients-" in pipelines.report.new_run_id(cfg, datetime(2026, 1, 2, tzinfo=UTC))


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_is_killed_in_mlflow_and_leaves_nothing(root, tmp_path, sign, code):
    command = [sys.executable, root / "pipelines/run.py", "cohort.n_patients=3000"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "runs").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2)
        os.kill(process.pid, sign)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == code, error
    assert not list((tmp_path / "runs").iterdir())
    (run,) = mlflow_runs(tmp_path)
    assert run.info.status == "KILLED"


def test_stages_stay_thin(root):
    for path in (root / "pipelines").glob("*.py"):
        if path.stem in ("run", "_stage", "reproduce_loris"):
            continue
        lines = [x for x in path.read_text().splitlines() if x.strip()]
        assert len(lines) <= 55, f"{path.name} has {len(lines)} lines: move work into the library"
