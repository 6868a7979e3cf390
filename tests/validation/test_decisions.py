import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from immunocast.engines import JoblibEngine
from immunocast.errors import ConfigError, DataError
from immunocast.metrics import net_benefit, net_benefit_treat_all, wilson_interval
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.loris import LorisPanCancer
from immunocast.validation.decision_rules import marker_positives
from immunocast.validation.evaluate import evaluate
from immunocast.validation.prices import Prices

PRICES = Prices("USD", 1000.0, {"dna": 100.0, "pdl1": 10.0})
FREE = dict.fromkeys(("blood", "clinical", "dna", "pdl1", "rna"), 0)
FEW = 100


def patients(y, p, *, cohort="a", model="ridge", repeat=0, fold=None, endpoint="response", assays="dna"):
    n = len(y)
    ids = [f"{cohort}{i:04d}" for i in range(n)]
    return pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": cohort,
            "person_id": ids,
            "model": model,
            "recalibration": "none",
            "scheme": "leave_one_cohort_out",
            "repeat": repeat,
            "fold": cohort if fold is None else fold,
            "endpoint": endpoint,
            "y_true": y,
            "p_response": p,
            "abstained": np.isnan(np.asarray(p, dtype=float)),
            "assays": assays,
            "in_training": False,
        }
    )


def drawn(n=150, seed=0, **more):
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 3, n)
    return patients((rng.random(n) < p).astype(int), np.round(p, 2), **more)


def decide(frame, **settings):
    settings = {"n_resamples": FEW, "references": [], "thresholds": [0.4]} | settings
    return evaluate(frame, **settings).decisions


def measures(table, cohort="combined", **where):
    """Rows of one rule by metric."""
    keep = table["cohort_id"] == cohort
    for column, value in ({"model": "ridge", "rule": "fixed"} | where).items():
        keep &= table[column] == value
    rows = table[keep].set_index("metric")
    assert rows.index.is_unique
    return rows


def thresholds(rows, rule="youden", model="ridge"):
    """Rows (repeat, fold, threshold) of the table thresholds."""
    return pd.DataFrame(
        [
            {"model": model, "recalibration": "none", "scheme": "leave_one_cohort_out", "endpoint": "response",
             "repeat": r, "fold": f, "rule": rule, "threshold": t, "n": 9, "n_events": 4, "note": ""}
            for r, f, t in rows
        ]
    )  # fmt: skip


@pytest.mark.parametrize("threshold", [0.2, 0.37, 0.5])
def test_measures_are_those_of_the_confusion_matrix(threshold):
    frame = drawn()
    y, p = frame["y_true"].to_numpy(), frame["p_response"].to_numpy()
    # the order of scikit-learn is TN, FP, FN, TP
    tn, fp, fn, tp = confusion_matrix(y, p >= threshold).ravel()
    found = measures(decide(frame, thresholds=[threshold], prices=PRICES))
    expected = {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "share_treated": (tp + fp) / 150,
        "treated_per_responder": (tp + fp) / tp,
        "cost_per_responder": (150 * 100 + (tp + fp) * 1000) / tp,
        "net_benefit": net_benefit(y, p, threshold),
    }
    assert found["estimate"].to_dict() == pytest.approx(expected)
    assert (found["n_positive"] == tp + fp).all()
    assert (found["threshold"] == threshold).all()
    assert ((found["ci_low"] <= found["estimate"]) & (found["estimate"] <= found["ci_high"])).all()
    assert (found["ci_method"] == "bootstrap").all()


def test_the_interval_of_a_share_agrees_with_theory_and_reciprocals_turn_it():
    found = measures(decide(drawn(400), n_resamples=3000))
    row = found.loc["ppv"]
    error = np.sqrt(row.estimate * (1 - row.estimate) / row.n_positive)
    assert (row.ci_high - row.ci_low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.06)
    turned = found.loc["treated_per_responder"]
    assert (turned.ci_low, turned.ci_high) == pytest.approx((1 / row.ci_high, 1 / row.ci_low))


def test_cost_by_hand():
    """40 patients, 20 respond; half had PD-L1 tested as well; 24 are treated, of whom 18 respond."""
    y = np.repeat([1, 0, 1, 0], [18, 6, 2, 14])
    p = np.repeat([0.8, 0.2], [24, 16])
    assays = np.tile(["dna", "dna+pdl1"], 20)
    found = measures(decide(patients(y, p, assays=assays), prices=PRICES))
    assert found.loc["cost_per_responder", "estimate"] == pytest.approx((40 * 100 + 20 * 10 + 24 * 1000) / 18)
    assert found.loc["treated_per_responder", "estimate"] == pytest.approx(24 / 18)
    assert "USD: treatment 1,000; dna 100, pdl1 10" in found.loc["cost_per_responder", "note"]
    assert "assumptions" in found.loc["cost_per_responder", "note"]
    without = measures(decide(patients(y, p, assays=assays)))
    assert "cost_per_responder" not in without.index
    with pytest.raises(ConfigError, match=r"decisions\.prices\.test\.rna has no value"):
        decide(patients(y, p, assays="rna+dna"), prices=PRICES)


def test_treating_everybody_stands_beside_the_models():
    frame = pd.concat([drawn(), drawn(80, 1, cohort="b")])
    table = decide(frame, prices=PRICES, thresholds=[0.2, 0.5])
    y = frame["y_true"].to_numpy()
    for threshold in (0.2, 0.5):
        found = measures(table, model="treat_all", threshold=threshold)
        assert found.loc["net_benefit", "estimate"] == pytest.approx(net_benefit_treat_all(y, threshold))
        assert found.loc["ppv", "estimate"] == pytest.approx(y.mean())
        # nobody is tested
        assert found.loc["cost_per_responder", "estimate"] == pytest.approx(1000 / y.mean())
        assert found.loc["sensitivity", "estimate"] == found.loc["share_treated", "estimate"] == 1
        assert found.loc["specificity", "estimate"] == 0
        # no resample shows that a share of 1 is not certain
        assert found.loc["sensitivity", "ci_method"] == "wilson"
        assert found.loc["sensitivity", "ci_low"] < 1 == found.loc["sensitivity", "ci_high"]
        assert pd.isna(found.loc["npv", "estimate"])
        assert found.loc["npv", "note"] == "everybody would be treated"


def test_a_patient_who_is_treated_in_one_repeat_of_five_is_a_fifth_of_a_patient():
    """Ten responders, each treated in one repeat: a PPV of 1 that rests on two patients, not on ten."""
    y = np.repeat([1, 0], [15, 40])
    treated = np.where(np.arange(55) < 10, np.arange(55) % 5, -1)
    repeats = [patients(y, np.where(treated == r, 0.9, 0.1), repeat=r) for r in range(5)]
    ppv = measures(decide(pd.concat(repeats))).loc["ppv"]
    assert (ppv["estimate"], ppv["ci_method"]) == (1, "wilson")
    assert ppv["ci_low"] == pytest.approx(wilson_interval(2, 2)[0])


def test_where_nobody_is_treated_it_is_said():
    found = measures(decide(drawn(), thresholds=[0.999], prices=PRICES))
    for name in ("ppv", "treated_per_responder", "cost_per_responder"):
        assert pd.isna(found.loc[name, "estimate"])
        assert "nobody would be treated" in found.loc[name, "note"], name
    assert (found.loc["sensitivity", "estimate"], found.loc["net_benefit", "estimate"]) == (0, 0)
    assert found.loc["sensitivity", "ci_high"] > 0
    # two are treated in vain
    frame = drawn().assign(p_response=0.1)
    frame.loc[frame.index[frame["y_true"] == 0][:2], "p_response"] = 0.9
    found = measures(decide(frame, prices=PRICES))
    assert found.loc["ppv", "estimate"] == 0
    assert found.loc["treated_per_responder", "note"] == "no responder among those treated"
    assert pd.isna(found.loc["cost_per_responder", "estimate"])
    # one responder among the treated, who is missing from a third of the resamples
    frame.loc[frame.index[frame["y_true"] == 1][0], "p_response"] = 0.9
    found = measures(decide(frame, n_resamples=400))
    row = found.loc["treated_per_responder"]
    assert row.estimate == pytest.approx(3)
    assert pd.isna(row.ci_high)
    assert "no upper end" in row.note


def test_cohorts_add_up_and_small_ones_are_too_small():
    small = drawn(12, 2, cohort="c").assign(y_true=[1] * 3 + [0] * 9)
    frame = pd.concat([drawn(), drawn(80, 1, cohort="b"), small])
    table = decide(frame)
    parts = [measures(table, c) for c in "abc"]
    whole = measures(table)
    for column in ("n", "n_events", "n_positive"):
        assert sum(p[column].iloc[0] for p in parts) == whole[column].iloc[0]
    y, p = frame["y_true"].to_numpy(), frame["p_response"].to_numpy()
    assert whole.loc["ppv", "estimate"] == pytest.approx(y[p >= 0.4].mean())
    assert parts[2]["estimate"].isna().all()
    assert (parts[2]["note"] == "too small").all()


def test_a_patient_meets_the_threshold_that_the_own_fold_chose():
    frame = pd.concat([drawn(), drawn(90, 1, cohort="b")])
    chosen = thresholds([(0, "a", 0.3), (0, "b", 0.6), (0, "final", 0.1)])
    found = measures(decide(frame, chosen_thresholds=chosen), rule="youden")
    limit = frame["cohort_id"].map({"a": 0.3, "b": 0.6}).to_numpy()
    y, positive = frame["y_true"].to_numpy(), frame["p_response"].to_numpy() >= limit
    assert found.loc["ppv", "estimate"] == pytest.approx(y[positive].mean())
    odds = limit / (1 - limit)
    expected = (np.sum(positive & (y == 1)) - np.sum(odds[positive & (y == 0)])) / len(y)
    assert found.loc["net_benefit", "estimate"] == pytest.approx(expected)
    assert found.loc["ppv", "threshold"] == pytest.approx(0.45)
    assert "between 0.300 and 0.600 over folds" in found.loc["ppv", "note"]
    # a fold without a threshold is left out, and told
    chosen.loc[chosen["fold"] == "b", "threshold"] = np.nan
    table = decide(frame, chosen_thresholds=chosen, prices=PRICES)
    found = measures(table, rule="youden")
    assert (found["n"] == 150).all()
    treated = found.loc["ppv", "n_positive"]
    assert found.loc["cost_per_responder", "estimate"] == pytest.approx(
        (150 * 100 + treated * 1000) / (treated * found.loc["ppv", "estimate"])
    )
    assert "90 patients left out: their fold has no threshold" in found.loc["ppv", "note"]
    assert measures(table, "b", rule="youden").loc["ppv", "note"].startswith("no fair prediction")
    # thresholds of another scheme, or of another recalibration, are not those of this model
    other = chosen.assign(recalibration="platt")
    assert set(decide(frame, chosen_thresholds=other)["rule"]) == {"fixed"}


def test_repeats_are_averaged():
    first = drawn()
    second = first.assign(repeat=1, p_response=first["p_response"].to_numpy()[::-1])
    found = measures(decide(pd.concat([first, second])))
    y = first["y_true"].to_numpy()
    both = [np.asarray(f["p_response"]) >= 0.4 for f in (first, second)]
    assert found.loc["sensitivity", "estimate"] == pytest.approx(np.mean([t[y == 1].mean() for t in both]))
    true, treated = (np.mean([np.sum(t & keep) for t in both]) for keep in (y == 1, y >= 0))
    assert found.loc["ppv", "estimate"] == pytest.approx(true / treated)


def test_a_marker_has_its_own_cut_off_also_where_a_fold_lies_on_one_side():
    cohort = pd.DataFrame(
        {
            "patient_id": [f"a{i:04d}" for i in range(60)] + [f"b{i:04d}" for i in range(60)],
            "tmb_mut_mb": np.r_[np.tile([4.0, 10.0, np.nan], 20), np.full(60, 20.0)],
        }
    )
    models = {"tmb": MarkerCutoff("tmb_mut_mb", 10), "loris": LorisPanCancer()}
    positives = marker_positives(models, cohort)
    assert list(positives) == ["tmb"]
    assert len(positives["tmb"]) == 100
    assert positives["tmb"]["a0001"]
    assert not positives["tmb"]["a0000"]
    turned = marker_positives({"tmb": MarkerCutoff("tmb_mut_mb", 10, reverse=True)}, cohort)["tmb"]
    assert all(turned[k] != v for k, v in positives["tmb"].items())

    p = np.where(np.isnan(cohort["tmb_mut_mb"]), np.nan, np.where(cohort["tmb_mut_mb"] >= 10, 0.25, 0.2))
    y = np.random.default_rng(0).integers(0, 2, 120)
    frame = pd.concat([patients(y[:60], p[:60], model="tmb"), patients(y[60:], p[60:], model="tmb", cohort="b")])
    table = decide(frame, positives=positives)
    found = measures(table, model="tmb", rule="cutoff")
    positive, known = cohort["tmb_mut_mb"].to_numpy() >= 10, cohort["tmb_mut_mb"].notna().to_numpy()
    assert found.loc["ppv", "estimate"] == pytest.approx(y[positive].mean())
    assert found.loc["sensitivity", "estimate"] == pytest.approx(positive[(y == 1) & known].mean())
    assert (found["n"] == 100).all()
    assert found["threshold"].isna().all()
    assert "no probability" in found.loc["net_benefit", "note"]
    assert measures(table, "b", model="tmb", rule="cutoff").loc["share_treated", "estimate"] == 1
    # a patient whose side is not known has no answer
    some = {"tmb": {k: v for k, v in positives["tmb"].items() if k != "a0001"}}
    assert (measures(decide(frame, positives=some), model="tmb", rule="cutoff")["n"] == 99).all()
    # by its probabilities nobody would be treated at .4
    assert measures(table, model="tmb").loc["share_treated", "estimate"] == 0


def test_nobody_is_treated_for_a_harm():
    result = evaluate(drawn(endpoint="os"), n_resamples=FEW, references=[], thresholds=[0.4], prices=PRICES)
    found = measures(result.decisions)
    assert not {"treated_per_responder", "cost_per_responder"} & set(found.index)
    assert found["note"].str.contains("positive: predicted to have the event").all()
    everybody = measures(result.decisions, model="treat_all").loc["npv", "note"]
    assert everybody.startswith("everybody is predicted to have the event")
    assert not found["note"].str.contains("would be treated").any()
    assert "decisions leave out" in result.notes[0]
    assert "death" in result.notes[0]
    assert measures(decide(drawn(endpoint="dcb"))).loc["treated_per_responder", "estimate"] > 1


def test_other_models_and_workers_do_not_change_a_number():
    frame = pd.concat([drawn(), drawn(seed=3, model="other").assign(y_true=drawn()["y_true"])])
    both = decide(frame, prices=PRICES, engine=JoblibEngine(2))
    pd.testing.assert_frame_equal(measures(both), measures(decide(drawn(), prices=PRICES)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="fold"), "thresholds lack fold"),
        (lambda t: t.assign(threshold=1.4), r"no probability \(value '1.4'\)"),
    ],
)
def test_broken_thresholds_are_told(change, says):
    with pytest.raises(DataError, match=says):
        decide(drawn(), chosen_thresholds=change(thresholds([(0, "a", 0.3)])))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"treatment": 1, "test": {}}, r"prices\.currency has no value"),
        ({"currency": "EUR", "treatment": "much", "test": FREE}, r"prices\.treatment is 'much'"),
        ({"currency": "EUR", "treatment": -5, "test": FREE}, r"prices\.treatment is -5"),
        ({"currency": "EUR", "treatment": 5, "test": {"ct": 9}}, r"test\.ct is unknown. Assays are blood, clinical"),
        ({"currency": "EUR", "treatment": 5, "test": {**FREE, "dna": None}}, r"test\.dna has no value"),
        ({"currency": "EUR", "treatment": 5, "test": {**FREE, "dna": "x"}}, r"test\.dna is 'x'"),
        ({"currency": "EUR", "treatment": 5, "test": 7}, r"prices\.test is 7"),
        ({"currency": "EUR", "treatment": 5, "tests": {}}, r"prices\.tests is unknown"),
    ],
)
def test_wrong_prices_are_told(settings, says):
    with pytest.raises(ConfigError, match=says):
        Prices.from_settings(settings)


def test_prices_of_assays():
    assert PRICES.of_assays(["", "dna", "dna+pdl1", "dna"]).tolist() == [0, 100, 110, 100]
