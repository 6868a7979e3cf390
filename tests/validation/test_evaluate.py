import numpy as np
import pandas as pd
import pytest

from immunocast.engines import JoblibEngine, SerialEngine
from immunocast.errors import ConfigError, DataError
from immunocast.metrics import auprc, auroc, brier, calibration_slope, delong_difference, net_benefit
from immunocast.store.schemas import conform
from immunocast.validation.evaluate import evaluate
from immunocast.validation.evaluate_inputs import panels
from immunocast.validation.recalibrate import intercept_of_others

COHORTS = {"a": 120, "b": 90, "c": 60}
FEW = 100  # resamples where the interval itself is not under test


def fabricate(cohorts=COHORTS, models=("loris_routed", "xgboost", "cutoff"), repeats=1, seed=0):
    """Predictions of models that see the true logit with more and more noise; the last is a cut-off."""
    rng = np.random.default_rng(seed)
    frames = []
    for shift, (cohort, n) in enumerate(cohorts.items()):
        z = rng.normal(-1 + 0.4 * shift, 1, n)
        y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
        ids = [f"{cohort}{i:04d}" for i in range(n)]
        for k, model in enumerate(models):
            for repeat in range(repeats):
                p = 1 / (1 + np.exp(-(z + rng.normal(0, 0.4 + 0.4 * k, n))))
                if model == "cutoff":
                    p = np.where(p > 0.35, 0.45, 0.2)
                frames.append(
                    pd.DataFrame(
                        {
                            "patient_id": ids,
                            "cohort_id": cohort,
                            "person_id": ids,
                            "model": model,
                            "recalibration": "none",
                            "scheme": "leave_one_cohort_out",
                            "repeat": repeat,
                            "fold": cohort,
                            "endpoint": "response",
                            "y_true": y,
                            "p_response": p,
                            "abstained": False,
                            "assays": "dna",
                            "in_training": False,
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def pick(table, **where):
    """The one row that fits."""
    found = table
    for column, value in where.items():
        found = found[found[column] == value]
    assert len(found) == 1, f"{len(found)} rows for {where}"
    return found.iloc[0]


@pytest.fixture(scope="module")
def predictions():
    return fabricate()


@pytest.fixture(scope="module")
def evaluation(predictions):
    return evaluate(predictions, n_resamples=400)


def test_tables_conform_and_cover_every_model_cohort_and_metric(evaluation):
    for name in ("metrics", "comparisons", "curves", "decisions", "heterogeneity"):
        table = getattr(evaluation, name)
        pd.testing.assert_frame_equal(conform(name, table), table)
        assert not table.empty
    # 8 metrics without a threshold and net benefit at 3, in 3 cohorts and combined; pooled AUROC on top
    assert len(evaluation.metrics) == 3 * (11 * 4 + 1)
    # auroc, auprc, brier, scaled Brier, net benefit at 3; two models against the reference
    assert len(evaluation.comparisons) == 2 * 7 * 4
    # auroc, brier, intercept, slope, O/E and net benefit at 3, over cohorts
    assert len(evaluation.heterogeneity) == 3 * 8
    assert evaluation.notes == ()
    assert evaluation.metrics["estimate"].notna().all()
    shown = evaluation.metrics
    assert ((shown.ci_low <= shown.estimate) & (shown.estimate <= shown.ci_high)).all()


def test_cohort_estimates_are_the_plain_metrics(predictions, evaluation):
    part = predictions[(predictions.model == "xgboost") & (predictions.cohort_id == "b")]
    y, p = part.y_true.to_numpy(), part.p_response.to_numpy()
    for metric, expected in {
        "auroc": auroc(y, p),
        "auprc": auprc(y, p),
        "brier": brier(y, p),
        "calibration_slope": calibration_slope(y, p),
    }.items():
        row = pick(evaluation.metrics, metric=metric, model="xgboost", cohort_id="b")
        assert row.estimate == pytest.approx(expected, abs=1e-9)
        assert (row.n, row.n_events, row.n_abstained) == (90, y.sum(), 0)
    row = pick(
        evaluation.metrics,
        metric="net_benefit",
        model="xgboost",
        cohort_id="b",
        threshold_or_horizon=0.3,
    )
    assert row.estimate == pytest.approx(net_benefit(y, p, 0.3))


def test_combined_estimates_follow_their_definitions(predictions, evaluation):
    part = predictions[predictions.model == "xgboost"]
    groups = [(g.y_true.to_numpy(), g.p_response.to_numpy()) for _, g in part.groupby("cohort_id")]
    y, p = part.y_true.to_numpy(), part.p_response.to_numpy()
    pairs = [g.sum() * (len(g) - g.sum()) for g, _ in groups]
    reference = sum(len(g) * g.mean() * (1 - g.mean()) for g, _ in groups)
    expected = {
        "auroc": np.average([auroc(*g) for g in groups], weights=pairs),
        "auprc": np.average([auprc(*g) for g in groups], weights=[g.sum() for g, _ in groups]),
        "brier": brier(y, p),
        "scaled_brier": 1 - len(y) * brier(y, p) / reference,
        "calibration_slope": calibration_slope(y, p),
    }
    for metric, value in expected.items():
        row = pick(evaluation.metrics, metric=metric, model="xgboost", cohort_id="combined")
        assert row.estimate == pytest.approx(value, abs=1e-9), metric
        assert row.n == 270
    pooled = pick(evaluation.metrics, metric="auroc", model="xgboost", cohort_id="pooled")
    assert pooled.estimate == pytest.approx(auroc(y, p))
    assert "secondary" in pooled.note


def test_pooling_rewards_knowing_the_cohort_and_the_combined_auroc_does_not():
    frame = fabricate(models=("xgboost",))
    frame["y_true"] = (np.random.default_rng(1).random(270) < frame.cohort_id.map({"a": 0.2, "b": 0.4, "c": 0.7})) * 1
    frame["p_response"] = frame.cohort_id.map({"a": 0.2, "b": 0.4, "c": 0.7})
    metrics = evaluate(frame, n_resamples=FEW, references=()).metrics
    assert pick(metrics, metric="auroc", cohort_id="combined").estimate == 0.5
    assert pick(metrics, metric="auroc", cohort_id="pooled").estimate > 0.65


def test_training_patients_never_enter(predictions):
    """Predictions marked as in training are made perfect: no number may notice."""
    frame = predictions.copy()
    cheat = (frame.model == "xgboost") & (frame.cohort_id == "a")
    linked = (frame.model == "xgboost") & frame.patient_id.isin(["b0003", "b0007"])
    frame.loc[cheat | linked, "in_training"] = True
    honest = evaluate(frame, n_resamples=FEW)
    frame.loc[cheat | linked, "p_response"] = frame.y_true.astype(float)
    cheated = evaluate(frame, n_resamples=FEW)
    for name in ("metrics", "comparisons", "curves"):
        pd.testing.assert_frame_equal(getattr(honest, name), getattr(cheated, name))

    rows = honest.metrics[(honest.metrics.model == "xgboost") & (honest.metrics.cohort_id == "a")]
    assert set(rows.note) == {"trained on this cohort"}
    assert rows[["estimate", "ci_low", "ci_high"]].isna().all(axis=None)
    assert set(rows.n) == {0}
    assert set(rows.ci_method) == {"none"}
    b = pick(honest.metrics, metric="brier", model="xgboost", cohort_id="b")
    assert (b.n, b.note) == (88, "2 patients left out: in training")
    combined = pick(honest.metrics, metric="auroc", model="xgboost", cohort_id="combined")
    assert combined.n == 88 + 60
    assert combined.note == "a left out: trained on this cohort; b: 2 patients left out: in training"
    curves = honest.curves
    assert "a" not in set(curves[curves.model == "xgboost"].cohort_id)

    row = pick(honest.comparisons, metric="auroc", model="xgboost", cohort_id="combined")
    assert (row.n_common, row.n_lost) == (148, 122)
    assert "a left out: xgboost trained on all patients" in row.note
    assert "b: xgboost trained on 2 of 90 patients" in row.note
    row = pick(honest.comparisons, metric="auroc", model="xgboost", cohort_id="a")
    assert (row.n_common, row.n_lost) == (0, 120)
    assert np.isnan(row.difference)
    assert np.isnan(row.p)
    # the others are as if nothing had happened
    untouched = evaluate(predictions, n_resamples=FEW).metrics
    same = untouched.model != "xgboost"
    pd.testing.assert_frame_equal(
        untouched[same].reset_index(drop=True),
        honest.metrics[honest.metrics.model != "xgboost"].reset_index(drop=True),
    )


def test_abstentions_are_counted_and_comparisons_use_common_patients(predictions):
    frame = predictions.copy()
    gone = (frame.model == "loris_routed") & (frame.cohort_id == "b") & (frame.index % 3 == 0)
    frame.loc[gone, ["p_response", "abstained"]] = [np.nan, True]
    k = int(gone.sum())
    # who is in training is not counted as an abstention
    both = (frame.model == "cutoff") & (frame.patient_id == "a0001")
    frame.loc[both, ["p_response", "abstained", "in_training"]] = [np.nan, True, True]
    result = evaluate(frame, n_resamples=FEW)
    row = pick(result.metrics, metric="brier", model="loris_routed", cohort_id="b")
    assert (row.n, row.n_abstained) == (90 - k, k)
    assert pick(result.metrics, metric="brier", model="loris_routed", cohort_id="combined").n_abstained == k
    row = pick(result.metrics, metric="brier", model="cutoff", cohort_id="a")
    assert (row.n, row.n_abstained, row.note) == (119, 0, "1 patient left out: in training")
    lost = set(frame.patient_id[gone])
    common = frame[(frame.cohort_id == "b") & ~frame.patient_id.isin(lost)]
    one, two = (common[common.model == m] for m in ("xgboost", "loris_routed"))
    row = pick(result.comparisons, metric="auroc", model="xgboost", cohort_id="b")
    expected = delong_difference(one.y_true, one.p_response, two.p_response)
    assert (row.n_common, row.n_lost) == (90 - k, k)
    assert row.note == f"loris_routed abstained on {k} of 90 patients"
    for name in ("difference", "ci_low", "ci_high", "p"):
        assert row[name] == pytest.approx(getattr(expected, name), abs=1e-12)
    row = pick(result.comparisons, metric="brier", model="xgboost", cohort_id="b")
    assert row.estimate_model == pytest.approx(brier(one.y_true, one.p_response))
    assert row.difference == pytest.approx(row.estimate_model - row.estimate_reference)

    frame.loc[(frame.model == "loris_routed") & (frame.cohort_id == "b"), ["p_response", "abstained"]] = [
        np.nan,
        True,
    ]
    result = evaluate(frame, n_resamples=FEW)
    row = pick(result.metrics, metric="auroc", model="loris_routed", cohort_id="b")
    assert (row.n, row.n_abstained, row.note) == (0, 90, "abstained on every patient")


def test_too_small_cohorts_show_nothing_but_still_count():
    frame = fabricate({"big": 150, "small": 14, "no_pairs": 5}, seed=3)
    frame.loc[frame.cohort_id == "no_pairs", "y_true"] = 0
    result = evaluate(frame, n_resamples=FEW)
    small = result.metrics[result.metrics.cohort_id == "small"]
    assert set(small.note) == {"too small"}
    assert small.estimate.isna().all()
    assert set(small.n) == {14}
    assert set(result.comparisons[result.comparisons.cohort_id == "small"].note) == {"too small"}
    assert set(result.curves.cohort_id) == {"big", "combined"}
    assert pick(result.metrics, metric="brier", model="xgboost", cohort_id="combined").n == 169
    row = pick(result.metrics, metric="auroc", model="xgboost", cohort_id="combined")
    assert row.n == 164
    assert row.note == "no_pairs left out: under 2 events or non-events"
    one = frame[frame.model == "xgboost"]
    groups = [one[one.cohort_id == c] for c in ("big", "small")]
    pairs = [g.y_true.sum() * (len(g) - g.y_true.sum()) for g in groups]
    assert row.estimate == pytest.approx(np.average([auroc(g.y_true, g.p_response) for g in groups], weights=pairs))


def test_nothing_large_enough_gives_null_estimates_and_no_curve():
    result = evaluate(fabricate({"tiny": 8}), n_resamples=FEW)
    assert result.metrics.estimate.isna().all()
    assert result.metrics.note.str.startswith("too small").all()
    assert result.comparisons.difference.isna().all()
    assert result.curves.empty


def test_min_events_is_obeyed(predictions):
    least = int(predictions[predictions.model == "xgboost"].groupby("cohort_id").y_true.sum().min())
    shown = evaluate(predictions, n_resamples=FEW, min_events=least).metrics
    hidden = evaluate(predictions, n_resamples=FEW, min_events=least + 1).metrics
    assert shown.estimate.notna().all()
    assert hidden[hidden.note == "too small"].cohort_id.nunique() == 1


def test_constant_perfect_and_separated_predictions_say_why():
    frame = fabricate({"a": 80})
    frame.loc[frame.model == "cutoff", "p_response"] = 0.3
    perfect = frame.model == "xgboost"
    frame.loc[perfect, "p_response"] = np.where(frame.y_true[perfect] == 1, 0.9, 0.1)
    metrics = evaluate(frame, n_resamples=FEW).metrics
    slope = pick(metrics, metric="calibration_slope", model="cutoff", cohort_id="a")
    assert np.isnan(slope.estimate)
    assert slope.note == "constant prediction"
    assert pick(metrics, metric="auroc", model="cutoff", cohort_id="a").estimate == 0.5
    assert "equal" in pick(metrics, metric="auroc", model="cutoff", cohort_id="a").note
    slope = pick(metrics, metric="calibration_slope", model="xgboost", cohort_id="a")
    assert np.isnan(slope.estimate)
    assert "separates" in slope.note
    best = pick(metrics, metric="auroc", model="xgboost", cohort_id="combined")
    assert (best.estimate, best.ci_high) == (1, 1)
    assert 0.5 < best.ci_low < 1
    assert "conservative" in best.note


@pytest.mark.parametrize(
    "engine",
    [None, SerialEngine(), JoblibEngine(2, "threading"), JoblibEngine(2, "loky")],
    ids=["none", "serial", "threads", "processes"],
)
def test_same_numbers_for_any_order_of_rows_and_any_engine(predictions, evaluation, engine):
    shuffled = predictions.sample(frac=1, random_state=1)
    other = evaluate(shuffled, n_resamples=400, engine=engine)
    for name in ("metrics", "comparisons", "curves", "decisions", "heterogeneity"):
        pd.testing.assert_frame_equal(getattr(evaluation, name), getattr(other, name), check_exact=True)


def test_a_models_numbers_do_not_depend_on_the_other_models(predictions, evaluation):
    alone = evaluate(predictions[predictions.model == "xgboost"], n_resamples=400)
    expected = evaluation.metrics[evaluation.metrics.model == "xgboost"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.metrics, expected, check_exact=True)
    assert alone.comparisons.empty
    assert alone.notes == ("leave_one_cohort_out: nothing is compared with 'loris_routed', which has no predictions",)


def test_resamples_keep_the_size_of_every_cohort(predictions):
    (panel,) = panels(predictions, n_resamples=50, seed=0)
    for k, name in enumerate(panel.cohorts):
        assert (panel.counts[panel.cohort == k].sum(axis=0) == COHORTS[name]).all()


def test_the_seed_moves_bootstrap_intervals_only(predictions, evaluation):
    other = evaluate(predictions, n_resamples=400, seed=1).metrics
    assert other.estimate.equals(evaluation.metrics.estimate)
    moved = other.ci_low != evaluation.metrics.ci_low
    assert set(other[moved].ci_method) == {"bootstrap"}
    # not all: a net benefit has few values, so that two quantiles can coincide
    assert moved[other.ci_method == "bootstrap"].mean() > 0.9


def test_repeats_are_averaged():
    frame = fabricate({"a": 100}, models=("loris_routed", "xgboost"), repeats=3)
    result = evaluate(frame, n_resamples=FEW)
    part = frame[frame.model == "xgboost"]
    singles = [auprc(g.y_true, g.p_response) for _, g in part.groupby("repeat")]
    row = pick(result.metrics, metric="auprc", model="xgboost", cohort_id="a")
    assert row.n == 100
    assert row.estimate == pytest.approx(np.mean(singles))
    # a patient who is in the training data of one repeat leaves all of them
    frame.loc[part.index[5], "in_training"] = True
    assert pick(evaluate(frame, n_resamples=FEW).metrics, metric="auprc", model="xgboost", cohort_id="a").n == 99
    fewer = evaluate(frame.drop(index=part.index[7]), n_resamples=FEW).metrics
    row = pick(fewer, metric="auprc", model="xgboost", cohort_id="a")
    assert row.n == 98
    assert "1 patient left out: not predicted in every repeat" in row.note


def test_several_references_recalibrations_and_schemes(predictions):
    platt = predictions[predictions.model == "xgboost"].assign(recalibration="platt")
    platt["p_response"] = platt.p_response * 0.8
    external = predictions[predictions.model == "xgboost"].assign(scheme="external")
    frame = pd.concat([predictions, platt, external])
    result = evaluate(frame, n_resamples=FEW, references=["loris_routed", "xgboost+platt"])
    pairs = set(zip(result.comparisons.model, result.comparisons.reference_model, strict=True))
    assert pairs == {
        ("cutoff", "loris_routed"),
        ("xgboost", "loris_routed"),
        ("xgboost+platt", "loris_routed"),
        ("cutoff", "xgboost+platt"),
        ("xgboost", "xgboost+platt"),
        ("loris_routed", "xgboost+platt"),
    }
    assert set(result.metrics[result.metrics.recalibration == "platt"].model) == {"xgboost"}
    assert {"xgboost", "xgboost+platt"} <= set(result.curves.model)
    assert len(result.notes) == 2
    assert all(note.startswith("external: ") for note in result.notes)
    row = pick(
        result.comparisons,
        metric="auroc",
        model="xgboost",
        reference_model="xgboost+platt",
        cohort_id="combined",
    )
    assert (row.difference, row.p) == (0, 1)


def test_a_clear_difference_is_found_by_both_tests(predictions):
    frame = predictions[predictions.model != "cutoff"].copy()
    noise = frame.model == "loris_routed"
    frame.loc[noise, "p_response"] = np.random.default_rng(4).uniform(0.05, 0.95, noise.sum())
    result = evaluate(frame, n_resamples=400).comparisons
    for metric in ("auroc", "auprc", "brier", "scaled_brier"):
        row = pick(result, metric=metric, model="xgboost", cohort_id="combined")
        assert row.p < 0.01, metric
        better = row.difference < 0 if metric == "brier" else row.difference > 0
        assert better, metric
        assert (row.ci_low > 0) or (row.ci_high < 0), metric


def test_curves_agree_with_the_estimates(predictions, evaluation):
    curves = evaluation.curves

    def points(curve, model, cohort):
        return curves[(curves.curve == curve) & (curves.model == model) & (curves.cohort_id == cohort)]

    for cohort in ("a", "combined"):
        roc = points("roc", "xgboost", cohort)
        row = pick(evaluation.metrics, metric="auroc", model="xgboost", cohort_id=cohort)
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(row.estimate, abs=0.01)
        bins = points("calibration", "xgboost", cohort)
        assert bins.n.sum() == row.n
        assert (bins.y * bins.n).sum() == pytest.approx(row.n_events)
        assert ((bins.ci_low <= bins.y) & (bins.y <= bins.ci_high)).all()
        decision = points("decision", "xgboost", cohort)
        assert (decision.x.min(), decision.x.max(), len(decision)) == (0.01, 0.8, 80)
        benefit = evaluation.metrics[
            (evaluation.metrics.metric == "net_benefit")
            & (evaluation.metrics.model == "xgboost")
            & (evaluation.metrics.cohort_id == cohort)
        ]
        for t, value in zip(benefit.threshold_or_horizon, benefit.estimate, strict=True):
            assert decision[decision.x == t].y.item() == pytest.approx(value)
        everybody = points("decision", "treat_all", cohort)
        rate = row.n_events / row.n
        expected = rate - (1 - rate) * everybody.x / (1 - everybody.x)
        assert everybody.y.to_numpy() == pytest.approx(expected.to_numpy())
        assert (points("decision", "treat_none", cohort).y == 0).all()
    assert len(points("calibration", "cutoff", "combined")) == 2
    # fewer than 30 patients a bin are not shown: 60 patients give 2 bins
    assert len(points("calibration", "xgboost", "c")) == 2


def test_the_combined_roc_weighs_cohorts_by_pairs():
    frame = fabricate({"big": 200, "small": 60}, models=("xgboost",))
    small = frame.cohort_id == "small"
    frame["p_response"] = np.where(small, 0.1 + 0.8 * frame.y_true, 0.5)
    result = evaluate(frame, n_resamples=FEW, references=())
    roc = result.curves[(result.curves.curve == "roc") & (result.curves.cohort_id == "combined")]
    row = pick(result.metrics, metric="auroc", cohort_id="combined")
    # the small cohort is ranked perfectly, the big one not at all
    assert row.estimate < 0.6
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(row.estimate, abs=1e-9)


def test_linked_persons_are_drawn_together():
    """The same patients entered twice under other ids must not narrow an interval."""
    frame = fabricate({"a": 100}, models=("xgboost",))
    twin = frame.assign(patient_id="twin_" + frame.patient_id)
    once = evaluate(frame, references=(), n_resamples=600).metrics
    twice = evaluate(pd.concat([frame, twin]), references=(), n_resamples=600).metrics
    for metric in ("auroc", "brier", "calibration_slope"):
        one = pick(once, metric=metric, cohort_id="a")
        two = pick(twice, metric=metric, cohort_id="a")
        assert two.n == 2 * one.n
        assert two.estimate == pytest.approx(one.estimate)
        assert two.ci_high - two.ci_low == pytest.approx(one.ci_high - one.ci_low, rel=0.05)


def broken(**changes):
    return lambda f: f.assign(**{c: np.where(f.index == 4, v, f[c]) for c, v in changes.items()})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="in_training"), "lack the column in_training"),
        (lambda f: f.iloc[:0], "no predictions"),
        (broken(p_response=1.5), r"column p_response, row 6: .*not a probability \(value '1.5'\)"),
        (broken(p_response=np.nan), "row 6: there is no prediction"),
        (lambda f: f.assign(p_response="high"), "not a number"),
        (broken(y_true=2), "neither 0 nor 1"),
        (lambda f: f.assign(y_true=f.y_true.astype("float").where(f.index != 4)), "a value is missing"),
        (lambda f: f.assign(abstained="maybe"), "neither true nor false"),
        (lambda f: pd.concat([f, f.iloc[[3]]]), "twice in one repeat"),
        (lambda f: f.assign(y_true=np.where(f.index == 300, 1 - f.y_true, f.y_true)), "another y_true"),
        (lambda f: f.assign(person_id=np.where(f.index == 300, "other", f.person_id)), "another person_id"),
        (lambda f: f.assign(cohort_id="combined"), "reserved"),
        (lambda f: f.assign(endpoint=np.where(f.model == "cutoff", "dcb", "response")), "several endpoints"),
    ],
)
def test_contradicting_predictions_are_told(predictions, change, says):
    with pytest.raises(DataError, match=says):
        evaluate(change(predictions), n_resamples=FEW)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"thresholds": [0.2, 1.0]}, r"thresholds holds 1\.0"),
        ({"thresholds": 0.3}, "give a list"),
        ({"references": "loris_routed"}, "give a list"),
        ({"min_events": 1}, "min_events is 1"),
        ({"n_resamples": 0}, "n_resamples is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_settings_are_told(predictions, setting, says):
    with pytest.raises(ConfigError, match=says):
        evaluate(predictions, **setting)


def test_a_fixed_rule_keeps_its_auroc_under_cross_validation():
    """Each fold gives a rule other probabilities; ranking patients of different fits would lower its AUROC."""
    rng = np.random.default_rng(3)
    n = 400
    y = rng.integers(0, 2, n)
    above = rng.random(n) < np.where(y == 1, 0.6, 0.4)
    fold = rng.integers(0, 5, n)
    # the fit that left out a fold rich in events predicts lower for all of it
    p = np.empty(n)
    for k in range(5):
        train = fold != k
        p[fold == k] = np.where(above[fold == k], y[train & above].mean(), y[train & ~above].mean())
    frame = pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)],
            "cohort_id": "a",
            "person_id": [f"p{i}" for i in range(n)],
            "model": "rule",
            "recalibration": "none",
            "scheme": "repeated_kfold",
            "repeat": 0,
            "fold": fold.astype(str),
            "endpoint": "response",
            "y_true": y,
            "p_response": p,
            "abstained": False,
            "assays": "dna",
            "in_training": False,
        }
    )
    metrics = evaluate(frame, references=[], n_resamples=100).metrics.set_index(["metric", "cohort_id"])
    within = [
        (
            np.sum((y == 1) & (fold == k)) * np.sum((y == 0) & (fold == k)),
            (above[(y == 1) & (fold == k)].mean() - above[(y == 0) & (fold == k)].mean() + 1) / 2,
        )
        for k in range(5)
    ]
    expected = sum(w * a for w, a in within) / sum(w for w, _ in within)
    own = (above[y == 1].mean() - above[y == 0].mean() + 1) / 2
    found = metrics.loc[("auroc", "a"), "estimate"]
    assert found == pytest.approx(expected, abs=1e-12)
    assert found == pytest.approx(own, abs=0.01)
    assert metrics.loc[("auroc", "pooled"), "estimate"] < own - 0.02


def test_equal_predictions_have_no_interval():
    n = 60
    frame = pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)],
            "cohort_id": "a",
            "person_id": [f"p{i}" for i in range(n)],
            "model": "flat",
            "recalibration": "none",
            "scheme": "train_test",
            "repeat": 0,
            "fold": "external",
            "endpoint": "response",
            "y_true": [0, 1] * (n // 2),
            "p_response": 0.4,
            "abstained": False,
            "assays": "dna",
            "in_training": False,
        }
    )
    row = (
        evaluate(frame, references=[], n_resamples=100).metrics.query("metric == 'auroc' and cohort_id == 'a'").iloc[0]
    )
    assert row["estimate"] == 0.5
    assert pd.isna(row["ci_low"])
    assert "no interval" in row["note"]


def test_an_intercept_that_is_updated_inside_a_cohort_changes_no_rank():
    """The update differs from fold to fold, and is lower where a fold holds many events: ranks must not see that."""
    own = fabricate(models=("ridge", "cutoff"))
    parts = [own]
    for _, rows in own.groupby("model"):
        ids = rows[["patient_id", "cohort_id", "person_id"]]
        p, why = intercept_of_others(rows["p_response"].to_numpy(), rows["y_true"].to_numpy(), ids, 5, 0)
        assert not why
        parts.append(rows.assign(recalibration="intercept_site", p_response=p))
    found = evaluate(pd.concat(parts), n_resamples=FEW, references=["ridge", "cutoff"], thresholds=[0.3])
    keys = ["metric", "model", "cohort_id"]
    metrics = found.metrics[(found.metrics["cohort_id"] != "pooled") & (found.metrics["metric"] != "net_benefit")]
    raw, site = (
        metrics[metrics["recalibration"] == name].set_index(keys)["estimate"] for name in ("none", "intercept_site")
    )
    for metric in ("auroc", "auprc"):
        pd.testing.assert_series_equal(raw[metric], site[metric])
    assert (raw["oe_ratio"] - site["oe_ratio"]).abs().max() > 0.05
    # by its own values the cut-off would have lost much of its AUROC
    rows = parts[[part["model"].iloc[0] for part in parts].index("cutoff")]
    rows = rows[rows["cohort_id"] == "a"]
    assert auroc(rows["y_true"], rows["p_response"]) < site["auroc", "cutoff", "a"] - 0.02
    against = found.comparisons.set_index(["metric", "model", "reference_model", "cohort_id"])
    assert against.loc[("auroc", "cutoff+intercept_site", "cutoff", "combined"), "difference"] == 0
    roc = found.curves[(found.curves["curve"] == "roc") & (found.curves["cohort_id"] == "combined")]
    a, b = (roc.loc[roc["model"] == name, "y"].to_numpy() for name in ("cutoff", "cutoff+intercept_site"))
    assert np.array_equal(a, b)
