"""The command `explain`: what it prints, its page, and what it refuses."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from immunocast.explain.patient import explain_patient
from immunocast.explain.patient_parts import PatientExplanation
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle
from immunocast.report.patient_page import render_patient
from immunocast.report.patient_words import patient_words, set_words
from immunocast.run_inputs import PATIENT_TABLES, explain_inputs

PATIENT = "synthetic-A-00001"


@pytest.fixture
def command(small_run, call):
    """Call `explain` on the small run."""
    return partial(call, small_run.path.parent, "explain")


@pytest.fixture(scope="module")
def found(small_run) -> PatientExplanation:
    tables = {name: small_run.table(name) for name in PATIENT_TABLES}
    return explain_patient(explain_inputs(small_run), tables, PATIENT, "ridge", top=6)


def test_it_prints_what_a_reader_asks_for(command, found):
    done = command(PATIENT, "--what-if", "nlr=4")
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC COHORT" in done.stdout
    assert f"Probability of objective response (CR or PR, against SD or PD): {100 * found.probability:.0f} %" in (
        done.stdout
    )
    for said in (
        "95 % range over 20 refits",
        "90 % prediction set",
        "Raised the probability",
        "Lowered it",
        "Rested on",
        "Not measured",
        "Of the 20 most similar training patients",
        "Associated with the prediction",
        "Not the effect of a treatment",
        "NLR 4:",
    ):
        assert said in done.stdout
    strongest = max(found.contributions, key=lambda c: abs(c.change))
    assert f"{abs(100 * strongest.change):.1f} points" in done.stdout
    assert "nan" not in done.stdout.lower().replace("explanation", "")


def test_json_is_the_explanation(command, found, small_run):
    done = command(PATIENT, "--format", "json")
    content = json.loads(done.stdout)
    assert content["run"] == small_run.path.name
    assert content["synthetic"] is True
    assert content["probability"] == pytest.approx(found.probability)
    assert [c["feature"] for c in content["contributions"]] == [c.feature for c in found.contributions]
    assert content["what_if"] == []


def test_models_and_neighbours_are_chosen(command):
    done = command(PATIENT, "--model", "forest", "--neighbours", 12, "--format", "json")
    content = json.loads(done.stdout)
    assert content["model"] == "forest"
    assert content["scale"] == "probability"
    assert len(content["neighbours"]["table"]) == 12


def test_the_page_is_self_contained_small_and_escaped(command, tmp_path):
    done = command(PATIENT, "--model", "xgboost", "--what-if", "tumor_type", "--out", "patient.html")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "patient.html").read_text(encoding="utf-8")
    assert len(html) < 1_000_000
    assert html.count("data:image/png;base64,") == 2
    assert not re.search(r"<script|https?://|src=\"(?!data:)", html)
    for said in ("SYNTHETIC DATA", "What raised and what lowered it", "Similar patients", "If one value were another"):
        assert said in html


def test_the_page_escapes_what_comes_from_data_and_is_the_same_each_time(small_run, found):
    odd = replace(found, patient_id="<b>&x", linked=("<i>y",))
    html = render_patient(small_run, odd)
    assert "<b>&x" not in html
    assert "&lt;b&gt;&amp;x" in html
    assert "<i>y" not in html
    assert html == render_patient(small_run, odd)


def test_an_abstaining_model_ends_with_4_and_says_why(command, small_run, found, monkeypatch):
    gone = replace(
        found, reason="missing: tumor_type", probability=np.nan, contributions=(), what_if=(), sets=(), range=None
    )
    monkeypatch.setattr("immunocast.explain.patient.explain_patient", lambda *a, **k: gone)
    done = command(PATIENT, "--out", "p.html")
    assert done.returncode == 4
    assert "Ridge logistic regression abstains: missing: tumor_type" in done.stdout
    assert "Probability" not in done.stdout
    assert "No prediction" in render_patient(small_run, gone)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["00001"], "synthetic-A-00001, synthetic-B-00001"),
        (["synthetic-A-0001"], "Near matches"),
        ([PATIENT, "--model", "tmb_10"], "Explained models: forest, ridge, xgboost"),
        ([PATIENT, "--model", "ridgy"], "no model 'ridgy'"),
        ([PATIENT, "--what-if", "nlr=290"], "outside of what the model has seen"),
        ([PATIENT, "--what-if", "nlt"], "Did you mean nlr"),
        ([PATIENT, "--run", "1999"], "There is no run '1999'"),
        ([PATIENT, "--out", "no/such/p.html"], "there is no folder"),
        ([PATIENT, "--out", "."], "is a folder"),
    ],
)
def test_a_mistake_is_a_message_with_exit_code_2(command, words, says):
    done = command(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def new_patients(small_run, tmp_path):
    frame = small_run.table("cohort").head(5).drop(columns=["arm", "person_id"]).astype(object)
    frame["patient_id"] = ["new-1", "new-2", "new-3", "twice", "twice"]
    frame.loc[0, "nlr"] = 120
    frame.loc[1, "tumor_type"] = None
    frame.loc[2, "albumin_g_dl"] = "41"
    frame.loc[0, "responder"] = "whatever"  # an outcome: an explanation does not look at it
    path = tmp_path / "new.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("model", ["ridge", "forest", "xgboost"])
def test_a_new_patient_is_explained_by_the_final_model(command, small_run, new_patients, model):
    done = command("new-1", "--file", new_patients, "--model", model, "--what-if", "nlr=4", "--format", "json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    fitted = load_bundle(small_run.bundle_path(model, "final"))
    row = small_run.table("cohort").head(1).assign(nlr=120.0)
    frame = model_frame(row, fitted.spec.inputs)
    assert content["probability"] == pytest.approx(fitted.predict_proba(frame)[0, 1])
    assert content["what_if"][0]["p"] == pytest.approx([fitted.predict_proba(frame.assign(nlr=4.0))[0, 1]])
    total = content["base_value"] + sum(c["shap"] for c in content["contributions"])
    assert total == pytest.approx(content["output"], abs=1e-5)
    assert content["outcome"] is content["range"] is None
    assert content["folds"] == []
    assert content["n_training"] == content["sets"][0]["n_calibration"] == 291
    assert any("NLR 120 lies above" in w for w in content["warnings"])


def test_the_page_of_a_new_patient_says_so(command, new_patients, tmp_path):
    done = command("new-1", "--file", new_patients, "--out", "new.html")
    assert "new patient, final model" in done.stdout
    assert "Outcome:" not in done.stdout
    html = (tmp_path / "new.html").read_text(encoding="utf-8")
    assert "The final model trained on all patients of the run" in html
    assert "NLR 120 lies above" in html
    assert "Outcome:" not in html


def test_a_new_patient_of_a_known_id_is_warned_of_and_is_not_its_own_neighbour(command, small_run, tmp_path):
    small_run.table("cohort").head(2).drop(columns=["arm"]).to_csv(tmp_path / "known.csv", index=False)
    content = json.loads(command(PATIENT, "--file", "known.csv", "--format", "json").stdout)
    assert any("the run has a patient of the id" in w for w in content["warnings"])
    assert PATIENT not in {n["patient_id"] for n in content["neighbours"]["table"]}
    assert content["sets"][0]["n_calibration"] == 290


def test_a_new_patient_without_what_the_model_requires_ends_with_4(command, new_patients):
    done = command("new-2", "--file", new_patients)
    assert done.returncode == 4
    assert "abstains: missing: tumor_type" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["new-3"], "albumin_g_dl"),
        (["new-9"], "There is no patient 'new-9' among the"),
        (["twice"], "new.csv"),
        (["new-1", "--model", "tmb_10"], "published rule"),
        (["new-1", "--what-if", "nlr=290"], "outside of what the model has seen"),
        (["new-1", "--out", "new.csv"], "would be overwritten"),
    ],
)
def test_a_mistake_with_a_file_is_a_message_with_exit_code_2(command, new_patients, words, says):
    done = command(*words, "--file", new_patients)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_a_file_need_one(command):
    done = command(PATIENT, "--sheet", "a", "--cohort-id", "b")
    assert done.returncode == 2
    assert "--sheet, --cohort-id" in done.stderr
    assert "There is no file absent.csv" in command(PATIENT, "--file", "absent.csv").stderr


def test_sets_in_words(found):
    one = found.sets[0]
    said = {
        o: set_words(replace(one, outcomes=o), "a responder", "a non-responder") for o in ("both", "event", "none", "")
    }
    assert "neither a responder nor a non-responder is ruled out" in said["both"]
    assert "set: a responder (" in said["event"]
    assert "neither outcome fits" in said["none"]
    assert said[""].startswith("No 90 % prediction set")


def test_the_report_says_the_same_of_its_example_patients(small_run, found):
    html = (small_run.path / "report.html").read_text(encoding="utf-8")
    assert len(html) < 5_000_000
    assert html.count("in words <span>") == 3
    assert html.count("most similar training patients") == 3
    words = patient_words(found)
    assert words.raised
    assert all(step.points.startswith("+") for step in words.raised)
    assert all(step.points.startswith("−") for step in words.lowered)
