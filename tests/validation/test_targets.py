"""Targets: who counts, what the headline is, and that a model never beats itself."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build, build_models, inner_settings, load_config
from immunocast.errors import ConfigError
from immunocast.metrics import auroc, brier, calibration_intercept, net_benefit
from immunocast.validation.targets import (
    HEADLINE,
    calibration_rows,
    common_patients,
    concordance_rows,
    discrimination,
    net_benefit_rows,
    verdict_rows,
)
from immunocast.validation.targets_run import measure_targets

DRAW = {"n_resamples": 200, "seed": 3}
OPPONENTS = {"b": "old", "a": "old", "tiny": "other"}


@pytest.fixture(scope="module")
def predictions():
    """Three cohorts; two persons are in a and b; the old score was trained on one patient of a."""
    rng = np.random.default_rng(0)
    frames = []
    for cohort, n in (("a", 120), ("b", 80), ("tiny", 20)):
        y = np.r_[np.ones(n // 4), np.zeros(n - n // 4)].astype(int)
        who = [f"{cohort}{i:03d}" for i in range(n)]
        for model, strength in (("new", 1.5), ("old", 0.8), ("other", 0.3)):
            z = strength * y + rng.normal(size=n) - 1
            frames.append(
                pd.DataFrame(
                    {
                        "patient_id": who, "cohort_id": cohort, "person_id": who, "model": model,
                        "recalibration": "none", "scheme": "leave_one_cohort_out", "repeat": 0, "fold": cohort,
                        "endpoint": "response", "y_true": y, "p_response": 1 / (1 + np.exp(-z)), "abstained": False,
                        "assays": "", "in_training": False,
                    }
                )
            )  # fmt: skip
    table = pd.concat(frames, ignore_index=True)
    table.loc[table["patient_id"] == "b000", "person_id"] = "a000"
    table.loc[table["patient_id"] == "b079", "person_id"] = "a119"
    table.loc[(table["patient_id"] == "a001") & (table["model"] == "old"), "in_training"] = True
    return table


def of(predictions, model, cohort, without=()):
    rows = predictions[(predictions["model"] == model) & (predictions["cohort_id"] == cohort)]
    rows = rows[~rows["patient_id"].isin(without)].sort_values("patient_id")
    return rows["y_true"].to_numpy(), rows["p_response"].to_numpy()


def test_a_person_counts_once_and_whoever_fitted_an_opponent_not_at_all(predictions):
    common = common_patients(predictions, "new", OPPONENTS, **DRAW)
    assert {c: int(r.sum()) for c, r in common.rows.items()} == {"b": 80, "a": 117, "tiny": 20}
    assert set(common.patient[common.rows["a"]]).isdisjoint({"a000", "a119", "a001"})
    backwards = common_patients(predictions, "new", {"a": "old", "b": "old"}, **DRAW)
    assert {c: int(r.sum()) for c, r in backwards.rows.items()} == {"a": 119, "b": 78}


def test_the_headline_is_the_mean_of_the_cohorts_weighted_by_their_patients(predictions):
    table = discrimination(common_patients(predictions, "new", OPPONENTS, **DRAW)).set_index("cohort_id")
    parts = {
        "b": of(predictions, "new", "b"),
        "a": of(predictions, "new", "a", ("a000", "a119", "a001")),
        "tiny": of(predictions, "new", "tiny"),
    }
    for cohort in ("a", "b"):
        assert table.loc[cohort, "auroc_model"] == pytest.approx(auroc(*parts[cohort]))
    expected = sum(len(y) * auroc(y, p) for y, p in parts.values()) / 217
    assert table.loc[HEADLINE, "auroc_model"] == pytest.approx(expected)
    assert table.loc[HEADLINE, "n"] == 217
    assert np.isnan(table.loc["tiny", "auroc_model"])
    assert table.loc["tiny", "note"] == "too small"
    assert table.loc[HEADLINE, "ci_low"] < table.loc[HEADLINE, "difference"] < table.loc[HEADLINE, "ci_high"]
    assert table.loc[HEADLINE, "difference"] > 0


def test_a_model_does_not_beat_itself(predictions):
    same = {"a": "old", "b": "old"}
    row = discrimination(common_patients(predictions, "old", same, **DRAW)).iloc[-1]
    assert (row["difference"], row["ci_low"], row["ci_high"]) == (0, 0, 0)


def test_net_benefit_is_that_of_the_catalogue_and_treating_all_has_its_formula(predictions):
    common = common_patients(predictions, "new", {"a": "old", "b": "old"}, **DRAW)
    own = common.panel.scores[0].p[0]
    rules = {"own": own, "nobody": np.zeros(len(own), dtype=bool)}
    table = net_benefit_rows(common, rules, [0.2, 0.3]).set_index(["threshold", "rule"])
    rows = common.all_rows
    y, p = common.panel.y[rows], own[rows]
    for t in (0.2, 0.3):
        assert table.loc[(t, "own"), "net_benefit_model"] == pytest.approx(net_benefit(y, p, t))
        assert table.loc[(t, "own"), ["difference", "ci_low", "ci_high"]].tolist() == [0, 0, 0]
        everybody = y.mean() - (1 - y.mean()) * t / (1 - t)
        assert table.loc[(t, "treat all"), "net_benefit_rule"] == pytest.approx(everybody)
        assert table.loc[(t, "nobody"), "net_benefit_rule"] == table.loc[(t, "treat none"), "net_benefit_rule"] == 0


def test_concordance_looks_the_models_way(predictions):
    """Times that follow the new model exactly: high probability, late event."""
    new = predictions[predictions["model"] == "new"]
    times = pd.DataFrame({"patient_id": new["patient_id"], "time": new["p_response"] * 10, "event": 1})
    common = common_patients(predictions, "new", {"a": "old", "b": "old"}, **DRAW)
    table = concordance_rows(common, times)
    assert (table["c_model"] == 1).all()
    assert (table["c_opponent"] < 0.9).all()
    assert (concordance_rows(common, times, harm=["new"])["c_model"] == 0).all()
    some = times.iloc[::2]
    assert concordance_rows(common, some)["n"].sum() < table["n"].sum()


def test_calibration_is_that_of_the_catalogue(predictions):
    table = calibration_rows(predictions, "old", **DRAW).set_index("cohort_id")
    y, p = of(predictions, "old", "a", ("a001",))
    assert table.loc["a", "n"] == 119
    assert table.loc["a", "brier"] == pytest.approx(brier(y, p))
    assert table.loc["a", "citl"] == pytest.approx(calibration_intercept(y, p), abs=1e-6)
    assert table.loc["a", "brier_low"] < table.loc["a", "brier"] < table.loc["a", "brier_high"]


def test_verdicts_are_by_the_point_estimate(predictions):
    common = common_patients(predictions, "new", {"a": "old", "b": "old"}, **DRAW)
    auroc_table, benefit = discrimination(common), net_benefit_rows(common, {}, [0.2])
    times = pd.DataFrame({"patient_id": common.patient, "time": np.arange(len(common.patient)) + 1.0, "event": 1})
    concordance = concordance_rows(common, times)
    calibration = calibration_rows(predictions, "new", **DRAW)

    def met(**limits):
        limits = {"auroc_margin": 0.0, "c_index_gain": -1.0, "brier": {"a": 1.0}, "citl": 99.0, **limits}
        return verdict_rows(auroc_table, benefit, concordance, calibration, **limits)["met"].tolist()

    assert met() == [True] * 5
    assert met(auroc_margin=-1.0) == [False, True, True, True, True]
    assert met(c_index_gain=1.0) == [True, False, False, True, True]
    assert met(brier={"a": 0.0}) == [True, True, True, False, True]
    assert met(citl=0.0) == [True, True, True, True, False]


def test_what_is_not_there_is_named(predictions):
    with pytest.raises(ConfigError, match="no predictions for the cohort 'c'"):
        common_patients(predictions, "new", {"c": "old"}, **DRAW)
    with pytest.raises(ConfigError, match=r"no predictions of 'newest'; there are: new, old, other"):
        common_patients(predictions, "newest", {"a": "old"}, **DRAW)


def test_the_measurement_on_synthetic_patients():
    """Every stated target gets a verdict, on the models and settings of the experiment, a small blend apart."""
    cfg = load_config(["experiment=loris_targets", "recalibration.inner_splits=3", "validation=loco"])
    wanted = {key: cfg.targets[key] for key in cfg.targets} | {
        "opponents": {"synthetic-A": "loris_routed", "synthetic-B": "loris_pan"},
        "survival_opponents": {"synthetic-B": "loris_pan"},
        "calibration_train": ["synthetic-A"],
        "brier": {"synthetic-B": 0.2},
    }
    models = build_models(cfg)
    models = {name: models[name] for name in ("loris_pan", "loris_routed", "ridge", "blend", "cox_os")}
    models["blend"].set_params(parts={"ridge": models["ridge"], "update": models["blend"].parts["update"]})
    cohort = SyntheticCohort(n_patients=400, n_cohorts=2, seed=4).load().cohort
    tables = measure_targets(
        cohort, make_labels(cohort).y, models, build(cfg.validation, "validation"), wanted,
        endpoint="response", inner=inner_settings(cfg), n_resamples=100, seed=1, min_events=10,
    )  # fmt: skip
    assert tables["auroc"]["cohort_id"].tolist() == ["synthetic-A", "synthetic-B", HEADLINE]
    assert tables["other models, not chosen"]["model"].tolist() == ["ridge", "cox_os"]
    assert tables["calibration"]["cohort_id"].tolist() == ["synthetic-B"]
    assert set(tables["weights"]["part"]) == {"ridge", "update"}
    assert (tables["weights"].groupby(["scheme", "fold"])["weight"].sum() - 1).abs().max() < 1e-9
    verdict = tables["verdict"]
    assert verdict["met"].isin([True, False]).all()
    assert len(verdict) == len(set(verdict["target"]))
