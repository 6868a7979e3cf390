"""Who a model fails: levels, estimates inside them, shrinkage, discordance strata, families of tests."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from immunocast.cohort.vocabulary import TUMOR_TYPES
from immunocast.errors import ConfigError, DataError
from immunocast.metrics import auroc, delong_difference, holm, net_benefit, oe_ratio, random_effects, wilson_interval
from immunocast.store.schemas import conform
from immunocast.validation.evaluate import evaluate
from immunocast.validation.subgroups import AGE_BANDS, DEFAULT_SUBGROUPS, UNKNOWN, subgroup_frame

COHORTS = {"a": 260, "b": 160, "c": 8}
FEW = 200


def people(seed=0):
    """A cohort table: two markers, a type with one rare level, ages with gaps."""
    rng = np.random.default_rng(seed)
    ids = [f"{c}{i:04d}" for c, n in COHORTS.items() for i in range(n)]
    n = len(ids)
    kind = rng.choice(["NSCLC", "Melanoma", "Renal", "Breast"], n, p=[0.5, 0.25, 0.2, 0.05])
    return pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": [i[0] for i in ids],
            "person_id": ids,
            "tumor_type": np.where(rng.random(n) < 0.04, None, kind),
            "sex": rng.choice(["female", "male"], n),
            "age_years": np.where(rng.random(n) < 0.1, np.nan, rng.uniform(30, 90, n)),
            "pdl1_tps": np.where([i[0] == "a" for i in ids], rng.choice([0.0, 0.5, 10, 50, 90], n), np.nan),
            "tmb_mut_mb": rng.lognormal(1.8, 1, n),
        }
    )


def predicted(cohort, models=("ridge", "loris_routed"), endpoint="response", seed=0, repeats=1, folds=0):
    rng = np.random.default_rng(seed)
    n = len(cohort)
    z = rng.normal(-0.6, 1, n) + 0.01 * cohort.pdl1_tps.fillna(30).to_numpy()
    y = (rng.random(n) < expit(z)).astype(int)
    frames = []
    for repeat in range(repeats):
        split = rng.integers(0, folds, n).astype(str) if folds else cohort.cohort_id
        for k, model in enumerate(models):
            frames.append(
                pd.DataFrame(
                    {
                        "patient_id": cohort.patient_id,
                        "cohort_id": cohort.cohort_id,
                        "person_id": cohort.person_id,
                        "model": model,
                        "recalibration": "none",
                        "scheme": "repeated_kfold" if folds else "leave_one_cohort_out",
                        "repeat": repeat,
                        "fold": split,
                        "endpoint": endpoint,
                        "y_true": y,
                        "p_response": expit(z + rng.normal(0, 0.5 + 0.7 * k, n)),
                        "abstained": False,
                        "assays": "dna",
                        "in_training": False,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def cohort():
    return people()


@pytest.fixture(scope="module")
def predictions(cohort):
    return predicted(cohort)


@pytest.fixture(scope="module")
def evaluation(cohort, predictions):
    return evaluate(predictions, cohort=cohort, n_resamples=FEW, all_pairs=True)


def inside(table, **where):
    keep = np.ones(len(table), dtype=bool)
    for column, value in where.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def one(table, **where):
    found = inside(table, **where)
    assert len(found) == 1, f"{len(found)} rows for {where}"
    return found.iloc[0]


# ---- levels


def test_levels_of_a_patient():
    table = pd.DataFrame(
        {
            "patient_id": list("abcde"),
            "age_years": [49.99, 50, 64.9, 75, np.nan],
            "line_of_therapy": pd.array([1, 2, 3, 7, None], dtype="Int64"),
            "prior_systemic_therapy": pd.array([0, 1, None, 1, 0], dtype="Int64"),
            "ancestry": [" East Asian", "", None, "European", "European"],
            "nlr": [np.nan, 3, np.nan, np.nan, np.nan],
            "pdl1_ic": [None, None, "IC0", None, None],
        }
    )
    names = ["age_band", "line_of_therapy", "prior_systemic_therapy", "ancestry", "blood_measured", "pdl1_measured",
             "site_id", "tmb_measured"]  # fmt: skip
    found = subgroup_frame(table, names)
    assert found.loc["a"].tolist() == ["under 50", "1", "no", "East Asian", "not measured", "not measured", UNKNOWN,
                                       "not measured"]  # fmt: skip
    assert found.age_band.tolist()[1:] == ["50-64", "50-64", "75 and older", UNKNOWN]
    assert found.line_of_therapy.tolist() == ["1", "2", "3 and later", "3 and later", UNKNOWN]
    assert found.prior_systemic_therapy.tolist() == ["no", "yes", UNKNOWN, "yes", "no"]
    assert found.ancestry.tolist()[1:3] == [UNKNOWN, UNKNOWN]
    assert found.blood_measured.tolist() == ["not measured", "measured"] + ["not measured"] * 3
    assert found.pdl1_measured.tolist()[2] == "measured"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(0, 110)),
            st.one_of(st.none(), st.sampled_from(TUMOR_TYPES)),
            st.one_of(st.none(), st.integers(1, 20)),
            st.one_of(st.none(), st.text(max_size=5)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_everybody_has_one_level_of_everything(rows):
    table = pd.DataFrame(rows, columns=["age_years", "tumor_type", "line_of_therapy", "site_id"])
    table["line_of_therapy"] = table.line_of_therapy.astype("Int64")
    table["patient_id"] = [f"p{i}" for i in range(len(table))]
    found = subgroup_frame(table)
    assert list(found.columns) == list(DEFAULT_SUBGROUPS)
    assert found.notna().all(axis=None)
    assert (found != "").all(axis=None)
    known = table.age_years.notna().to_numpy()
    assert set(found.age_band[known]) <= {name for _, name in AGE_BANDS}
    assert (found.age_band[~known] == UNKNOWN).all()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["tumour"], "names 'tumour'"),
        (["age_years"], "it is a number: use age_band"),
        (["responder"], "names 'responder'"),
        ("sex", "give a list"),
    ],
)
def test_unknown_subgroups_are_told(cohort, names, says):
    with pytest.raises(ConfigError, match=says):
        subgroup_frame(cohort, names)


# ---- estimates inside subgroups


def test_tables_conform(evaluation):
    for name in ("metrics", "comparisons", "heterogeneity"):
        table = getattr(evaluation, name)
        pd.testing.assert_frame_equal(conform(name, table), table)


@pytest.mark.parametrize("metric", ["oe_ratio", "net_benefit", "oe_ratio_shrunken"])
def test_subgroups_sum_to_everybody(evaluation, predictions, metric):
    metrics = inside(evaluation.metrics, metric=metric)
    groups = metrics[~metrics.subgroup.isin(["all", "discordance"])]
    sums = groups.groupby(["model", "subgroup", "threshold_or_horizon"], dropna=False)[["n", "n_events"]].sum()
    single = inside(predictions, model="ridge")
    assert set(sums.index.get_level_values("subgroup")) == {"tumor_type", "sex", "age_band", "pdl1_measured",
                                                            "tmb_measured", "blood_measured",
                                                            "expression_measured"}  # fmt: skip
    assert (sums.n == len(single)).all()
    assert (sums.n_events == single.y_true.sum()).all()
    assert UNKNOWN in set(inside(groups, subgroup="tumor_type").level)


def test_what_is_known_of_nobody_is_told_and_not_shown(evaluation):
    assert any("ancestry" in note and "known for nobody" in note for note in evaluation.notes)
    assert "ancestry" not in set(evaluation.metrics.subgroup)


def test_estimates_inside_are_the_plain_metrics(cohort, predictions, evaluation):
    table = inside(predictions, model="ridge").assign(kind=cohort.tumor_type.to_numpy())
    part = table[table.kind == "Melanoma"]
    row = one(evaluation.metrics, metric="oe_ratio", model="ridge", subgroup="tumor_type", level="Melanoma")
    assert row.estimate == pytest.approx(oe_ratio(part.y_true, part.p_response))
    assert row.ci_low < row.estimate < row.ci_high
    row = one(evaluation.metrics, metric="net_benefit", model="ridge", subgroup="tumor_type", level="Melanoma",
              threshold_or_horizon=0.3)  # fmt: skip
    assert row.estimate == pytest.approx(net_benefit(part.y_true, part.p_response, 0.3))
    big = [g for _, g in part.groupby("cohort_id") if 2 <= g.y_true.sum() <= len(g) - 2]
    pairs = [g.y_true.sum() * (len(g) - g.y_true.sum()) for g in big]
    row = one(evaluation.metrics, metric="auroc", model="ridge", subgroup="tumor_type", level="Melanoma")
    assert row.estimate == pytest.approx(np.average([auroc(g.y_true, g.p_response) for g in big], weights=pairs))
    assert row.n == sum(len(g) for g in big)


def test_the_interval_inside_is_that_of_these_patients_alone(cohort, predictions, evaluation):
    """A subgroup that is everybody of whom there are predictions has the numbers of everybody."""
    row = one(evaluation.metrics, metric="oe_ratio", model="ridge", subgroup="tmb_measured", level="measured")
    whole = one(evaluation.metrics, metric="oe_ratio", model="ridge", subgroup="all", cohort_id="combined")
    for column in ("n", "n_events", "estimate", "ci_low", "ci_high"):
        assert row[column] == pytest.approx(whole[column], rel=1e-9), column
    row = one(evaluation.metrics, metric="auroc", model="ridge", subgroup="tmb_measured", level="measured")
    whole = one(evaluation.metrics, metric="auroc", model="ridge", subgroup="all", cohort_id="combined")
    for column in ("estimate", "ci_low", "ci_high"):
        assert row[column] == pytest.approx(whole[column], rel=1e-9), column


def test_small_levels_are_withheld_but_shrunken(cohort, predictions, evaluation):
    row = one(evaluation.metrics, metric="oe_ratio", model="ridge", subgroup="tumor_type", level="Breast")
    assert min(row.n_events, row.n - row.n_events) < 10
    assert np.isnan(row.estimate)
    assert row.note == "too small"
    shrunken = one(evaluation.metrics, metric="oe_ratio_shrunken", model="ridge", subgroup="tumor_type", level="Breast")
    assert shrunken.ci_low < shrunken.estimate < shrunken.ci_high
    assert shrunken.ci_method == "empirical_bayes"
    table = inside(predictions, model="ridge").assign(kind=cohort.tumor_type.to_numpy())
    own = oe_ratio(*[table[table.kind == "Breast"][c].to_numpy() for c in ("y_true", "p_response")])
    mean = one(evaluation.heterogeneity, metric="oe_ratio", model="ridge", grouping="tumor_type").estimate
    assert min(own, mean) <= shrunken.estimate <= max(own, mean)
    assert abs(np.log(shrunken.estimate / mean)) < abs(np.log(own / mean))


@pytest.mark.parametrize("metric", ["auroc", "oe_ratio"])
def test_every_shrunken_estimate_lies_between_its_own_and_the_mean(evaluation, metric):
    own = inside(evaluation.metrics, metric=metric)
    seen = 0
    for row in inside(evaluation.metrics, metric=f"{metric}_shrunken").itertuples():
        single = one(own, model=row.model, subgroup=row.subgroup, level=row.level).estimate
        if np.isnan(single) or np.isnan(row.estimate):
            continue
        mean = one(evaluation.heterogeneity, metric=metric, model=row.model, grouping=row.subgroup).estimate
        assert min(single, mean) - 1e-9 <= row.estimate <= max(single, mean) + 1e-9
        assert row.ci_low < row.estimate < row.ci_high
        seen += 1
    assert seen > 10


# ---- heterogeneity


def test_cohorts_are_summarised_on_the_logit_scale(predictions, evaluation):
    row = one(evaluation.heterogeneity, metric="auroc", model="ridge", grouping="cohort_id")
    cohorts = inside(evaluation.metrics, metric="auroc", model="ridge", subgroup="all")
    cohorts = cohorts[cohorts.cohort_id.isin(["a", "b"])]
    variances = ((logit(cohorts.ci_high) - logit(cohorts.ci_low)) / (2 * 1.959964)) ** 2
    expected = random_effects(logit(cohorts.estimate.to_numpy()), variances.to_numpy())
    assert row.estimate == pytest.approx(expit(expected.estimate), abs=1e-6)
    assert row.ci_low == pytest.approx(expit(expected.ci_low), abs=1e-6)
    assert (row.n_levels, row.df, row.n) == (2, 1, 420)
    assert row.p == pytest.approx(expected.p, abs=1e-6)
    assert np.isnan(row.pi_low)
    assert "two levels: no prediction interval" in row.note
    assert "c (too small)" in row.note


def test_one_cohort_gives_no_summary(predictions):
    row = one(
        evaluate(predictions[predictions.cohort_id == "a"], n_resamples=FEW).heterogeneity,
        metric="auroc",
        model="ridge",
    )
    assert np.isnan(row.estimate)
    assert np.isnan(row.p)
    assert (row.n_levels, row.df) == (1, 0)
    assert "nothing to summarise" in row.note


def test_the_same_persons_in_two_cohorts_do_not_count_twice():
    """A cohort entered twice under another name: the mean's interval is that of one, Q is 0."""
    table = people().iloc[:260].assign(cohort_id="a")
    frame = predicted(table, models=("ridge",))
    twin = frame.assign(patient_id="t" + frame.patient_id, cohort_id="b", fold="b")
    # one more cohort of others, so that the covariance is not singular
    other = predicted(people(5).iloc[:200], models=("ridge",), seed=5)
    other = other.assign(patient_id="o" + other.patient_id, person_id="o" + other.person_id, cohort_id="c", fold="c")
    nudged = twin.assign(p_response=np.clip(twin.p_response + 0.02 * np.sin(np.arange(len(twin))), 0.001, 0.999))
    linked = evaluate(pd.concat([frame, nudged, other]), n_resamples=FEW, references=()).heterogeneity
    strangers = nudged.assign(person_id="s" + nudged.person_id)
    apart = evaluate(pd.concat([frame, strangers, other]), n_resamples=FEW, references=()).heterogeneity
    for metric in ("auroc", "brier", "calibration_intercept"):
        one_person, two_persons = one(linked, metric=metric), one(apart, metric=metric)
        assert "persons in several levels, whose errors count as correlated: 260" in one_person.note
        assert "persons in several levels" not in two_persons.note
        wide = one_person.ci_high - one_person.ci_low
        assert wide > 1.1 * (two_persons.ci_high - two_persons.ci_low), metric


def test_families_of_tests_are_corrected_by_holm(evaluation):
    for metric in ("auroc", "oe_ratio"):
        rows = inside(evaluation.heterogeneity, metric=metric, model="ridge")
        tested = rows[rows.p.notna()]
        np.testing.assert_allclose(tested.p_adjusted, holm(tested.p))
        assert set(tested.family) == {f"holm over {len(tested)} groupings"}
        assert set(rows[rows.p.isna()].family) <= {""}
    rows = inside(evaluation.comparisons, metric="auroc", cohort_id="combined", subgroup="all")
    for _, family in rows.groupby("reference_model"):
        np.testing.assert_allclose(family.p_adjusted, holm(family.p))


@pytest.mark.slow
def test_p_of_the_heterogeneity_test_is_uniform_where_groups_do_not_differ(predictions, cohort):
    """Levels dealt at random: no more than the nominal share of small p."""
    found = {"auroc": [], "oe_ratio": []}
    frame = inside(predictions, model="ridge")
    for seed in range(150):
        rng = np.random.default_rng(seed)
        dealt = cohort.assign(ancestry=rng.choice(["x", "y", "z"], len(cohort)))
        result = evaluate(frame, cohort=dealt, subgroups=["ancestry"], n_resamples=FEW, references=())
        for metric, values in found.items():
            values.append(one(result.heterogeneity, metric=metric, grouping="ancestry").p)
    for metric, values in found.items():
        values = np.array(values)
        assert np.mean(values < 0.05) < 0.11, metric
        assert np.mean(values) == pytest.approx(0.5, abs=0.1), metric


@pytest.mark.slow
def test_a_group_that_the_model_fails_is_found(cohort, predictions):
    frame = inside(predictions, model="ridge").reset_index(drop=True)
    rng = np.random.default_rng(3)
    failed = (cohort.sex == "female").to_numpy()
    frame.loc[failed, "p_response"] = rng.permutation(frame.p_response[failed])
    result = evaluate(frame, cohort=cohort, n_resamples=FEW, references=())
    assert one(result.heterogeneity, metric="auroc", grouping="sex").p_adjusted < 0.01


# ---- discordance strata


def test_discordance_strata_count_who_was_not_expected(cohort, predictions, evaluation):
    single = inside(predictions, model="ridge").assign(tps=cohort.pdl1_tps.to_numpy())
    low, high = single[single.tps < 1], single[single.tps >= 50]
    for level, part, hits in (
        ("pdl1_tps < 1 %", low, low.y_true.sum()),
        ("pdl1_tps >= 50 %", high, (high.y_true == 0).sum()),
    ):
        row = one(evaluation.metrics, metric="share_discordant", model="ridge", level=level)
        ends = wilson_interval(hits, len(part))
        assert (row.n, row.n_events) == (len(part), part.y_true.sum())
        assert row.estimate == pytest.approx(hits / len(part))
        assert (row.ci_low, row.ci_high) == pytest.approx([float(e) for e in ends])
        assert row.ci_method == "wilson"
    assert (
        "discordant: responders"
        in one(evaluation.metrics, metric="share_discordant", model="ridge", level="pdl1_tps < 1 %").note
    )
    assert "discordant: non-responders" in row.note
    assert "not in b, c" in row.note
    row = one(evaluation.metrics, metric="rate_above", model="ridge", level="pdl1_tps >= 50 %")
    above = high[high.p_response >= 0.2]
    assert row.estimate == pytest.approx(above.y_true.mean())
    assert row.threshold_or_horizon == 0.2
    assert "0.2, the lowest configured one" in row.note
    below = one(evaluation.metrics, metric="rate_below", model="ridge", level="pdl1_tps >= 50 %")
    assert row.n + below.n == len(high)


def test_models_are_compared_inside_the_strata(cohort, predictions, evaluation):
    low = cohort.pdl1_tps.lt(1).to_numpy()
    ridge, loris = (inside(predictions, model=m)[low] for m in ("ridge", "loris_routed"))
    row = one(
        evaluation.comparisons, metric="auroc", model="ridge", reference_model="loris_routed", level="pdl1_tps < 1 %"
    )
    expected = delong_difference(ridge.y_true, ridge.p_response, loris.p_response)
    assert row.subgroup == "discordance"
    assert row.n_common == low.sum()
    for name in ("difference", "ci_low", "ci_high", "p"):
        assert row[name] == pytest.approx(getattr(expected, name), abs=1e-12)


@pytest.mark.parametrize(("endpoint", "who"), [("primary_resistance", "patients without primary resistance"),
                                               ("irae", None)])  # fmt: skip
def test_the_direction_follows_the_endpoint(cohort, endpoint, who):
    frame = predicted(cohort, endpoint=endpoint, models=("ridge",))
    metrics = evaluate(frame, cohort=cohort, n_resamples=FEW, references=()).metrics
    row = one(metrics, metric="share_discordant", level="pdl1_tps < 1 %")
    single = frame[(cohort.pdl1_tps < 1).to_numpy()]
    if who is None:
        assert np.isnan(row.estimate)
        assert "nobody is called discordant" in row.note
        assert row.n == len(single)
    else:
        assert row.estimate == pytest.approx((single.y_true == 0).mean())
        assert f"discordant: {who}" in row.note
    assert "responders" not in row.note
    assert not np.isnan(one(metrics, metric="auroc", level="pdl1_tps < 1 %", subgroup="discordance").estimate)


def test_without_pdl1_the_strata_say_so(cohort, predictions):
    other = cohort.drop(columns="pdl1_tps").assign(pdl1_cps=10.0)
    metrics = evaluate(predictions, cohort=other, n_resamples=FEW).metrics
    row = one(metrics, metric="share_discordant", model="ridge", level="pdl1_tps < 1 %")
    assert row.n == 0
    assert "PD-L1 TPS is known for nobody" in row.note
    assert "PD-L1 CPS not used" in row.note


def test_persons_who_are_there_twice_widen_a_share():
    table = people().iloc[:260]
    twin = table.assign(patient_id="t" + table.patient_id)
    frame = predicted(table, models=("ridge",))
    both = pd.concat([frame, frame.assign(patient_id="t" + frame.patient_id)])
    once = evaluate(frame, cohort=table, n_resamples=600, references=()).metrics
    twice = evaluate(both, cohort=pd.concat([table, twin]), n_resamples=600, references=()).metrics
    where = {"metric": "share_discordant", "level": "tmb_mut_mb < 10"}
    one_row, two_rows = one(once, **where), one(twice, **where)
    assert two_rows.n == 2 * one_row.n
    assert (one_row.ci_method, two_rows.ci_method) == ("wilson", "bootstrap")
    assert two_rows.ci_high - two_rows.ci_low == pytest.approx(one_row.ci_high - one_row.ci_low, rel=0.15)


def test_thresholds_of_the_training_folds_decide_who_is_above(cohort, predictions):
    chosen = pd.DataFrame(
        {
            "model": "ridge",
            "recalibration": "none",
            "scheme": "leave_one_cohort_out",
            "endpoint": "response",
            "repeat": 0,
            "fold": ["a", "b", "c", "final"],
            "rule": "youden",
            "threshold": [0.5, 0.1, 0.2, 0.3],
            "n": 100,
            "n_events": 40,
            "note": "",
        }
    )
    metrics = evaluate(predictions, cohort=cohort, chosen_thresholds=chosen, n_resamples=FEW).metrics
    row = one(metrics, metric="rate_above", model="ridge", level="tmb_mut_mb < 10")
    single = inside(predictions, model="ridge")[(cohort.tmb_mut_mb < 10).to_numpy()]
    above = single[single.p_response >= single.cohort_id.map({"a": 0.5, "b": 0.1, "c": 0.2})]
    assert (row.n, row.estimate) == (len(above), pytest.approx(above.y_true.mean()))
    assert np.isnan(row.threshold_or_horizon)
    assert "youden of the training folds, 0.1 to 0.5" in row.note
    # a model for which a fold has none falls back, and says so
    row = one(metrics, metric="rate_above", model="loris_routed", level="tmb_mut_mb < 10")
    assert row.threshold_or_horizon == 0.2


# ---- what is refused, and order


def test_models_are_chosen_by_name_or_label(cohort, predictions):
    platt = inside(predictions, model="ridge").assign(recalibration="platt")
    frame = pd.concat([predictions, platt])
    result = evaluate(frame, cohort=cohort, subgroups=["sex"], subgroup_models=["ridge+platt"], n_resamples=FEW)
    looked = result.metrics[result.metrics.subgroup == "sex"]
    assert set(zip(looked.model, looked.recalibration, strict=True)) == {("ridge", "platt")}
    result = evaluate(frame, cohort=cohort, subgroups=["sex"], subgroup_models=["ridge", "nobody"], n_resamples=FEW)
    looked = result.metrics[result.metrics.subgroup == "sex"]
    assert set(zip(looked.model, looked.recalibration, strict=True)) == {("ridge", "platt"), ("ridge", "none")}
    assert any("no subgroups for 'nobody'" in note for note in result.notes)


def test_another_cohort_is_refused(cohort, predictions):
    with pytest.raises(DataError, match="not in the cohort table"):
        evaluate(predictions, cohort=cohort.iloc[5:], n_resamples=FEW)
    with pytest.raises(DataError, match="twice"):
        evaluate(predictions, cohort=pd.concat([cohort, cohort.iloc[:1]]), n_resamples=FEW)


def test_the_order_of_rows_changes_nothing(cohort, predictions, evaluation):
    other = evaluate(
        predictions.sample(frac=1, random_state=2),
        cohort=cohort.sample(frac=1, random_state=3),
        n_resamples=FEW,
        all_pairs=True,
    )
    for name in ("metrics", "comparisons", "heterogeneity"):
        pd.testing.assert_frame_equal(getattr(evaluation, name), getattr(other, name), check_exact=True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.integers(20, 60), st.floats(0.05, 0.95))
def test_any_table_is_evaluated(seed, n, rate):
    """Few patients, one class almost alone, gaps everywhere: nulls with a note, never an exception or a warning."""
    rng = np.random.default_rng(seed)
    table = people(seed).sample(n, random_state=seed).reset_index(drop=True)
    frame = predicted(table, models=("ridge",), seed=seed)
    frame["y_true"] = (rng.random(n) < rate).astype(int)
    frame["p_response"] = np.round(frame.p_response, rng.integers(1, 4))
    result = evaluate(frame, cohort=table, n_resamples=100, references=())
    withheld = result.metrics[result.metrics.estimate.isna()]
    assert (withheld.note != "").all()
    shown = result.metrics[result.metrics.estimate.notna() & result.metrics.ci_low.notna()]
    assert (shown.ci_low <= shown.estimate + 1e-9).all()
    assert (shown.estimate <= shown.ci_high + 1e-9).all()
    sums = result.metrics[(result.metrics.metric == "oe_ratio") & (result.metrics.subgroup != "all")]
    assert (sums.groupby("subgroup").n.sum() == n).all()
    assert result.heterogeneity.p.dropna().between(0, 1).all()
