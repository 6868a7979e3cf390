"""Survival evaluation: who counts, in which direction, to which horizon, and against whom."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.engines import JoblibEngine, SerialEngine
from immunocast.errors import ConfigError
from immunocast.metrics import (
    brier_survival,
    c_harrell,
    c_uno,
    kaplan_meier,
    logit,
    logrank,
    survival_link,
    td_auc,
)
from immunocast.store.schemas import conform
from immunocast.validation.evaluate_risk_groups import cut
from immunocast.validation.evaluate_survival import evaluate_survival
from immunocast.validation.evaluate_survival_inputs import SurvivalSettings, clipped

COHORTS = {"a": 140, "b": 110, "c": 90}
FEW = 100  # resamples where the interval itself is not under test
BRIEF = SurvivalSettings(outcomes=("os",), horizons_months=(6, 12))


def fabricate(cohorts=COHORTS, models=("loris_routed", "ridge", "cutoff"), seed=0, follow_up=36.0, harm=False):
    """Predictions and a cohort table: a latent chance of response that lengthens life, censoring at random."""
    rng = np.random.default_rng(seed)
    predictions, tables = [], []
    for shift, (name, n) in enumerate(cohorts.items()):
        z = rng.normal(-0.5, 1, n)
        y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
        death, stop = rng.exponential(12 * np.exp(0.8 * z - 0.1 * shift)), rng.uniform(3, follow_up, n)
        ids = [f"{name}{i:04d}" for i in range(n)]
        time, event = np.minimum(death, stop).round(2), (death <= stop).astype(int)
        table = {"patient_id": ids, "cohort_id": name, "person_id": ids, "arm": "ici", "responder": y}
        pfs = (time * 0.7).round(2)
        tables.append(
            pd.DataFrame(table | {"os_months": time, "os_event": event, "pfs_months": pfs, "pfs_event": event})
        )
        for k, model in enumerate(models):
            p = 1 / (1 + np.exp(-(z + rng.normal(0, 0.3 + 0.4 * k, n))))
            if model == "cutoff":
                p = np.where(p > 0.4, 0.45, 0.2)
            predictions.append(
                pd.DataFrame(
                    {
                        "patient_id": ids,
                        "cohort_id": name,
                        "person_id": ids,
                        "model": model,
                        "recalibration": "none",
                        "scheme": "leave_one_cohort_out",
                        "repeat": 0,
                        "fold": name,
                        "endpoint": "primary_resistance" if harm else "response",
                        "y_true": 1 - y if harm else y,
                        "p_response": 1 - p if harm else p,
                        "abstained": False,
                        "assays": "dna",
                        "in_training": False,
                    }
                )
            )
    cohort = pd.concat(tables, ignore_index=True)
    return pd.concat(predictions, ignore_index=True), cohort.astype({"os_event": "Int64", "pfs_event": "Int64"})


def run(predictions, cohort, settings=BRIEF, **more):
    return evaluate_survival(predictions, cohort, settings=settings, n_resamples=FEW, **more)


def pick(table, **where):
    """The one row that fits."""
    found = table
    for column, value in where.items():
        found = found[found[column] == value]
    assert len(found) == 1, f"{len(found)} rows for {where}"
    return found.iloc[0]


def arrays(predictions, cohort, model, cohort_id):
    """Time, event and probability of one cohort, by patient id."""
    part = predictions[(predictions.model == model) & (predictions.cohort_id == cohort_id)]
    both = part.merge(cohort, on="patient_id").sort_values("patient_id")
    return both.os_months.to_numpy(), both.os_event.to_numpy(dtype=int), both.p_response.to_numpy()


@pytest.fixture(scope="module")
def data():
    return fabricate()


@pytest.fixture(scope="module")
def found(data):
    return run(*data)


def test_tables_conform_and_cover_models_cohorts_and_metrics(found):
    for name in ("metrics", "comparisons", "curves", "risk_groups"):
        table = getattr(found, name)
        pd.testing.assert_frame_equal(conform(name, table), table)
        assert not table.empty
    # c_harrell, c_uno, ibs, scaled_ibs; AUC, Brier and IPA at 2 horizons; 3 models, 3 cohorts and combined
    assert len(found.metrics) == 3 * 4 * (4 + 3 * 2)
    assert len(found.comparisons) == 2 * 2 * 4
    assert found.notes == ()
    shown = found.metrics
    assert shown.estimate.notna().all()
    assert ((shown.ci_low <= shown.estimate) & (shown.estimate <= shown.ci_high)).all()


def test_cohort_estimates_are_the_plain_metrics(data, found):
    time, event, p = arrays(*data, "ridge", "b")
    row = pick(found.metrics, metric="c_harrell_os", model="ridge", cohort_id="b")
    assert row.estimate == pytest.approx(c_harrell(time, event, -p), abs=1e-12)
    assert (row.n, row.n_events) == (110, event.sum())
    row = pick(found.metrics, metric="c_uno_os", model="ridge", cohort_id="b")
    assert row.estimate == pytest.approx(c_uno(time, event, -p, 12.0), abs=1e-12)
    assert row.threshold_or_horizon == 12
    row = pick(found.metrics, metric="td_auc_os", model="ridge", cohort_id="b", threshold_or_horizon=6)
    assert row.estimate == pytest.approx(td_auc(time, event, -p, 6.0), abs=1e-12)
    assert row.n_events == (event[time <= 6]).sum()


def test_combined_concordance_is_over_the_pairs_of_all_cohorts(data, found):
    right = pairs = 0.0
    for name in COHORTS:
        time, event, p = arrays(*data, "ridge", name)
        n = sum(
            event[i] and (time[j] > time[i] or (time[j] == time[i] and not event[j]))
            for i in range(len(time))
            for j in range(len(time))
        )
        right, pairs = right + n * c_harrell(time, event, -p), pairs + n
    row = pick(found.metrics, metric="c_harrell_os", model="ridge", cohort_id="combined")
    assert row.estimate == pytest.approx(right / pairs, abs=1e-12)


def test_survival_probabilities_come_from_the_other_cohorts(data, found):
    """The Brier score of cohort c by hand: Cox on the log-odds of a and b, never of c."""
    parts = [arrays(*data, "ridge", name) for name in ("a", "b")]
    time, event, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    link = survival_link(time, event, logit(p))
    time, event, p = arrays(*data, "ridge", "c")
    expected = brier_survival(time, event, link.survival(logit(p), [6.0, 12.0]), [6.0, 12.0])
    for month, value in zip((6, 12), expected, strict=True):
        row = pick(found.metrics, metric="brier_os", model="ridge", cohort_id="c", threshold_or_horizon=month)
        assert row.estimate == pytest.approx(value, abs=1e-12)
    reference = brier_survival(time, event, np.tile(kaplan_meier(time, event).at([12.0])[0], (len(time), 1)), [12.0])
    row = pick(found.metrics, metric="ipa_os", model="ridge", cohort_id="c", threshold_or_horizon=12)
    assert row.estimate == pytest.approx(1 - expected[1] / reference[0], abs=1e-12)


def test_outcomes_of_tested_and_linked_patients_never_reach_their_survival_probabilities(data):
    """A linked person's time in another cohort is made absurd: the Brier score of the tested cohort stays."""
    predictions, cohort = (frame.copy() for frame in data)
    linked = {"a0000": "p1", "c0000": "p1"}
    for frame in (predictions, cohort):
        frame["person_id"] = frame["patient_id"].map(linked).fillna(frame["person_id"])
    changed = cohort.copy()
    changed.loc[changed.patient_id == "a0000", ["os_months", "os_event"]] = [0.01, 1]
    one, two = run(predictions, cohort).metrics, run(predictions, changed).metrics
    where = {"metric": "brier_os", "model": "ridge", "threshold_or_horizon": 6}
    assert pick(one, cohort_id="c", **where).estimate == pick(two, cohort_id="c", **where).estimate
    assert pick(one, cohort_id="b", **where).estimate != pick(two, cohort_id="b", **where).estimate


def test_one_cohort_takes_folds_of_persons_and_says_so():
    found = run(*fabricate({"a": 150}))
    row = pick(found.metrics, metric="brier_os", model="ridge", cohort_id="a", threshold_or_horizon=12)
    assert row.estimate < 0.25
    assert "5 folds of this cohort" in row.note


def test_harm_turns_the_score_round(data, found):
    other = run(*fabricate(harm=True), endpoint="primary_resistance")
    for metric in ("c_harrell_os", "c_uno_os"):
        where = {"metric": metric, "model": "ridge", "cohort_id": "combined"}
        assert pick(other.metrics, **where).estimate == pytest.approx(pick(found.metrics, **where).estimate, abs=1e-12)
        assert pick(found.metrics, **where).estimate > 0.6
    low = pick(found.risk_groups, model="ridge", cohort_id="combined", group="low")
    harmed = pick(other.risk_groups, model="ridge", cohort_id="combined", group="high")
    assert low.median_months == pytest.approx(harmed.median_months, rel=0.1)
    assert pick(other.risk_groups, model="ridge", cohort_id="combined", group="high").hazard_ratio > 1.5


def test_training_patients_never_enter(data):
    predictions, cohort = data
    seen = (predictions.model == "ridge") & (predictions.cohort_id == "a")
    marked = predictions.assign(in_training=seen)
    perfect = marked.copy()
    months = perfect["patient_id"].map(cohort.set_index("patient_id")["os_months"])
    perfect.loc[seen, "p_response"] = (months[seen] / 100).to_numpy()
    one, two = run(marked, cohort), run(perfect, cohort)
    for name in ("metrics", "comparisons", "risk_groups", "curves"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    row = pick(one.metrics, metric="c_harrell_os", model="ridge", cohort_id="a")
    assert np.isnan(row.estimate)
    assert row.note == "trained on this cohort"


def test_horizons_are_clipped_and_told():
    found = run(*fabricate(follow_up=14.0), settings=replace(BRIEF, horizons_months=(6, 24, 36)))
    rows = found.metrics[(found.metrics.metric == "td_auc_os") & (found.metrics.model == "ridge")]
    a = rows[rows.cohort_id == "a"]
    assert len(a) == 2, "24 and 36 fall together"
    assert a.threshold_or_horizon.max() < 14
    assert a.note.iloc[-1].startswith("24 and 36 months clipped to ")
    assert "fewer than 10 patients are followed longer" in a.note.iloc[-1]
    together = rows[rows.cohort_id == "combined"].set_index("threshold_or_horizon")
    assert np.isfinite(together.loc[6, "estimate"])
    assert np.isnan(together.loc[24, "estimate"])
    assert together.loc[24, "note"].count("left out: followed to") == 3
    uno = pick(found.metrics, metric="c_uno_os", model="ridge", cohort_id="combined")
    assert "a to " in uno.note


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=60),
    st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True),
)
@settings(max_examples=80, deadline=None)
def test_at_least_ten_patients_are_followed_beyond_every_horizon(tenths, months):
    time = np.array(tenths) / 10
    found = clipped(time, sorted(float(m) for m in months), 10)
    assert all((time > h).sum() >= 10 for h in found.months)
    assert len(found.months) == len(found.notes) == len(set(found.months))
    for month in set(months) - set(found.whole):
        assert not found.months or f"{month:g}" in found.notes[-1]
        assert (time > month + 0.1).sum() < 10


def test_few_deaths_give_no_estimate(data):
    predictions, cohort = data
    cohort = cohort.copy()
    dead = cohort.index[(cohort.cohort_id == "c") & (cohort.os_event == 1)]
    cohort.loc[dead[6:], "os_event"] = 0
    metrics = run(predictions, cohort).metrics
    rows = metrics[metrics.cohort_id == "c"]
    assert rows.estimate.isna().all()
    assert rows.note.str.startswith("too small").all()
    assert set(rows.n) == {90}


def test_differences_are_on_common_patients_and_paired(data):
    predictions, cohort = data
    ids = sorted(cohort.loc[cohort.cohort_id == "a", "patient_id"])[:40]
    gone = (predictions.model == "loris_routed") & predictions.patient_id.isin(ids)
    predictions = predictions.assign(abstained=gone, p_response=predictions.p_response.mask(gone, np.nan))
    found = run(predictions, cohort)
    row = pick(found.comparisons, metric="c_harrell_os", model="ridge", cohort_id="a")
    assert (row.n_common, row.n_lost) == (100, 40)
    assert "loris_routed abstained on 40 of 140" in row.note
    values = {}
    for model in ("ridge", "loris_routed"):
        part = predictions[~predictions.patient_id.isin(ids)]
        time, event, p = arrays(part, cohort, model, "a")
        values[model] = c_harrell(time, event, -p)
    assert row.difference == pytest.approx(values["ridge"] - values["loris_routed"], abs=1e-12)
    assert row.ci_low <= row.difference <= row.ci_high
    assert 0 < row.p <= row.p_adjusted <= 1
    same = predictions[predictions.model == "ridge"].assign(model="twin")
    twin = run(pd.concat([predictions, same]), cohort, references=("twin",)).comparisons
    row = pick(twin, metric="c_uno_os", model="ridge", cohort_id="combined")
    assert (row.difference, row.ci_low, row.ci_high, row.p) == (0, 0, 0, 1)


def test_recalibrated_predictions_are_left_out(data, found):
    predictions, cohort = data
    more = predictions[predictions.model == "ridge"].assign(recalibration="platt", p_response=0.5)
    again = run(pd.concat([predictions, more]), cohort, references=("loris_routed+platt",))
    pd.testing.assert_frame_equal(again.metrics, found.metrics)
    assert set(again.comparisons.reference_model) == {"loris_routed"}


@pytest.mark.parametrize("engine", [SerialEngine(), JoblibEngine(2, "threading")])
def test_neither_the_engine_nor_the_order_of_rows_changes_anything(data, found, engine):
    predictions, cohort = (frame.sample(frac=1, random_state=1) for frame in data)
    again = run(predictions, cohort, engine=engine)
    for name in ("metrics", "comparisons", "curves", "risk_groups"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name))


def test_another_cohort_in_the_data_changes_no_ranks_of_this_one(data, found):
    predictions, cohort = (frame[frame.cohort_id != "a"] for frame in data)
    fewer = run(predictions, cohort)
    where = {"metric": "c_uno_os", "model": "ridge", "cohort_id": "b"}
    pd.testing.assert_series_equal(pick(fewer.metrics, **where), pick(found.metrics, **where), check_names=False)


# Risk groups


def test_groups_are_cut_without_outcomes(data, found):
    rows = found.risk_groups[(found.risk_groups.model == "ridge") & (found.risk_groups.cohort_id == "a")]
    assert rows.n.sum() == 140
    assert rows.n.max() - rows.n.min() <= 1
    time, event, p = arrays(*data, "ridge", "a")
    group, names = cut(p, 3)
    assert names == ("low", "middle", "high")
    for g, name in enumerate(names):
        row = pick(rows, group=name)
        median, low, high = kaplan_meier(time[group == g], event[group == g]).median()
        assert (row.median_months, row.ci_low, row.ci_high) == pytest.approx((median, low, high), nan_ok=True)
        assert row.logrank_p == pytest.approx(logrank(time, event, group).p)
    assert pick(rows, group="low").hazard_ratio == 1
    assert pick(rows, group="high").hazard_ratio < pick(rows, group="middle").hazard_ratio < 1
    changed = data[1].assign(os_event=0)
    assert run(data[0], changed).risk_groups.n.tolist() == found.risk_groups.n.tolist()


def test_a_cut_off_has_two_groups_and_a_constant_one(data, found):
    rows = found.risk_groups[(found.risk_groups.model == "cutoff") & (found.risk_groups.cohort_id == "combined")]
    assert sorted(rows.group) == ["high", "low"]
    constant = data[0].assign(p_response=0.3)
    again = run(constant, data[1])
    assert set(again.risk_groups.group) == {"all"}
    assert again.risk_groups.hazard_ratio.isna().all()
    row = pick(again.metrics, metric="c_harrell_os", model="ridge", cohort_id="combined")
    assert (row.estimate, row.note) == (0.5, "all predictions of a cohort are equal: no interval")


@pytest.mark.parametrize("model", ["ridge", "cutoff"])
def test_a_cohort_whose_predictions_are_all_equal_is_neither_low_nor_high(data, found, model):
    predictions, cohort = data
    flat = (predictions.model == model) & (predictions.cohort_id == "a")
    again = run(predictions.assign(p_response=predictions.p_response.mask(flat, 0.45)), cohort)
    rows = again.risk_groups[again.risk_groups.model == model]
    assert set(rows[rows.cohort_id == "a"].group) == {"all"}
    combined = rows[rows.cohort_id == "combined"]
    assert combined.n.sum() == COHORTS["b"] + COHORTS["c"]
    assert combined.note.str.contains("a left out: all its predictions are equal").all()
    assert combined.hazard_ratio.notna().all()
    assert "all" not in set(combined.group)
    # the others are as they were
    where = {"model": model, "cohort_id": "b", "group": "high"}
    pd.testing.assert_series_equal(pick(rows, **where), pick(found.risk_groups, **where), check_names=False)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.sampled_from([2, 3]))
@settings(max_examples=80, deadline=None)
def test_equal_predictions_share_a_group_and_groups_follow_the_order(values, k):
    p = np.array(values) / 10
    group, names = cut(p, k)
    assert len(names) == group.max() + 1 == len(set(group.tolist())) <= k
    for i in range(len(p)):
        same_or_lower = p <= p[i]
        assert (group[same_or_lower] <= group[i]).all()
        assert len(set(group[p == p[i]].tolist())) == 1


def test_curves_start_at_one_with_everybody_and_end_with_the_follow_up(data, found):
    curve = found.curves[(found.curves.model == "ridge") & (found.curves.cohort_id == "a")]
    assert set(curve.curve) == {"survival_os"}
    for _, part in curve.groupby("level"):
        assert part.y.iloc[0] == 1
        assert part.n.is_monotonic_decreasing
        assert (part.n > 0).all()
    assert curve[curve.x == 0].n.sum() == 140


# Landmark


def test_a_landmark_moves_the_origin_and_drops_who_left(data):
    predictions, cohort = data
    found = run(predictions, cohort, settings=replace(BRIEF, landmark_days=60.875))  # two months
    time, event, p = arrays(predictions, cohort, "ridge", "b")
    after = time > 2
    assert 0 < after.sum() < len(time)
    row = pick(found.metrics, metric="td_auc_os", model="ridge", cohort_id="b", threshold_or_horizon=6)
    assert row.estimate == pytest.approx(td_auc(time[after] - 2, event[after], -p[after], 6.0), abs=1e-9)
    assert row.n == after.sum()
    assert "counted from day 60.875" in row.note
    assert any("by day 60.875 do not count" in note for note in found.notes)
    everybody = cohort.os_months.max() * 31
    gone = run(predictions, cohort, settings=replace(BRIEF, landmark_days=everybody))
    assert gone.metrics.empty


def test_immortal_time_makes_the_naive_hazard_ratio_of_irae_too_low():
    """Given the true response, an irAE does nothing to survival here: the landmark finds that, naivety does not."""
    loaded = SyntheticCohort(n_patients=6000, n_cohorts=1, seed=4).load()
    cohort = loaded.cohort.merge(loaded.truth[["patient_id", "latent_responder"]], on="patient_id")
    ratios = {}
    for response in (0, 1):
        part = cohort[cohort.latent_responder == response].reset_index(drop=True)
        predictions = fabricate({"x": len(part)}, models=("ridge",))[0].assign(
            patient_id=part.patient_id, cohort_id=part.cohort_id, person_id=part.person_id
        )
        found = run(predictions, part).risk_groups
        for model in ("irae_naive", "irae_landmark"):
            ratios[response, model] = pick(found, model=model, cohort_id="combined", group="irae")
    naive, landmark = ratios[0, "irae_naive"], ratios[0, "irae_landmark"]
    assert naive.hr_high < 0.7, "dying early leaves no time for an irAE"
    assert landmark.hr_low < 1 < landmark.hr_high * 1.05
    assert abs(np.log(landmark.hazard_ratio)) < 0.12
    assert "immortal time" in naive.note
    assert "association" in landmark.note


def test_without_onset_there_is_no_association(data, found):
    assert not found.risk_groups.model.str.startswith("irae").any()


# What can't be evaluated is told


def test_cohorts_without_times_are_told_once(data):
    predictions, cohort = data
    none = run(predictions, cohort.drop(columns=["os_months", "os_event"]))
    assert none.metrics.empty
    assert none.risk_groups.empty
    assert none.notes == tuple(f"os: {c} has no os_months with os_event" for c in COHORTS)
    part = cohort.assign(os_months=cohort.os_months.mask(cohort.cohort_id == "c"))
    some = run(predictions, part)
    assert set(some.metrics.cohort_id) == {"a", "b", "combined"}
    assert some.notes == ("os: c has no os_months with os_event",)


def test_times_of_the_deceased_only_are_refused(data):
    predictions, cohort = data
    alive = (cohort.os_event == 0) & (cohort.cohort_id == "a")
    found = run(predictions, cohort.assign(os_months=cohort.os_months.mask(alive)))
    assert "a" not in set(found.metrics.cohort_id)
    assert found.notes == ("os: a is left out, its times are known for the deceased only or mostly",)


def test_labels_that_needed_follow_up_select_patients_and_are_refused(data):
    """As under endpoint=os: nobody censored before 12 months is predicted."""
    predictions, cohort = data
    early = cohort.loc[(cohort.os_event == 0) & (cohort.os_months < 12), "patient_id"]
    found = run(predictions[~predictions.patient_id.isin(early)], cohort)
    assert found.metrics.empty
    assert len(found.notes) == 1
    assert "who leaves follow-up early has no label" in found.notes[0]
    here = predictions.patient_id.isin(early) & (predictions.cohort_id == "a")
    found = run(predictions[~here], cohort)
    assert set(found.metrics.cohort_id) == {"b", "c", "combined"}, "only one cohort lacks them"
    # chance alone is no selection
    found = run(predictions[~predictions.patient_id.isin(cohort.patient_id.iloc[::9])], cohort)
    assert not found.metrics.empty
    assert all("have no prediction and do not count" in note for note in found.notes)


def test_an_unsettled_direction_is_told():
    predictions, cohort = fabricate(harm=True)
    cohort = cohort.assign(irae=1 - cohort.responder)
    found = run(predictions.assign(endpoint="irae"), cohort, endpoint="irae")
    assert any("below .5 means that it goes with longer life" in note for note in found.notes)


def test_control_patients_are_nobodys_loss(data):
    predictions, cohort = data
    more = cohort.head(30).assign(arm="control", patient_id=[f"k{i}" for i in range(30)])
    assert run(predictions, pd.concat([cohort, more], ignore_index=True)).notes == ()


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"outcomes": ("dfs",)}, "survival.outcomes holds 'dfs'"),
        ({"horizons_months": ()}, "survival.horizons_months"),
        ({"horizons_months": (6, -1)}, "survival.horizons_months"),
        ({"risk_groups": 5}, "survival.risk_groups is 5"),
        ({"landmark_days": 0}, "survival.landmark_days is 0"),
        ({"irae_landmark_days": float("nan")}, "survival.irae_landmark_days"),
        ({"min_events": 1}, "min_events is 1"),
    ],
)
def test_settings_out_of_range_are_refused(more, word):
    with pytest.raises(ConfigError, match=word):
        SurvivalSettings(**more)


def test_models_are_chosen_by_name(data, found):
    some = run(*data, settings=replace(BRIEF, models=("ridge",)))
    assert set(some.metrics.model) == {"ridge"}
    assert set(some.comparisons.model) == {"ridge"}
    with pytest.raises(ConfigError, match="'ridgid'"):
        run(*data, settings=replace(BRIEF, models=("ridgid",)))
    assert run(*data, settings=replace(BRIEF, outcomes=())).metrics.empty


def test_folds_rank_their_own_patients_only(data):
    """Fits of different level: within each fold the ranking is that of the times."""
    predictions, cohort = data
    part = predictions[(predictions.model == "ridge") & (predictions.cohort_id == "a")].reset_index(drop=True)
    outcomes = cohort.set_index("patient_id").loc[part.patient_id].reset_index()
    months = outcomes.os_months + 0.001 * (outcomes.os_event == 0)  # the censored outlive events of their day
    fold = part.index % 4
    part = part.assign(
        scheme="repeated_kfold", fold=fold.astype(str), p_response=(months / 200 + fold * 0.2).clip(0, 1)
    )
    row = pick(run(part, cohort[cohort.cohort_id == "a"]).metrics, metric="c_harrell_os", cohort_id="a")
    assert row.estimate == 1.0
    time, event, p = arrays(part, cohort, "ridge", "a")
    assert c_harrell(time, event, -p) < 0.7
