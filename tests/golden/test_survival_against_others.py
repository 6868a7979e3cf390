"""Kaplan-Meier, log-rank, Cox, concordance, AUC and Brier score against R's survival, scikit-survival and lifelines."""

import numpy as np
import pytest

from immunocast.metrics import (
    brier_survival,
    c_harrell,
    c_uno,
    cox,
    integrated_brier,
    kaplan_meier,
    logrank,
    td_auc,
)

MONTHS = [6.0, 12.0, 18.0]


def columns(part):
    """Time, event and risk of the patients."""
    return part["time_months"].to_numpy(), part["event"].to_numpy(), part["risk"].to_numpy()


@pytest.mark.parametrize("place", ["all", "north", "south", "west", "tertile_1", "tertile_2", "tertile_3"])
def test_kaplan_meier_is_that_of_r(patients, places, reference, place):
    found = reference("survival")
    third = np.array(found["tertile"])
    thirds = {f"tertile_{k}": patients[third == k] for k in (1, 2, 3)}
    expected = found["kaplan_meier"][place]
    curve = kaplan_meier(*columns((places | thirds)[place])[:2])
    survival, low, high = curve.at(expected["months"])
    assert survival == pytest.approx(expected["survival"], abs=1e-12)
    assert low == pytest.approx(expected["ci_low"], abs=1e-12)
    assert high == pytest.approx(expected["ci_high"], abs=1e-12)
    assert curve.at_risk(expected["months"]).tolist() == expected["n_risk"]
    medians = [np.nan if expected[k] in (None, "NA") else expected[k] for k in ("median", "median_low", "median_high")]
    assert curve.median() == pytest.approx(medians, nan_ok=True)


def test_logrank_is_that_of_r(patients, reference):
    found = reference("survival")
    third, expected = np.array(found["tertile"]), found["log_rank"]
    time, event, _ = columns(patients)
    outer = third != 2
    tests = {
        "arm": logrank(time, event, patients["arm"]),
        "tertile": logrank(time, event, third),
        "tertile_by_cohort": logrank(time, event, third, strata=patients["cohort_id"]),
        "first_against_third": logrank(time[outer], event[outer], third[outer]),
    }
    for name, ours in tests.items():
        theirs = expected[name]
        assert (ours.statistic, ours.df, ours.p) == pytest.approx(
            (theirs["chisq"], theirs["df"], theirs["p"]), rel=1e-9
        )


def test_cox_is_that_of_r(patients, reference):
    found = reference("survival")
    third, expected = np.array(found["tertile"]), found["cox"]
    time, event, risk = columns(patients)
    outer = third != 2
    fits = {
        "risk": cox(time, event, risk[:, None]),
        "risk_by_cohort": cox(time, event, risk[:, None], strata=patients["cohort_id"]),
        "risk_and_arm": cox(time, event, patients[["risk", "arm"]].to_numpy()),
        "third_against_first": cox(time[outer], event[outer], (third[outer] == 3).astype(float)[:, None]),
    }
    for name, ours in fits.items():
        assert ours.coefficients[0] == pytest.approx(expected[name]["coefficient"], abs=1e-7), name
        assert ours.standard_errors[0] == pytest.approx(expected[name]["se"], abs=1e-7), name


@pytest.mark.parametrize("place", ["all", "north", "south"])
def test_concordance_auc_and_brier_are_those_of_scikit_survival(places, reference, place):
    expected = reference("survival_python")["places"][place]
    part = places[place]
    time, event, risk = columns(part)
    assert c_harrell(time, event, risk) == pytest.approx(expected["harrell"], abs=1e-12)
    assert c_uno(time, event, risk, 18.0) == pytest.approx(expected["uno_until_18"], abs=1e-12)
    assert [td_auc(time, event, risk, t) for t in MONTHS] == pytest.approx(expected["auc"], abs=1e-12)
    survival = part[["survival_6", "survival_12", "survival_18"]].to_numpy()
    assert brier_survival(time, event, survival, MONTHS) == pytest.approx(expected["brier"], abs=1e-12)
    assert integrated_brier(time, event, survival, MONTHS) == pytest.approx(expected["integrated_brier"], abs=1e-12)


@pytest.mark.parametrize("place", ["all", "north", "south", "west"])
def test_concordance_is_that_of_r(places, reference, place):
    """R weights by the censoring just before a time and counts events at the limit; scikit-survival and we do neither.

    Who is censored is moved behind the events of that half month, and the limit behind its month: that is R's rule.
    """
    time, event, risk = columns(places[place])
    found = reference("survival")
    assert c_harrell(time, event, risk) == pytest.approx(found["harrell"][place]["concordance"], abs=1e-12)
    moved = time + 0.01 * (event == 0)
    for limit, name in ((18.0, "uno_until_18"), (np.inf, "uno")):
        r = found[name][place]["concordance"]
        assert c_uno(moved, event, risk, limit + 0.001) == pytest.approx(r, abs=1e-12)
        # the rules differ where half months tie
        assert 1e-6 < abs(c_uno(time, event, risk, limit) - r) < 0.03
