"""Patients whose response and PD-L1 disagree, against those whom PD-L1 got right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.table import to_cohort_table
from immunocast.explain.discordant import MIN_PATIENTS, discordant_table
from immunocast.explain.inputs import ExplainInputs
from immunocast.store.schemas import conform
from immunocast.validation.splits import LeaveOneCohortOut

N = 30


def make(endpoint="response", n=N, seed=0):
    """`n` patients of each of low and high PD-L1 with each outcome, and as many between; their SHAP values."""
    rng = np.random.default_rng(seed)
    tps = np.repeat([0.0, 0.0, 50.0, 90.0, 20.0, np.nan], n)
    y = np.repeat([1, 0, 1, 0, 1, 0], n)
    cohort = to_cohort_table(
        pd.DataFrame(
            {
                "patient_id": [f"p{k:03d}" for k in range(len(y))],
                "cohort_id": "a",
                "pdl1_tps": tps,
                "tmb_mut_mb": np.where(y == 1, 12.0, 4.0),
                "nlr": rng.uniform(1, 9, len(y)),
                "nlr_measured": 1,
                "tumor_type": "NSCLC",
                "responder": y,
            }
        )
    )
    run = ExplainInputs(
        cohort=cohort, y=pd.Series(y, dtype="Int64"), scheme=LeaveOneCohortOut(), scheme_name="k", endpoint=endpoint,
        models={}, predictions=pd.DataFrame(), load_model=lambda m, f: None,
    )  # fmt: skip
    values = {
        "tmb_mut_mb": np.where(y == 1, 0.5, -0.2) + rng.normal(0, 0.05, len(y)),
        "nlr": rng.normal(0, 0.1, len(y)),
        "tumor_type": np.full(len(y), 0.01),
        "plr": 0.0,
    }
    parts = [
        pd.DataFrame({"patient_id": cohort["patient_id"].astype(str), "cohort_id": "a", "model": "ridge", "scheme": "k",
                      "repeat": r, "fold": "a", "endpoint": endpoint, "output_scale": "log-odds", "method": "linear",
                      "base_value": 0.0, "output": 0.0, **{f: v + shift for f, v in values.items()}})
        for r, shift in ((0, 0.1), (1, -0.1))
    ]  # fmt: skip
    return run, pd.concat(parts, ignore_index=True).assign(plr=0.0)


def table(run, shap, **more):
    return conform("discordant", discordant_table(run, shap, **{"n_resamples": 200, "seed": 1} | more))


def row(found, stratum, feature="tmb_mut_mb"):
    (hit,) = found[(found["stratum"] == stratum) & (found["feature"] == feature)].to_dict("records")
    return hit


def test_means_differences_medians_and_ranks_are_those_of_the_two_sides():
    run, shap = make()
    found = table(run, shap)
    assert set(found["feature"]) == {"tmb_mut_mb", "nlr", "tumor_type"}  # nobody used PLR
    low = row(found, "pdl1_low_responders")
    mean = shap.groupby("patient_id")["tmb_mut_mb"].mean().to_numpy()
    assert (low["n"], low["n_reference"], low["reference"]) == (N, N, "pdl1_low_non_responders")
    assert low["mean_shap"] == pytest.approx(mean[:N].mean())
    assert low["difference"] == pytest.approx(mean[:N].mean() - mean[N : 2 * N].mean())
    assert low["ci_low"] < low["difference"] < low["ci_high"]
    assert low["ci_low"] > 0.66
    assert (low["median_value"], low["median_value_reference"], low["rank"]) == (12, 4, 1)
    high = row(found, "pdl1_high_non_responders")
    assert high["difference"] == pytest.approx(mean[3 * N : 4 * N].mean() - mean[2 * N : 3 * N].mean())
    assert np.isnan(row(found, "pdl1_low_responders", "tumor_type")["median_value"])
    noise = row(found, "pdl1_low_responders", "nlr")
    assert noise["ci_low"] < 0 < noise["ci_high"]


def test_an_endpoint_whose_event_is_bad_turns_the_sides():
    same = table(*make())
    reversed_ = table(*make("primary_resistance"))
    low = row(reversed_, "pdl1_low_responders")  # who did well: no event
    assert low["difference"] == pytest.approx(-row(same, "pdl1_low_responders")["difference"])
    assert low["median_value"] == 4


def test_an_endpoint_that_does_not_tell_response_and_no_pdl1_give_no_rows():
    assert table(*make("irae")).empty
    run, shap = make()
    assert table(replace(run, cohort=run.cohort.drop(columns="pdl1_tps")), shap).empty
    assert table(run, shap.head(0)).empty


def test_few_patients_on_a_side_leave_numbers_empty():
    enough, few = table(*make(n=MIN_PATIENTS)), table(*make(n=MIN_PATIENTS - 1))
    assert enough["difference"].notna().all()
    assert few[["mean_shap", "difference", "ci_low", "median_value", "rank"]].isna().all(axis=None)
    assert few["note"].str.contains("fewer than 10 patients").all()
    assert (few["n"] == MIN_PATIENTS - 1).all()


def test_values_that_the_source_imputed_have_no_median():
    run, shap = make()
    cohort = run.cohort.assign(nlr_measured=pd.array([0] * len(run.cohort), dtype="Int64"))
    found = table(replace(run, cohort=cohort), shap)
    assert np.isnan(row(found, "pdl1_low_responders", "nlr")["median_value"])


def test_patients_of_a_person_are_drawn_together_and_order_does_not_matter():
    run, shap = make()
    once = row(table(run, shap), "pdl1_low_responders", "nlr")
    cohort = run.cohort.copy()
    cohort["person_id"] = [f"q{k // 10}" for k in range(len(cohort))]
    alike = shap.assign(nlr=shap["patient_id"].str[1:].astype(int) // 10 % 7 * 0.1)
    apart = row(table(run, alike), "pdl1_low_responders", "nlr")
    together = row(table(replace(run, cohort=cohort), alike), "pdl1_low_responders", "nlr")
    assert together["ci_high"] - together["ci_low"] > 1.5 * (apart["ci_high"] - apart["ci_low"])
    again = row(table(run, shap.sample(frac=1, random_state=3)), "pdl1_low_responders", "nlr")
    assert again == pytest.approx(once, nan_ok=True)
