"""Explanations against the truth: the truth itself scores as the truth, chance as chance, and what is planted shows."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.vocabulary import FEATURES
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.truth import truth_recovery_table
from immunocast.explain.truth_alignment import align, feature_kinds
from immunocast.explain.truth_metrics import Resamples
from immunocast.store.schemas import conform
from immunocast.validation.splits import RepeatedStratifiedKFold

HEAD = {"scheme": "k", "endpoint": "response", "output_scale": "log-odds", "base_value": 0.0, "output": 0.0}


def cohort_of(scenario="default", n=240, **settings):
    """A synthetic cohort in which everything is measured, and whose causes are all features of models."""
    tables = SyntheticCohort(n_patients=n, scenario=scenario, seed=4, **settings).load()
    cohort = tables.cohort.copy()
    for name in [f for f in FEATURES if f in cohort]:
        cohort[name] = cohort[name].fillna(cohort[name].dropna().iloc[0])
    truth = tables.truth.assign(shapley_treatment_start_year=0.0)
    return SimpleNamespace(cohort=cohort, truth=truth, roles=tables.truth_features)


@pytest.fixture(scope="module")
def world():
    return cohort_of()


def features_of(world):
    return [f for f in FEATURES if f in world.cohort]


def true_values(world):
    """(n, features) what explanations would be, were they the truth."""
    columns = {f: world.truth.get(f"shapley_{f}", 0.0) for f in features_of(world)}
    return pd.DataFrame(columns, index=world.truth.index).astype(float)


def shap_of(world, values, model="m", **head):
    """A shap table of these values: two folds, one repeat."""
    fold = np.where(np.arange(len(values)) % 2, "1", "0")
    ids = world.truth[["patient_id", "cohort_id"]]
    return ids.assign(model=model, repeat=0, fold=fold, **(HEAD | head)).join(values)


def recovered(world, shap, *, features=None, n_resamples=60, truth=None, roles=None):
    spec = SimpleNamespace(inputs=tuple(features or features_of(world)), required=("tumor_type",))
    run = ExplainInputs(
        cohort=world.cohort,
        y=make_labels(world.cohort).y,
        scheme=RepeatedStratifiedKFold(2, 2, 0),
        scheme_name="k",
        endpoint="response",
        models={m: SimpleNamespace(spec=spec) for m in shap["model"].unique()} if len(shap) else {},
        predictions=pd.DataFrame(),
        load_model=lambda model, fold: None,
        truth=world.truth if truth is None else truth,
        truth_features=world.roles if roles is None else roles,
    )
    return truth_recovery_table(run, shap, n_resamples=n_resamples, seed=1)


def overall(table, model="m"):
    return table[(table["feature"] == "all") & (table["model"] == model)].set_index("metric")


# ------------------------------------------------------------------------------------------------ truth and chance


def test_the_truth_scores_as_the_truth(world):
    table = recovered(world, shap_of(world, true_values(world)))
    assert len(conform("truth_recovery", table)) == len(table)
    known = table[table["truth"].notna()]
    np.testing.assert_allclose(known["estimate"], known["truth"], atol=1e-9)
    assert {
        *("importance_rank_correlation", "patient_correlation", "feature_correlation", "sign_agreement"),
        *("first_reason", "parent_precision", "parent_average_precision", "parent_auroc", "noise_share"),
        *("proxy_share", "prognostic_share", "predictive_share", "total_attribution"),
    } <= set(overall(table).index)
    # of what is random only the sampling of patients is left
    assert (known["ci_low"] <= known["estimate"] + 1e-9).all()
    assert (known["estimate"] <= known["ci_high"] + 1e-9).all()
    assert overall(table)["n_train"].iloc[0] == pytest.approx(make_labels(world.cohort).y.notna().sum() / 2, abs=1)


def test_another_scale_or_a_turned_hazard_changes_nothing_but_the_total(world):
    true = true_values(world)
    plain, half, hazard = (
        overall(recovered(world, shap_of(world, values, output_scale=scale)))
        for values, scale in ((true, "log-odds"), (0.2 * true, "probability"), (-true, "log-hazard"))
    )
    for other in (half, hazard):
        rest = plain.index.difference(["total_attribution"])
        np.testing.assert_allclose(other.loc[rest, "estimate"], plain.loc[rest, "estimate"], atol=1e-9)
        assert np.isnan(other.loc["total_attribution", "truth"])
    assert hazard["note"].str.contains("log-hazard").all()
    assert not plain["note"].str.contains("log-hazard").any()
    wrong_way = overall(recovered(world, shap_of(world, -true)))
    assert wrong_way.loc["sign_agreement", "estimate"] == 0
    assert wrong_way.loc["feature_correlation", "estimate"] == pytest.approx(-1)
    assert wrong_way.loc["importance_rank_correlation", "estimate"] == pytest.approx(1)


def test_values_of_other_patients_say_nothing_of_a_patient(world):
    rng = np.random.default_rng(0)
    true = true_values(world)
    shuffled = pd.DataFrame({f: rng.permutation(true[f]) for f in true})
    found = overall(recovered(world, shap_of(world, shuffled)))["estimate"]
    assert abs(found["feature_correlation"]) < 0.1
    assert found["importance_rank_correlation"] == pytest.approx(1)
    assert found["sign_agreement"] < 0.75


def test_random_importances_are_at_chance(world):
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(20):
        values = pd.DataFrame(rng.normal(size=true_values(world).shape) * rng.lognormal(size=len(features_of(world))),
                              columns=features_of(world))  # fmt: skip
        draws.append(overall(recovered(world, shap_of(world, values), n_resamples=2))["estimate"])
    mean = pd.DataFrame(draws).mean()
    assert mean["parent_auroc"] == pytest.approx(0.5, abs=0.08)
    assert mean["importance_rank_correlation"] == pytest.approx(0, abs=0.15)
    assert mean["patient_correlation"] == pytest.approx(0, abs=0.03)
    assert mean["sign_agreement"] == pytest.approx(0.5, abs=0.03)


def test_ranks_agree_with_scipy_and_scikit_learn(world):
    rng = np.random.default_rng(5)
    values = true_values(world) + rng.normal(0, 0.3, true_values(world).shape)
    shap, true = shap_of(world, values), true_values(world)
    table = recovered(world, shap)
    found, importance = overall(table), values.abs().mean()
    kinds = feature_kinds(world.roles.query("outcome == 'response'"), world.truth)[features_of(world)]
    parent = kinds == "parent"
    assert found.loc["importance_rank_correlation", "estimate"] == pytest.approx(
        spearmanr(importance, true.abs().mean()).statistic
    )
    assert found.loc["parent_auroc", "estimate"] == pytest.approx(roc_auc_score(parent, importance))
    assert found.loc["parent_average_precision", "estimate"] == pytest.approx(
        average_precision_score(parent, importance)
    )
    per_patient = [spearmanr(a, b).statistic for a, b in zip(values.to_numpy(), true.to_numpy(), strict=True)]
    assert found.loc["patient_correlation", "estimate"] == pytest.approx(np.mean(per_patient))
    by_feature = table[table["metric"] == "feature_correlation"].set_index("feature")["estimate"]
    fold = shap["fold"] == "0"
    both = [spearmanr(values.loc[rows, "nlr"], true.loc[rows, "nlr"]).statistic for rows in (fold, ~fold)]
    assert by_feature["nlr"] == pytest.approx(np.mean(both), abs=2e-3)
    first = (values.abs().idxmax(axis=1) == true.abs().idxmax(axis=1)).mean()
    assert found.loc["first_reason", "estimate"] == pytest.approx(first)


# ----------------------------------------------------------------------------------------------- what is planted


def test_noise_proxies_and_prognostic_features_are_told_apart(world):
    kinds = feature_kinds(world.roles.query("outcome == 'response'"), world.truth)
    assert set(kinds[kinds == "noise"].index) == {"sex"}
    assert {"hla_loh", "msi_status", "exhaustion_score", "hemoglobin_g_dl", "immune_phenotype"} <= set(
        kinds[kinds == "proxy"].index
    )
    null = cohort_of("null_tmb")
    kinds = feature_kinds(null.roles.query("outcome == 'response'"), null.truth)
    # nothing that antigenicity goes with is a cause any more
    assert set(kinds[kinds == "noise"].index) == {"sex", "tmb_mut_mb", "msi_status"}


@settings(max_examples=10, deadline=None)
@given(share=st.floats(0.05, 0.9), proxy=st.booleans())
def test_planted_attribution_to_features_without_effect_is_measured(world, share, proxy):
    true, name = true_values(world), "exhaustion_score" if proxy else "sex"
    total = true.abs().mean().sum()
    planted = true.assign(**{name: total * share / (1 - share)})
    found = overall(recovered(world, shap_of(world, planted), n_resamples=2))["estimate"]
    assert found["proxy_share" if proxy else "noise_share"] == pytest.approx(share)
    assert found["noise_share" if proxy else "proxy_share"] == 0
    assert found["prognostic_share"] < overall(recovered(world, shap_of(world, true), n_resamples=2))["truth"][
        "prognostic_share"
    ]  # fmt: skip


def test_without_causes_only_the_total_and_the_noise_are_told():
    world = cohort_of("no_signal")
    values = true_values(world) * 0 + 0.1
    table = recovered(world, shap_of(world, values))
    found = overall(table)
    assert set(found.index) == {"noise_share", "attribution_unmeasured", "total_attribution"}
    assert found.loc["noise_share", "estimate"] == pytest.approx(1)
    assert found.loc["total_attribution", "truth"] == 0
    assert found.loc["total_attribution", "estimate"] == pytest.approx(0.1 * values.shape[1])
    assert table["truth"].notna().sum() == 1, "rounding of solved intercepts is no true effect"


def test_what_is_not_measured_or_not_taken_cannot_be_named(world):
    true = true_values(world)
    hidden = SimpleNamespace(**vars(world))
    hidden.cohort = world.cohort.copy()
    half = np.arange(len(true)) < len(true) / 2
    hidden.cohort.loc[half, "tmb_mut_mb"] = np.nan
    without = [f for f in features_of(world) if f != "nlr"]
    seen = true[without].copy()
    seen.loc[half, "tmb_mut_mb"] = 0.0
    found = overall(recovered(hidden, shap_of(hidden, seen), features=without))["estimate"]
    lost = true["nlr"].abs().sum() + true.loc[half, "tmb_mut_mb"].abs().sum()
    assert found["cause_unmeasured"] == pytest.approx(lost / true.abs().sum().sum())
    assert found["first_reason_measured"] == 1
    first = true.abs().idxmax(axis=1)
    assert found["first_reason"] == pytest.approx(1 - ((first == "nlr") | (half & (first == "tmb_mut_mb"))).mean())
    assert found["patient_correlation_measured"] == pytest.approx(1)
    assert found["patient_correlation"] < 1
    assert found["attribution_unmeasured"] == 0
    guessed = overall(recovered(hidden, shap_of(hidden, true[without]), features=without))["estimate"]
    assert guessed["attribution_unmeasured"] == pytest.approx(
        true.loc[half, "tmb_mut_mb"].abs().sum() / true[without].abs().sum().sum()
    )


def test_features_of_which_the_truth_says_nothing_are_left_out_and_named(world):
    more = true_values(world).assign(dnlr=5.0)
    table = recovered(world, shap_of(world, more), features=[*features_of(world), "dnlr"])
    assert table["note"].str.contains("dnlr").all()
    assert overall(table).loc["importance_rank_correlation", "estimate"] == pytest.approx(1)


def test_patients_of_a_control_arm_are_left_out():
    world = cohort_of(control_fraction=0.5)
    values = true_values(world)
    control = (world.cohort["arm"] == "control").to_numpy()
    values.loc[control] = 99.0
    table = recovered(world, shap_of(world, values))
    assert (table.loc[table["feature"] == "all", "n"] == (~control).sum()).all()
    known = table[table["truth"].notna()]
    np.testing.assert_allclose(known["estimate"], known["truth"], atol=1e-9)


def test_of_survival_only_causes_are_known(world):
    values = true_values(world)
    table = recovered(world, shap_of(world, values, endpoint="os", output_scale="log-hazard"))
    found = overall(table)
    assert {"parent_auroc", "noise_share"} <= set(found.index)
    assert not {"patient_correlation", "importance_rank_correlation"} & set(found.index)


def test_a_flat_model_recovers_nothing(world):
    found = overall(recovered(world, shap_of(world, true_values(world) * 0)))["estimate"]
    assert found["total_attribution"] == found["first_reason"] == found["patient_correlation"] == 0
    assert found["sign_agreement"] == found["parent_auroc"] == 0.5
    assert found["parent_precision"] < 0.6, "no credit for ties"
    assert np.isnan(found["noise_share"])


# ------------------------------------------------------------------------------------- empty, small, repeated, same


def test_no_truth_no_rows(world):
    shap = shap_of(world, true_values(world))
    assert recovered(world, shap, truth=pd.DataFrame()).empty
    assert recovered(world, shap, roles=pd.DataFrame()).empty
    assert recovered(world, shap.head(0)).empty
    assert truth_recovery_table(None, pd.DataFrame()).empty
    assert recovered(world, shap.assign(endpoint="dcb")).empty, "of this endpoint the truth says nothing"
    strangers = world.truth.assign(patient_id=world.truth["patient_id"] + "x")
    assert recovered(world, shap, truth=strangers).empty
    assert conform("truth_recovery", pd.DataFrame()).empty


def test_few_events_leave_the_estimates_empty(world):
    y = make_labels(world.cohort).y
    few = world.truth.index[(y == 1).to_numpy(dtype=bool, na_value=False)][:9]
    shap = shap_of(world, true_values(world))
    shap = shap[shap.index.isin(few) | (y == 0).to_numpy(dtype=bool, na_value=False)]
    table = recovered(world, shap)
    assert len(table)
    assert table[["estimate", "ci_low", "ci_high"]].isna().all(axis=None)
    assert table["note"].str.contains("Too small").all()


def test_repeats_are_averaged_and_persons_resampled(world):
    shap = shap_of(world, true_values(world) + 0.1)
    twice = pd.concat([shap, shap.assign(repeat=1)], ignore_index=True)
    pd.testing.assert_frame_equal(recovered(world, shap)[["estimate", "ci_low", "ci_high", "n"]],
                                  recovered(world, twice)[["estimate", "ci_low", "ci_high", "n"]])  # fmt: skip


def test_patients_are_ranked_within_folds(world):
    """Folds are explained by other models, whose values may lie elsewhere."""
    shap = shap_of(world, true_values(world))
    shap.loc[shap["fold"] == "0", "nlr"] += 5.0
    table = recovered(world, shap)
    row = table[(table["metric"] == "feature_correlation") & (table["feature"] == "nlr")]
    assert row["estimate"].item() == pytest.approx(1)


def test_the_order_of_rows_does_not_matter(world):
    rng = np.random.default_rng(2)
    shap = shap_of(world, true_values(world) + rng.normal(0, 0.2, true_values(world).shape))
    shuffled = shap.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(recovered(world, shap), recovered(world, shuffled), check_exact=True)


def test_resamples_are_of_persons():
    persons = np.array(["b", "a", "b", "c"])
    sums = Resamples(persons, 50, 0).sums(np.array([[1.0], [10.0], [100.0], [np.nan]]))
    assert sums[0, 0] == 111
    assert {int(v) for v in sums[1:, 0]} <= {101 * b + 10 * a for a in range(4) for b in range(4 - a)}


def test_align_turns_hazards_and_keeps_unknown_rows_out(world):
    true = true_values(world)
    shap = shap_of(world, true, output_scale="log-hazard")
    a = align(shap, world.cohort, world.truth.head(50), world.roles, features_of(world))
    assert len(a.shap) == 50
    assert set(a.patients) == set(world.truth["patient_id"].head(50))
    np.testing.assert_allclose(a.shap, -a.true)


def test_a_run_fills_the_table(small_run):
    table = small_run.table("truth_recovery")
    assert {"ridge", "xgboost"} <= set(table["model"])
    found = overall(table, "ridge")
    assert (found["n"] > 200).all()
    assert 0 < found.loc["cause_unmeasured", "estimate"] < 1
    assert found.loc["importance_rank_correlation", "truth"] == 1
