"""Agreement of importances between models, cohorts and methods."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from immunocast.explain.agreement import Side, between_cohorts, between_methods, between_models, compared
from immunocast.explain.losses import Losses
from immunocast.explain.per_patient import PerPatient
from immunocast.store.schemas import conform

FEATURES = ("fcna", "hed", "gep_score", "nlr", "albumin_g_dl", "tumor_type")
RESAMPLES = {"n_resamples": 200, "seed": 0}


def whole(model="m", importance=(6, 5, 4, 3, 2, 1), signs=(1, 1, 1, 1, 1), n=200, scale="log-odds", seed=0, gap=()):
    """A model whose features matter as told, each in the direction told; the category has none."""
    rng = np.random.default_rng(seed)
    patients = pd.DataFrame({f: rng.normal(size=n) for f in FEATURES[:-1]})
    patients["tumor_type"] = rng.choice(["NSCLC", "Renal"], n)
    patients["patient_id"] = [f"p{i:04d}" for i in range(n)]
    patients["person_id"] = patients["patient_id"]
    patients["cohort_id"] = np.where(np.arange(n) % 2, "B", "A")
    for feature in gap:
        patients.loc[patients["cohort_id"] == "B", feature] = np.nan
    signed = np.column_stack(
        [s * w * patients[f].fillna(0) for s, w, f in zip(signs, importance, FEATURES, strict=False)]
        + [importance[-1] * np.where(patients["tumor_type"] == "Renal", 1.0, -1.0)]
    )
    return PerPatient(model, "s", "response", scale, patients, FEATURES, np.abs(signed), signed)


def one(a, b):
    (row,) = between_models({a.model: a, b.model: b}, **RESAMPLES)
    return row


def test_two_models_that_agree():
    row = one(whole("a"), whole("b", importance=(60, 50, 40, 30, 20, 10)))
    assert row["rank_correlation"] == pytest.approx(1)
    assert row["same_direction"] == 1
    assert row["top_shared"] == 5
    assert (row["n_features"], row["n_a"], row["n_b"], row["model"]) == (6, 200, 200, "")
    assert row["note"] == ""
    assert row["ci_low"] <= 1 <= row["ci_high"] + 1e-12


def test_the_correlation_is_spearmans_and_the_interval_holds_it():
    a, b = whole("a"), whole("b", importance=(1, 2, 3.1, 3, 5, 6), seed=1)
    row = one(a, b)
    assert row["rank_correlation"] == pytest.approx(spearmanr(a.mean, b.mean).statistic)
    assert row["ci_low"] <= row["rank_correlation"] <= row["ci_high"]
    assert row == one(a, b), "seeded"


def test_opposite_direction_weighs_by_importance():
    row = one(whole("a"), whole("b", signs=(1, -1, 1, 1, 1)))
    share = whole("a").mean / whole("a").mean.sum()
    assert row["same_direction"] == pytest.approx(1 - share[1] / share[:5].sum()), "the category has no direction"
    assert row["note"].startswith("opposite directions: ")
    assert row["note"].count(",") == 0


def test_scales_are_told_and_a_hazard_is_turned():
    hazard = whole("cox", signs=(-1,) * 5, scale="log-hazard")
    row = one(whole("a"), hazard)
    assert row["same_direction"] == 1
    assert "sizes differ" in row["note"]
    assert "turned" in row["note"]
    both = one(whole("cox2", signs=(-1,) * 5, scale="log-hazard"), hazard)
    assert both["same_direction"] == 1
    assert both["note"] == ""


def test_features_of_one_model_only():
    a, b = whole("a"), whole("b")
    fewer = PerPatient(
        "b", "s", "response", "log-odds", b.patients, FEATURES[:4], b.absolute[:, :4], b.signed[:, :4]
    )  # fmt: skip
    row = one(a, fewer)
    assert row["n_features"] == 4
    assert row["top_shared"] is pd.NA, "four features have no first five"
    assert row["note"].startswith("only in a: Albumin")
    three = PerPatient("b", "s", "response", "log-odds", b.patients, FEATURES[:3], b.absolute[:, :3], b.signed[:, :3])
    row = one(a, three)
    assert np.isnan(row["rank_correlation"])
    assert row["note"].startswith("fewer than 4 features")


def test_cohorts_and_what_one_of_them_did_not_measure():
    (row,) = between_cohorts(whole(gap=("hed",)), **RESAMPLES)
    assert (row["a"], row["b"], row["n_a"], row["n_b"], row["n_features"]) == ("A", "B", 100, 100, 5)
    assert row["note"].startswith("measured in fewer than 20 patients of B: ")
    assert row["same_direction"] == 1
    assert between_cohorts(whole(n=38), **RESAMPLES) == [], "19 patients a cohort"


def test_a_direction_that_turns_between_cohorts():
    world = whole()
    turned = world.signed.copy()
    turned[np.arange(200) % 2 == 1, 0] *= -1
    world = PerPatient("m", "s", "response", "log-odds", world.patients, FEATURES, np.abs(turned), turned)
    (row,) = between_cohorts(world, **RESAMPLES)
    assert row["same_direction"] < 0.75
    assert "opposite directions" in row["note"]


def test_methods_have_no_direction():
    world = whole()
    done = Losses("permutation", world.absolute[:, ::-1] / 10, 5, {})
    gone = world.absolute / 10
    gone[:, 2] = np.nan
    rows = between_methods(world, [done, Losses("drop_column", gone, 1, {"gep_score": "why"})], **RESAMPLES)
    assert [(r["a"], r["b"]) for r in rows] == [
        ("shap", "permutation"), ("shap", "drop_column"), ("permutation", "drop_column"),
    ]  # fmt: skip
    assert rows[0]["rank_correlation"] < 0
    assert rows[1]["rank_correlation"] == pytest.approx(1)
    assert rows[1]["n_features"] == 5
    assert all(np.isnan(r["same_direction"]) for r in rows)
    assert len(conform("agreement", pd.DataFrame(rows))) == 3


def test_patients_of_both_sides_are_drawn_for_both():
    """Two sides of the same values always agree, whoever is drawn."""
    world = whole(importance=(3, 3, 3, 3, 3, 3))
    side = Side("x", world.patients, dict(zip(FEATURES, world.absolute.T, strict=True)), {})
    order = np.random.default_rng(0).permutation(len(world.patients))
    mixed = Side("y", world.patients.iloc[order], {f: v[order] for f, v in side.values.items()}, {})
    row = compared(side, mixed, note=[], **RESAMPLES)
    assert row["ci_low"] == pytest.approx(1)


def test_a_real_run(plain):
    rows = between_cohorts(plain.explained["ridge"], **RESAMPLES)
    assert [(r["a"], r["b"]) for r in rows] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert all(r["n_features"] == 7 and r["n_a"] == r["n_b"] == 120 for r in rows)
    assert all(r["rank_correlation"] > 0.3 for r in rows)
