"""AUROC, DeLong, calibration and Brier against R's pROC, rms and glm."""

import numpy as np
import pytest
from scipy.stats import norm

from immunocast.metrics import (
    auroc,
    auroc_influence,
    brier,
    calibration_intercept,
    calibration_slope,
    delong_difference,
    delong_interval,
    delong_variance,
    ici,
    oe_ratio,
    stratified,
)
from immunocast.models.recalibration import fit_recalibrator

PLACES = ["all", "north", "south", "west"]
MODELS = ["p_first", "p_second"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", MODELS)
def test_auroc_and_its_variance_are_those_of_proc(places, reference, place, model):
    y, p = places[place]["y"].to_numpy(), places[place][model].to_numpy()
    expected = reference("discrimination")["auc"][place][model]
    assert (len(y), y.sum()) == (expected["n"], expected["events"])
    assert auroc(y, p) == pytest.approx(expected["auc"], abs=1e-12)
    assert delong_variance(y, p) == pytest.approx(expected["variance"], rel=1e-10)
    # pROC's interval is the plain one; ours is of the logit, from the same variance
    a, error = expected["auc"], np.sqrt(expected["variance"])
    half = norm.ppf(0.975) * error
    assert expected["ci_plain"] == pytest.approx([a - half, min(a + half, 1)], abs=1e-9)
    middle, spread = np.log(a / (1 - a)), half / (a * (1 - a))
    found = delong_interval(y, p)
    assert found == pytest.approx([a, 1 / (1 + np.exp(spread - middle)), 1 / (1 + np.exp(-spread - middle))], abs=1e-9)
    # a sane golden: the model ranks better than chance would, and the two intervals tell about the same
    assert 0.5 < a < 0.9
    assert np.abs(np.subtract(found[1:], expected["ci_plain"])).max() < 0.05


@pytest.mark.parametrize("place", PLACES)
def test_the_paired_test_is_that_of_proc(places, reference, place):
    d = places[place]
    expected = reference("discrimination")["paired"][place]
    found = delong_difference(d["y"], d["p_first"], d["p_second"])
    assert found.difference == pytest.approx(expected["difference"], abs=1e-12)
    assert [found.ci_low, found.ci_high] == pytest.approx(expected["ci"], abs=1e-9)
    assert found.p == pytest.approx(expected["p"], rel=1e-9)
    error = (found.ci_high - found.difference) / norm.ppf(0.975)
    assert found.difference / error == pytest.approx(expected["statistic"], rel=1e-9)
    if place == "all":  # the first model was made to be the better one
        assert found.difference > 0
        assert found.p < 0.05


def test_the_combined_auroc_is_the_pair_weighted_mean_of_proc(places, reference):
    golden = {k: v["p_first"] for k, v in reference("discrimination")["auc"].items() if k != "all"}
    pairs = {k: v["events"] * (v["n"] - v["events"]) for k, v in golden.items()}
    share = {k: n / sum(pairs.values()) for k, n in pairs.items()}
    found = stratified([auroc_influence(places[k]["y"], places[k]["p_first"]) for k in golden])
    assert found.auroc == pytest.approx(sum(share[k] * golden[k]["auc"] for k in golden), abs=1e-12)
    expected = sum(share[k] ** 2 * golden[k]["variance"] for k in golden)
    assert np.sum(found.values**2) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", MODELS)
def test_calibration_is_that_of_glm_and_val_prob(places, reference, place, model):
    y, p = places[place]["y"].to_numpy(), places[place][model].to_numpy()
    expected = reference("calibration")["places"][place][model]
    assert calibration_intercept(y, p) == pytest.approx(expected["intercept_with_offset"], abs=1e-9)
    assert calibration_slope(y, p) == pytest.approx(expected["platt"]["slope"], abs=1e-9)
    # rms stops its iterations earlier than glm was told to
    assert calibration_slope(y, p) == pytest.approx(expected["val_prob"]["Slope"], abs=1e-5)
    assert brier(y, p) == pytest.approx(expected["val_prob"]["Brier"], abs=1e-12)
    assert auroc(y, p) == pytest.approx(expected["val_prob"]["C (ROC)"], abs=1e-12)
    assert oe_ratio(y, p) == pytest.approx(expected["o_e"], abs=1e-12)
    smooth = expected["val_prob"]
    # another smoother than ours, so roughly only: both must see how far off the first model is
    assert ici(y, p) == pytest.approx(smooth["Eavg"], abs=0.04)
    assert 0 < smooth["Eavg"] < smooth["Emax"]


def test_the_reference_sees_how_the_predictions_were_made(reference):
    found = reference("calibration")["places"]["all"]
    # the first model was made too extreme and too high, the second too low
    assert found["p_first"]["platt"]["slope"] < 0.8
    assert found["p_first"]["intercept_with_offset"] < 0 < found["p_second"]["intercept_with_offset"]
    assert found["p_first"]["o_e"] < 1 < found["p_second"]["o_e"]
    steps = np.array(found["p_first"]["isotonic"]["y"])
    assert np.all(np.diff(steps) >= 0)


def test_recalibrators_are_those_of_glm(patients, reference):
    # slopes have a weak prior (precision .01 around 1): it moves them by about .01 (1 - slope) times their variance
    for model in MODELS:
        y, p = patients["y"].to_numpy(), patients[model].to_numpy()
        expected = reference("calibration")["places"]["all"][model]
        level = fit_recalibrator("intercept", p, y).parameters["intercept"]
        assert level == pytest.approx(expected["intercept_with_offset"], abs=1e-8)
        platt, line = fit_recalibrator("platt", p, y).parameters, expected["platt"]
        moved = 0.01 * (1 - line["slope"]) * line["slope_se"] ** 2
        assert platt["slope"] - line["slope"] == pytest.approx(moved, rel=0.05)
        assert platt["intercept"] == pytest.approx(line["intercept"], abs=5e-4)
    y, p = patients["y"].to_numpy(), patients["p_first"].to_numpy()
    beta = fit_recalibrator("beta", p, y).parameters
    assert beta == pytest.approx(reference("calibration")["places"]["all"]["p_first"]["beta"], abs=5e-3)
    # where glm turns a part of the map round, ours keeps it rising
    assert reference("calibration")["places"]["all"]["p_second"]["beta"]["a"] < 0
    assert fit_recalibrator("beta", patients["p_second"], patients["y"]).parameters["a"] > 0


def test_blocks_of_isotonic_recalibration_are_those_of_isoreg(patients, reference):
    # every patient twice: the steps stay, and there are as many events as the method asks for
    y, p = np.tile(patients["y"], 2), np.tile(patients["p_first"], 2)
    found = fit_recalibrator("isotonic", p, y).parameters
    golden = reference("calibration")["places"]["all"]["p_first"]["isotonic"]
    steps, last = np.unique(golden["y"], return_index=True)
    assert len(steps) == len(last) > 5
    assert found["y"][1:-1] == pytest.approx(steps[1:-1], abs=1e-12)
    # ours never says never: half a patient of each kind is added at either end
    assert 0 < found["y"][0] < steps[1]
    assert steps[-2] < found["y"][-1] < 1


def test_isoreg_and_scikit_learn_agree(reference):
    golden, other = reference("calibration")["places"]["all"]["p_first"]["isotonic"], reference("survival_python")
    value = dict(zip(golden["x"], golden["y"], strict=True))
    common = [
        (value[x], y) for x, y in zip(other["isotonic"]["grid"], other["isotonic"]["value"], strict=True) if x in value
    ]
    assert len(common) > 10
    assert [a for a, _ in common] == pytest.approx([b for _, b in common], abs=1e-9)
