"""The recipes of CONTRIBUTING.md, run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.report import figures
from immunocast.store.runfolder import list_runs


@pytest.fixture(scope="module")
def recipes(root):
    text = (root / "CONTRIBUTING.md").read_text()
    files = dict(re.findall(r"```yaml\n# conf/(\S+)\n(.*?)```", text, re.S))
    commands = re.findall(r"```sh\npython (\S+) (.*?)\n```", text, re.S)
    return files, commands


@pytest.fixture
def run(start, monkeypatch):
    """Run a recipe's command in a folder, small, with one picture: tests/report looks at all of them."""
    monkeypatch.setattr(figures, "CATALOGUE", {"shap_importance": figures.CATALOGUE["shap_importance"]})
    quick = (
        "evaluation.n_resamples=200", "explain.n_resamples=200", "explain.stability.models=[]", "controls.models=[]",
        "explain.methods.models=[]", "evaluation.subgroups=[]", "survival.outcomes=[]", "recalibration.methods=[]",
        "tracking=none", "~models.forest", "~models.xgboost", "~models.loris_pan", "~models.loris_nsclc",
        "~models.pdl1_50",
    )  # fmt: skip

    def call(folder, command, *more):
        script, words = command
        name = Path(script)
        assert name.parent == Path("pipelines")
        return start(name.stem, folder, "--config-dir", folder / "conf", *shlex.split(words), *quick, *more)

    return call


def _write(folder, recipes, name):
    path = folder / "conf" / name
    path.parent.mkdir(parents=True)
    path.write_text(recipes[0][name])


def test_add_a_model(run, recipes, tmp_path):
    _write(tmp_path, recipes, "model/extra_trees.yaml")
    done = run(tmp_path, recipes[1][0], "cohort.n_patients=240")
    assert done.returncode == 0, done.stderr
    assert "Extra trees" in done.stdout
    (made,) = list_runs(tmp_path / "runs")
    assert "extra_trees" in set(made.table("importance")["model"])
    assert made.table("shap").query("model == 'extra_trees'")["output_scale"].unique().tolist() == ["probability"]


def test_add_a_csv_cohort(run, recipes, tmp_path):
    _write(tmp_path, recipes, "cohort/clinic.yaml")
    c = SyntheticCohort(n_patients=500, n_cohorts=1, seed=8).load().cohort
    c = c[c["tumor_type"].isin(["NSCLC", "Melanoma", "Renal"])].dropna(subset=["tmb_mut_mb", "nlr", "albumin_g_dl"])
    clinic = c.assign(
        MRN=c["patient_id"],
        Diagnosis=c["tumor_type"].map({"NSCLC": "lung", "Melanoma": "skin", "Renal": "kidney"}),
        PDL1=(c["pdl1_tps"] / 100).astype(object).where(c["pdl1_tps"].notna(), "x"),
        TMB=c["tmb_mut_mb"].round(1).astype(object),
        Albumin=c["albumin_g_dl"] * 10,
        NLR=c["nlr"],
        Age=c["age_years"],
        Pretreated=c["prior_systemic_therapy"].map({1: "yes", 0: "no"}),
        RECIST=c["bor"],
    )
    columns = ["MRN", "Diagnosis", "PDL1", "TMB", "Albumin", "NLR", "Age", "Pretreated", "RECIST"]
    clinic = clinic[columns].reset_index(drop=True)
    clinic.loc[3, "TMB"] = "unknown"
    clinic.to_csv(tmp_path / "clinic.csv", index=False)
    done = run(tmp_path, recipes[1][1], f"paths.data={tmp_path}", "validation.n_repeats=1")
    assert done.returncode == 0, done.stderr
    (made,) = list_runs(tmp_path / "runs")
    cohort = made.table("cohort")
    assert len(cohort) == len(clinic)
    assert cohort["albumin_g_dl"].between(1, 6).all()
    assert cohort["pdl1_tps"].max() > 1
    assert cohort["tmb_mut_mb"].isna().sum() == 1
