"""The importance table: means, intervals over persons, ranks, direction, subgroups."""

import numpy as np
import pandas as pd
import pytest

from immunocast.errors import ConfigError
from immunocast.explain.importance import MIN_PATIENTS, importance_table
from immunocast.store.schemas import conform


def world(n=90, seed=0, repeats=1, persons=None):
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03d}" for i in range(n)]
    cohort = pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": ["A", "B", "C"] * (n // 3),
            "person_id": persons if persons is not None else ids,
            "nlr": np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(1.5, 0.7, n)),
            "albumin_g_dl": rng.normal(3.9, 0.4, n),
            "tumor_type": np.repeat(["NSCLC", "Renal", "SCLC"], [50, n - 50 - 10, 10]),
            "sex": rng.choice(["female", "male"], n),
        }
    )
    rows = [
        pd.DataFrame(
            {
                "patient_id": ids, "cohort_id": cohort["cohort_id"], "model": "ridge", "scheme": "s",
                "repeat": r, "fold": "f", "endpoint": "response", "output_scale": "log-odds",
                "base_value": 0.0, "output": 0.0,
                "nlr": -0.3 * (np.log(cohort["nlr"].fillna(4)) - 1.5) + 0.01 * r,
                "albumin_g_dl": 0.9 * (cohort["albumin_g_dl"] - 3.9),
                "tumor_type": np.where(cohort["tumor_type"] == "Renal", 0.05, -0.02),
            }
        )
        for r in range(repeats)
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True), cohort


def table(shap, cohort, **more):
    """Rows of features; groups have tests of their own."""
    found = importance_table(shap, cohort, **{"n_resamples": 400, **more})
    return found[found["kind"] == "feature"].reset_index(drop=True)


def everybody(found):
    return found[found["subgroup"] == "all"].set_index("feature")


def test_means_ranks_counts_and_signs_by_hand():
    shap, cohort = world()
    found = table(shap, cohort)
    overall = everybody(found)
    for feature in ("nlr", "albumin_g_dl", "tumor_type"):
        assert overall.loc[feature, "mean_abs_shap"] == pytest.approx(shap[feature].abs().mean())
    assert overall.sort_values("mean_abs_shap", ascending=False)["rank"].tolist() == [1, 2, 3]
    assert overall["n"].eq(90).all()
    assert overall.loc["nlr", "n_measured"] == cohort["nlr"].notna().sum()
    assert overall.loc["nlr", "sign"] == pytest.approx(-1)
    assert overall.loc["albumin_g_dl", "sign"] == pytest.approx(1)
    assert np.isnan(overall.loc["tumor_type", "sign"])
    assert overall.loc["nlr", "group"] == "blood"
    assert len(conform("importance", found)) == len(found)


def test_intervals_hold_the_estimate_and_ranks_are_whole():
    found = table(*world())
    assert (found["ci_low"] <= found["mean_abs_shap"]).all()
    assert (found["mean_abs_shap"] <= found["ci_high"]).all()
    assert (
        (found["rank_low"] >= 1) & (found["rank_low"] <= found["rank"]) & (found["rank"] <= found["rank_high"])
    ).all()
    assert found["rank_high"].max() <= 3


def test_interval_width_is_that_of_a_mean():
    """The bootstrap's half-width is 1.96 standard errors, up to its own noise."""
    shap, cohort = world(n=300)
    overall = everybody(table(shap, cohort, n_resamples=4000))
    for feature in ("nlr", "albumin_g_dl"):
        se = shap[feature].abs().std(ddof=0) / np.sqrt(300)
        width = overall.loc[feature, "ci_high"] - overall.loc[feature, "ci_low"]
        assert width == pytest.approx(2 * 1.96 * se, rel=0.08)


def test_the_resampling_unit_is_the_person():
    """Every patient twice, under two ids: the means stay, the intervals must not shrink as if n had doubled."""
    shap, cohort = world(n=90)
    twin = cohort.assign(patient_id=cohort["patient_id"] + "x")
    both = pd.concat([cohort, twin], ignore_index=True)
    shap2 = pd.concat([shap, shap.assign(patient_id=shap["patient_id"] + "x")], ignore_index=True)
    once, linked = (everybody(table(s, c, n_resamples=3000)) for s, c in ((shap, cohort), (shap2, both)))
    ratio = (linked["ci_high"] - linked["ci_low"]) / (once["ci_high"] - once["ci_low"])
    assert np.allclose(linked["mean_abs_shap"], once["mean_abs_shap"])
    assert ratio.between(0.9, 1.1).all()


def test_seed_decides_and_row_order_does_not():
    shap, cohort = world()
    a = table(shap, cohort, seed=1)
    pd.testing.assert_frame_equal(a, table(shap, cohort, seed=1))
    assert not a["ci_low"].equals(table(shap, cohort, seed=2)["ci_low"])
    order = np.random.default_rng(0).permutation(len(shap))
    mixed = table(shap.iloc[order], cohort.sample(frac=1, random_state=0), seed=1)
    pd.testing.assert_frame_equal(a, mixed)


def test_repeats_are_averaged_before_anything_else():
    shap, cohort = world(repeats=3)
    overall = everybody(table(shap, cohort))
    assert overall["n"].eq(90).all(), "a patient counts once, however often predicted"
    expected = shap["nlr"].abs().groupby(shap["patient_id"]).mean().mean()
    assert overall.loc["nlr", "mean_abs_shap"] == pytest.approx(expected)
    assert overall["repeat"].eq(-1).all()


def test_subgroups_sum_to_everybody_and_small_ones_are_left_out():
    shap, cohort = world()
    found = table(shap, cohort, by=("tumor_type", "sex", "cohort_id"))
    one = found[found["feature"] == "nlr"]
    assert one[one["subgroup"] == "sex"]["n"].sum() == one[one["subgroup"] == "cohort_id"]["n"].sum() == 90
    assert set(one.loc[one["subgroup"] == "tumor_type", "level"]) == {"NSCLC", "Renal"}, "10 SCLC are too few"
    assert one["n"].min() >= MIN_PATIENTS
    for variable in ("sex", "cohort_id"):
        part = one[one["subgroup"] == variable]
        weighted = (part["mean_abs_shap"] * part["n"]).sum() / 90
        assert weighted == pytest.approx(everybody(found).loc["nlr", "mean_abs_shap"])


@pytest.mark.parametrize("column", ["tumour_type", "age_years", "patient_id", "p_response"])
def test_by_names_categories(column):
    with pytest.raises(ConfigError, match=f"explain.by: '{column}'"):
        table(*world(), by=(column,))


def test_models_with_other_features_stand_side_by_side():
    shap, cohort = world()
    other = shap.drop(columns=["nlr"]).assign(model="other", nlr=np.nan)
    found = table(pd.concat([shap, other], ignore_index=True), cohort)
    assert set(found.loc[found["model"] == "other", "feature"]) == {"albumin_g_dl", "tumor_type"}
    assert found.loc[found["model"] == "other", "rank"].max() == 2


def test_nothing_to_explain():
    _, cohort = world()
    assert importance_table(pd.DataFrame(), cohort).empty
    assert conform("importance", importance_table(conform("shap", pd.DataFrame()), cohort)).empty


def test_a_model_that_answers_the_same_to_everybody_has_no_importances():
    shap, cohort = world()
    constant = shap.assign(model="constant", nlr=0.0, albumin_g_dl=0.0, tumor_type=0.0)
    found = importance_table(pd.concat([constant, shap], ignore_index=True), cohort, clusters=0.5, n_resamples=50)
    assert set(found["model"]) == {"ridge"}
    assert importance_table(constant, cohort, clusters=0.5, n_resamples=50).empty
