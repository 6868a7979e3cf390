"""The analyst's command, through its entry point."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle
from immunocast.models.recalibrators_file import load_recalibrators


@pytest.fixture
def command(small_run, call):
    """Call a command on the small run, or on others."""

    def run(*words, runs=small_run.path.parent):
        return call(runs, *words)

    return run


def test_importance_says_what_and_how_surely(command, small_run):
    done = command("importance", "--top", 3)
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stdout
    assert "log-odds" in done.stdout
    assert "not its cause" in done.stdout
    best = (
        small_run.table("importance")
        .query("model == 'ridge' and level == 'all' and kind == 'feature' and `rank` == 1")
        .iloc[0]
    )
    assert f"{best.mean_abs_shap:.3f}" in done.stdout
    assert f"{best.ci_low:.3f} to {best.ci_high:.3f}" in done.stdout


def test_importance_by_subgroup_as_json(command, small_run):
    done = command("importance", "--by", "tumor_type", "--model", "xgboost", "--top", 2, "--format", "json")
    rows = json.loads(done.stdout)
    expected = small_run.table("importance").query(
        "model == 'xgboost' and subgroup == 'tumor_type' and kind == 'feature'"
    )
    assert {r["level"] for r in rows} == set(expected["level"])
    assert all(r["rank"] <= 2 for r in rows)


def test_csv_is_the_table(command, small_run):
    done = command("importance", "--model", "forest", "--top", 99, "--format", "csv")
    lines = done.stdout.splitlines()
    expected = small_run.table("importance").query("model == 'forest' and level == 'all' and kind == 'feature'")
    assert len(lines) == 1 + len(expected)


def test_sql_answers_and_refuses(command, small_run):
    done = command("sql", "select count(*) as n from cohort", "--format", "json")
    assert json.loads(done.stdout) == [{"n": len(small_run.table("cohort"))}]
    refused = command("sql", "delete from cohort")
    assert refused.returncode == 2
    assert "SELECT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_tables_lists_every_table_with_its_columns(command, small_run):
    done = command("tables")
    for path in (small_run.path / "tables").iterdir():
        assert path.stem in done.stdout
    assert "ci_low" in done.stdout
    assert "null where too small" in command("tables", "metrics").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["importance", "--model", "xgbost"], "forest, ridge, xgboost"),
        (["importance", "--by", "sex"], "explain.by"),
        (["importance", "--run", "1999"], "20260101T000000000Z"),
        (["tables", "nonsense"], "There is no table 'nonsense'"),
        (["score", "absent.csv"], "There is no file absent.csv"),
        (["score", "absent.csv", "--run", "no"], "There is no run 'no'"),
    ],
)
def test_a_mistake_is_a_message_with_exit_code_2(command, words, says):
    done = command(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["runs"], ["importance"], ["tables"], ["sql", "select 1"], ["score", "x.csv"]])
def test_without_a_run_it_says_how_to_make_one(command, words, tmp_path):
    done = command(*words, runs=tmp_path / "runs")
    assert done.returncode == 2
    assert "make run" in done.stderr


@pytest.fixture
def new_patients(small_run, tmp_path):
    cohort = small_run.table("cohort").head(30)
    frame = cohort.drop(columns=["arm"]).astype(object)
    frame.loc[4, "albumin_g_dl"] = "41"
    frame.loc[5, "tumor_type"] = None
    frame.loc[6, "os_months"] = "not known"  # an outcome: a score does not look at it
    path = tmp_path / "new patients.csv"
    frame.to_csv(path, index=False)
    return cohort, path


@pytest.mark.parametrize("model", ["ridge", "forest", "xgboost", "loris_routed", "tmb_10"])
def test_scores_equal_the_bundle_in_memory(command, small_run, new_patients, tmp_path, model):
    cohort, path = new_patients
    done = command("score", path, "--model", model)
    assert done.returncode == 4, done.stderr
    scores = pd.read_csv(tmp_path / "new patients.scores.csv")
    assert scores["source_row"].tolist() == list(range(2, 32))
    fitted = load_bundle(small_run.bundle_path(model, "final"))
    truth = fitted.predict_proba(model_frame(cohort, fitted.spec.inputs))[:, 1]
    scored = (scores["status"] == "scored").to_numpy()
    assert np.abs(scores["p_response"].to_numpy()[scored] - truth[scored]).max() < 1e-9
    refused = scores[scores["status"] == "refused"]
    assert refused["source_row"].tolist() == [6]
    assert "albumin_g_dl" in refused["reason"].iloc[0]
    if "tumor_type" in fitted.spec.required:
        assert scores.loc[5, "status"] == "abstained"
        assert scores.loc[5, "reason"] == "missing: tumor_type"
    used = scores["assays_used"].fillna("").str.split(";")
    for i in np.flatnonzero(scored):
        assert (
            set(used[i]) == {c for c in fitted.spec.inputs if pd.notna(cohort[c].iloc[i])}
            if set(fitted.spec.inputs) <= set(cohort)
            else set(used[i]) <= set(fitted.spec.inputs)
        )


def test_scores_are_recalibrated_where_asked_for(command, small_run, new_patients, tmp_path):
    _, path = new_patients
    command("score", path, "--model", "ridge", "--out", tmp_path / "own.csv")
    done = command("score", path, "--model", "ridge", "--recalibration", "platt", "--out", tmp_path / "platt.csv")
    assert done.returncode == 4, done.stderr
    assert done.stdout.startswith("ridge, recalibrated (platt), of run")
    own, platt = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("own", "platt"))
    made = load_recalibrators(small_run.bundle_path("ridge", "final"))["platt"]
    assert np.allclose(platt["p_response"], made.predict(own["p_response"]), rtol=0, atol=1e-12, equal_nan=True)
    assert (own["recalibration"].eq("none") & platt["recalibration"].eq("platt")).all()
    done = command("score", path, "--recalibration", "isotonic")
    assert done.returncode == 2
    assert "has no recalibrator 'isotonic' of ridge. It has: none, platt" in done.stderr
    assert "outcomes of the new site" in command("score", path, "--recalibration", "intercept_site").stderr


def test_a_file_without_any_input_of_the_model_is_refused(command, tmp_path):
    (tmp_path / "other.csv").write_text("patient_id,smoker\na,1\n")
    done = command("score", "other.csv")
    assert done.returncode == 2
    assert "none of the columns" in done.stderr


def test_unknown_mapping_lists_the_known_ones(command, new_patients):
    done = command("score", new_patients[1], "--mapping", "lorsi")
    assert done.returncode == 2
    assert "liu2019, loris" in done.stderr


def test_scores_never_overwrite_the_patients(command, new_patients):
    _, path = new_patients
    before = path.read_bytes()
    done = command("score", path, "--out", path)
    assert done.returncode == 2
    assert "would be overwritten" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(("out", "says"), [("nowhere/s.csv", "there is no folder"), (".", "is a folder")])
def test_a_place_that_cannot_be_written_is_told_before_the_work(command, new_patients, out, says):
    done = command("score", new_patients[1], "--out", out)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_percentage_given_as_fraction_is_refused(command, small_run, tmp_path):
    frame = small_run.table("cohort").dropna(subset=["pdl1_tps"]).head(40)
    frame.assign(pdl1_tps=frame["pdl1_tps"] / 100).to_csv(tmp_path / "fraction.csv", index=False)
    done = command("score", "fraction.csv")
    assert done.returncode == 2
    assert "unit: fraction" in done.stderr


def test_columns_that_are_not_read_are_told(command, small_run, tmp_path):
    frame = small_run.table("cohort").head(5).rename(columns={"tmb_mut_mb": "TMB_mut_mb"})
    frame.to_csv(tmp_path / "names.csv", index=False)
    done = command("score", "names.csv")
    assert done.returncode == 0
    assert "'TMB_mut_mb' of names.csv is not in the vocabulary" in done.stderr
    assert "tmb_mut_mb" in done.stderr


def test_the_same_mistake_is_told_once_with_all_rows(command, small_run, tmp_path):
    frame = small_run.table("cohort").head(12).assign(drug_class="Combo")
    frame.to_csv(tmp_path / "same.csv", index=False)
    done = command("score", "same.csv")
    assert done.returncode == 4
    assert done.stderr.count("Combo") <= 4
    assert "rows 2, 3, 4" in done.stderr


def test_why_a_model_abstained_is_told(command, small_run, tmp_path):
    frame = small_run.table("cohort").head(6).assign(tumor_type=None)
    frame.to_csv(tmp_path / "missing.csv", index=False)
    done = command("score", "missing.csv")
    assert done.returncode == 4
    assert "abstained on 6: missing: tumor_type" in done.stderr


def test_a_closed_pipe_is_no_error(small_run):
    line = (
        f"{sys.executable} -m immunocast.cli sql 'select * from curves' --format csv --runs-dir {small_run.path.parent}"
    )
    done = subprocess.run(f"{line} | head -1", shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("run_id,curve,")
    assert "Traceback" not in done.stderr
