import numpy as np
import pandas as pd
import pytest

from immunocast.metrics import net_benefit, net_benefit_treat_all
from immunocast.validation.evaluate import evaluate
from immunocast.validation.evaluate_curves import DECISION_GRID, SMOOTH_POINTS

FEW = 100


def patients(p, y, model, recalibration="none", cohort="a"):
    n = len(y)
    ids = [f"{cohort}{i:05d}" for i in range(n)]
    return pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": cohort,
            "person_id": ids,
            "model": model,
            "recalibration": recalibration,
            "scheme": "leave_one_cohort_out",
            "repeat": 0,
            "fold": cohort,
            "endpoint": "response",
            "y_true": y,
            "p_response": p,
            "abstained": np.isnan(p),
            "assays": "dna",
            "in_training": False,
        }
    )


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(4)
    p = rng.beta(2, 4, 700)
    return p, (rng.random(700) < p).astype(int)


@pytest.fixture(scope="module")
def frame(truth):
    """True probabilities; the same too high by a logit, raw and repaired; and a marker known for half the patients."""
    p, y = truth
    too_high = 1 / (1 + (1 - p) / p * np.exp(-1))
    marker = np.where(np.arange(700) % 2 == 0, np.where(p > 0.3, 0.4, 0.2), np.nan)
    return pd.concat(
        [
            patients(p, y, "true"),
            patients(too_high, y, "high"),
            patients(p, y, "high", "platt"),
            patients(p, y, "true", "platt"),
            patients(marker, y, "marker"),
        ]
    )


@pytest.fixture(scope="module")
def curves(frame):
    return evaluate(frame, n_resamples=400, references=["high"], thresholds=[0.3]).curves


def points(curves, curve, model, level="all", cohort="combined"):
    keep = (curves["curve"] == curve) & (curves["model"] == model) & (curves["level"] == level)
    return curves[keep & (curves["cohort_id"] == cohort)]


def test_the_band_of_true_probabilities_holds_the_diagonal(curves):
    smooth = points(curves, "calibration_smooth", "true")
    assert len(smooth) == SMOOTH_POINTS
    inside = (smooth["ci_low"] <= smooth["x"]) & (smooth["x"] <= smooth["ci_high"])
    assert inside.mean() >= 0.9
    assert (smooth["ci_high"] - smooth["ci_low"]).max() < 0.5
    assert ((smooth["ci_low"] <= smooth["y"]) & (smooth["y"] <= smooth["ci_high"])).all()
    wrong = points(curves, "calibration_smooth", "high")
    assert (wrong["ci_high"] < wrong["x"]).mean() > 0.8
    repaired = points(curves, "calibration_smooth", "high+platt")
    assert repaired["y"].to_numpy() == pytest.approx(smooth["y"].to_numpy())


def test_a_smooth_curve_stays_between_the_tenth_predictions_and_leaves_cut_offs_to_the_bins(truth, curves):
    ordered = np.sort(truth[0])
    smooth = points(curves, "calibration_smooth", "true")
    assert (smooth["x"].min(), smooth["x"].max()) == (ordered[9], ordered[-10])
    assert (smooth["n"] == 700).all()
    assert points(curves, "calibration_smooth", "marker").empty
    assert len(points(curves, "calibration", "marker")) == 2


def test_decision_curves_have_bands_around_the_net_benefit(truth, curves):
    p, y = truth
    decision = points(curves, "decision", "true").set_index("x")
    for t in (0.01, 0.3, 0.8):
        assert decision.loc[t, "y"] == pytest.approx(net_benefit(y, p, t))
    everybody = points(curves, "decision", "treat_all").set_index("x")
    assert everybody["y"].to_numpy() == pytest.approx([net_benefit_treat_all(y, t) for t in DECISION_GRID])
    # with b the band of the rate, the band of treat-all is b - (1 - b) odds
    rate = (everybody["y"] + DECISION_GRID / (1 - DECISION_GRID)) * (1 - DECISION_GRID)
    assert rate.to_numpy() == pytest.approx(np.full(80, y.mean()))
    half = 1.96 * np.sqrt(y.mean() * (1 - y.mean()) / 700)
    width = (everybody["ci_high"] - everybody["ci_low"]).to_numpy() * (1 - DECISION_GRID) / 2
    assert width == pytest.approx(np.full(80, half), rel=0.12)
    nobody = points(curves, "decision", "treat_none")
    assert (nobody[["y", "ci_low", "ci_high"]] == 0).all(axis=None)


def test_differences_are_on_common_patients(truth, frame, curves):
    _, y = truth
    known = np.arange(700) % 2 == 0
    marker = frame.loc[frame["model"] == "marker", "p_response"].to_numpy()[known]
    too_high = frame.loc[(frame["model"] == "high") & (frame["recalibration"] == "none"), "p_response"].to_numpy()
    against = points(curves, "decision_difference", "marker", "high").set_index("x")
    assert (against["n"] == 350).all()
    for t in (0.1, 0.3, 0.6):
        expected = net_benefit(y[known], marker, t) - net_benefit(y[known], too_high[known], t)
        assert against.loc[t, "y"] == pytest.approx(expected)
    everybody = points(curves, "decision_difference", "marker", "treat_all").set_index("x")
    expected = net_benefit(y[known], marker, 0.3) - net_benefit_treat_all(y[known], 0.3)
    assert everybody.loc[0.3, "y"] == pytest.approx(expected)
    # calibrated against too high: clearly better where it matters, and told so by the band
    better = points(curves, "decision_difference", "true", "high").set_index("x")
    assert better.loc[0.4, "ci_low"] > 0
    assert points(curves, "decision_difference", "high", "high").empty


def test_a_recalibrated_model_is_compared_like_with_like_and_never_taken_for_the_raw_one(frame):
    result = evaluate(frame, n_resamples=FEW, references=["high"], thresholds=[0.3])
    pairs = set(zip(result.comparisons["model"], result.comparisons["reference_model"], strict=True))
    assert pairs == {
        ("true", "high"),
        ("marker", "high"),
        ("true+platt", "high"),
        ("true+platt", "high+platt"),
        ("high+platt", "high"),
    }
    rows = result.comparisons.set_index(["metric", "cohort_id", "model", "reference_model"])
    assert rows.loc[("brier", "combined", "true+platt", "high+platt"), "difference"] == 0
    assert rows.loc[("brier", "combined", "true+platt", "high"), "difference"] < 0
    levels = set(points_of(result.curves, "true+platt")["level"])
    assert levels == {"treat_all", "high", "high+platt"}


def points_of(curves, model):
    return curves[(curves["curve"] == "decision_difference") & (curves["model"] == model)]
