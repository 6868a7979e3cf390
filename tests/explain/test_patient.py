"""One patient of a real run: numbers against the tables and the bundles, warnings, and who cannot be explained."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from immunocast.cohort.vocabulary import TUMOR_TYPES
from immunocast.errors import ConfigError, NotFoundError
from immunocast.explain.domain import domain_warnings, value_words
from immunocast.explain.neighbours import similar_patients
from immunocast.explain.patient import explain_patient
from immunocast.explain.whatif import Asked
from immunocast.features.preprocess import model_frame
from immunocast.models.bundle import load_bundle
from immunocast.run_inputs import PATIENT_TABLES, explain_inputs


@pytest.fixture(scope="module")
def run(small_run):
    return explain_inputs(small_run)


@pytest.fixture(scope="module")
def tables(small_run):
    return {name: small_run.table(name) for name in PATIENT_TABLES}


@pytest.fixture(scope="module")
def some(tables):
    """Ids of three explained patients."""
    ids = sorted(tables["shap"]["patient_id"].unique())
    return [ids[0], ids[len(ids) // 2], ids[-1]]


@pytest.mark.parametrize("model", ["ridge", "forest", "xgboost"])
def test_contributions_are_those_of_the_table_and_add_up(run, tables, some, model):
    for patient in some:
        found = explain_patient(run, tables, patient, model)
        row = tables["shap"].query("model == @model and patient_id == @patient").iloc[0]
        own = run.predictions.query("model == @model and patient_id == @patient and recalibration == 'none'").iloc[0]
        total = found.base_value + sum(c.shap for c in found.contributions)
        assert total == pytest.approx(found.output, abs=1e-6)
        assert all(c.shap == pytest.approx(row[c.feature]) for c in found.contributions)
        assert found.probability == pytest.approx(own["p_response"])
        p = found.output if found.scale == "probability" else expit(found.output)
        assert p == pytest.approx(found.probability, abs=1e-6)
        assert found.outcome == own["y_true"]
        assert [abs(c.shap) for c in found.contributions] == sorted(abs(c.shap) for c in found.contributions)[::-1]


def test_a_change_is_that_of_the_probability_without_the_contribution(run, tables, some):
    for model in ("ridge", "forest"):
        found = explain_patient(run, tables, some[0], model)
        for c in found.contributions:
            assert np.sign(c.change) == np.sign(c.shap)
            if model == "forest":
                assert c.change == pytest.approx(c.shap)
            else:
                assert c.change == pytest.approx(expit(found.output) - expit(found.output - c.shap))


def test_the_models_that_speak_did_not_train_on_the_patient_nor_did_the_neighbours_come_from_the_fold(
    run, tables, some
):
    for patient in some:
        found = explain_patient(run, tables, patient, "ridge")
        assert found.folds == ((0, found.cohort_id),)
        assert found.cohort_id not in set(found.neighbours.table["cohort_id"])
        assert found.n_training == (run.table["cohort_id"] != found.cohort_id).sum()


def test_a_what_if_curve_is_the_fold_model_itself(run, tables, some, small_run):
    found = explain_patient(run, tables, some[1], "xgboost", asked=[Asked("albumin_g_dl", None)], top=3)
    curve = found.what_if[0]
    fitted = load_bundle(small_run.bundle_path("xgboost", f"r0-{found.cohort_id}"))
    row = run.cohort[run.cohort["patient_id"] == some[1]]
    for value, p in zip(curve.values, curve.p, strict=True):
        X = model_frame(row.assign(albumin_g_dl=value), fitted.spec.inputs)
        assert p == pytest.approx(fitted.predict_proba(X)[0, 1])
    assert curve.p_own == pytest.approx(found.probability)
    assert len(found.what_if) == 4
    assert len({c.feature for c in found.what_if}) == 4


def test_assays_used_and_missing_part_the_inputs(run, tables, some):
    for patient in some:
        found = explain_patient(run, tables, patient, "ridge")
        row = run.cohort[run.cohort["patient_id"] == patient].iloc[0]
        inputs = run.models["ridge"].spec.inputs
        assert set(found.missing) == {f for f in inputs if f not in row or pd.isna(row[f])}
        used = {f for block in found.rested_on.values() for f in block}
        assert used == set(inputs) - set(found.missing)


def test_range_and_set_are_those_of_the_tables(run, tables, some):
    found = explain_patient(run, tables, some[0], "ridge")
    row = tables["stability"].query("model == 'ridge' and patient_id == @some[0]").iloc[0]
    assert found.range is not None
    assert (found.range.low, found.range.high) == (row["p_low"], row["p_high"])
    row = tables["conformal"].query("model == 'ridge' and patient_id == @some[0]").iloc[0]
    assert [(s.coverage, s.outcomes) for s in found.sets] == [(0.9, row["prediction_set"])]
    without = explain_patient(run, {"shap": tables["shap"]}, some[0], "ridge")
    assert without.range is None
    assert without.sets == ()


def test_repeats_are_averaged_or_taken_one_by_one(run, tables, some):
    """A second repetition with the same folds, by the same models, and predictions that differ by 0.1."""

    class Twice:
        name = run.scheme.name

        def split(self, cohort, y):
            for split in list(run.scheme.split(cohort, y)):
                yield split
                yield replace(split, repeat=1)

    more = run.predictions.assign(repeat=1, p_response=run.predictions["p_response"] - 0.1)
    shap = pd.concat([tables["shap"], tables["shap"].assign(repeat=1, nlr=0.0)], ignore_index=True)
    doubled = replace_run(run, Twice(), pd.concat([run.predictions, more], ignore_index=True))
    one, both = (
        explain_patient(doubled, {"shap": shap}, some[0], "ridge", repeat=r, asked=[Asked("nlr", None)])
        for r in (0, None)
    )
    assert both.probability == pytest.approx(one.probability - 0.05)
    nlr = [next(c.shap for c in e.contributions if c.feature == "nlr") for e in (one, both)]
    assert nlr[1] == pytest.approx(nlr[0] / 2)
    assert both.folds == ((0, one.cohort_id), (1, one.cohort_id))
    assert both.what_if[0].p == pytest.approx(one.what_if[0].p)


def replace_run(run, scheme, predictions):
    """The run under another scheme, whose models are those of the first repetition."""
    return replace(
        run,
        scheme=scheme,
        predictions=predictions,
        load_model=lambda model, fold: run.load_model(model, "r0" + fold[2:]),
    )


def test_json_is_strict(run, tables, some):
    found = explain_patient(run, tables, some[0], "ridge", top=3).to_dict()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["patient_id"] == some[0]
    assert len(found["neighbours"]["table"]) == 20


def test_an_abstaining_model_says_what_is_missing(run, tables, some):
    rows = run.predictions["patient_id"].eq(some[0]) & run.predictions["model"].eq("ridge")
    predictions = run.predictions.copy()
    predictions.loc[rows, "abstained"] = True
    predictions.loc[rows, "p_response"] = np.nan
    cohort = run.cohort.copy()
    cohort.loc[cohort["patient_id"] == some[0], "tumor_type"] = None
    shap = tables["shap"][tables["shap"]["patient_id"] != some[0]]
    gone = replace(run, cohort=cohort, predictions=predictions)
    found = explain_patient(gone, {"shap": shap}, some[0], "ridge", top=6, asked=[Asked("nlr", "3")])
    assert found.reason == "missing: tumor_type"
    assert np.isnan(found.probability)
    assert found.contributions == found.what_if == ()
    assert "tumor_type" in found.missing


@pytest.mark.parametrize(
    ("patient", "says"),
    [
        ("synthetic-A-0001", "Near matches: synthetic-A-00"),
        ("00001", "several patients have ids that end so: synthetic-A-00001, synthetic-B-00001, synthetic-C-00001"),
        ("nobody", "Ids look like 'synthetic-A-00001'"),
        ("", "There is no patient ''"),
    ],
)
def test_an_unknown_patient_is_refused_with_near_matches(run, tables, patient, says):
    with pytest.raises(NotFoundError, match=says):
        explain_patient(run, tables, patient, "ridge")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("tmb_10", "published rule.*Explained models: forest, ridge, xgboost"),
        ("ridg", "The run has no model 'ridg'. Explained models: forest"),
    ],
)
def test_a_model_without_values_is_refused(run, tables, some, model, says):
    with pytest.raises(NotFoundError, match=says):
        explain_patient(run, tables, some[0], model)


def test_a_learner_that_was_left_out_says_why(run, tables, some):
    shap = tables["shap"][tables["shap"]["model"] != "forest"]
    unexplained = {**run.models, "forest": run.models["forest"].set_params(explainer="none")}
    try:
        with pytest.raises(NotFoundError, match=r"not explained in this run \(its estimator.*fallback=sampled"):
            explain_patient(replace(run, models=unexplained), {"shap": shap}, some[0], "forest")
    finally:
        run.models["forest"].set_params(explainer="tree")


def test_a_patient_without_a_held_out_prediction_is_told_from_an_unknown_one(run, tables):
    patient = run.cohort.loc[run.y.isna().to_numpy(), "patient_id"].iloc[0]
    with pytest.raises(NotFoundError, match=r"the outcome \(response\) is not known.*--file"):
        explain_patient(run, tables, patient, "ridge")


def test_a_question_outside_of_the_training_range_is_refused(run, tables, some):
    with pytest.raises(ConfigError, match="outside of what the model has seen"):
        explain_patient(run, tables, some[0], "ridge", asked=[Asked("nlr", "290")])


def test_linked_ids_of_a_person_are_named(run, tables, some):
    cohort = run.cohort.copy()
    cohort.loc[cohort["patient_id"] == some[0], "person_id"] = some[1]
    assert explain_patient(replace(run, cohort=cohort), tables, some[0], "ridge").linked == (some[1],)


def test_warnings_where_a_patient_leaves_what_was_trained_on(run, some):
    training = run.training(0, "synthetic-A")
    y = np.zeros(len(training), dtype=int)
    inputs = run.models["ridge"].spec.inputs

    def warned(used=inputs, **values):
        patient = run.cohort[run.cohort["patient_id"] == some[0]].assign(**values)
        return " ".join(
            domain_warnings(patient, training, inputs, used, similar_patients(patient, training, y, inputs))
        )

    assert "NLR 250 lies above those of all" in warned(nlr=250.0)
    assert "Albumin 1 g/dL lies below" in warned(albumin_g_dl=1.0)
    counts = training["tumor_type"].value_counts()
    absent = next(t for t in TUMOR_TYPES if t not in counts)
    rare = next(t for t in TUMOR_TYPES if 1 < counts.get(t, 0) < 10)
    assert f"Tumour type is {absent}: no training patient has it" in warned(tumor_type=absent)
    assert f"Tumour type is {rare}: {counts[rare]} training patients had it" in warned(tumor_type=rare)
    assert "NLR was measured, and no training patient told" in warned(used=[f for f in inputs if f != "nlr"], nlr=3.0)
    assert warned(nlr=3.0, albumin_g_dl=3.9, tumor_type="NSCLC", tmb_mut_mb=6.0) == ""


def test_words_of_values():
    assert value_words("tmb_mut_mb", 123.4) == "123 mut/Mb"
    assert value_words("egfr_mut", 0) == "no"
    assert value_words("tumor_type", "Renal") == "Renal"
    assert value_words("nlr", np.nan) == "not measured"
