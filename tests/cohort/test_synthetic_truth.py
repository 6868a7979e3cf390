"""What the synthetic cohort says of itself: effects, Shapley values, roles, scenarios and what they plant."""

import itertools

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.special import expit, logit

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.synthetic.mechanisms import draw_patients
from immunocast.cohort.synthetic.parameters import load_parameters
from immunocast.cohort.synthetic.reference import solved
from immunocast.cohort.synthetic.response import RESPONSE_PARENTS, Scenario, interaction, response_terms
from immunocast.cohort.synthetic.roles import MECHANISM, OUTCOMES, truth_features
from immunocast.cohort.synthetic.shapley import background_of, shapley_values
from immunocast.cohort.synthetic.streams import ReferenceStreams, Streams
from immunocast.cohort.synthetic.survival import log_hazards
from immunocast.cohort.vocabulary import FEATURES, VOCABULARY
from immunocast.errors import ImmunocastError
from immunocast.features.preprocess import model_frame
from immunocast.store.schemas import TABLES, conform

P = load_parameters()


@pytest.fixture(scope="module")
def default():
    return SyntheticCohort(n_patients=6000).load()


@pytest.mark.parametrize("scenario", ["default", "null_tmb", "no_signal", "rare_type"])
def test_effects_and_shapley_values_add_up_to_the_logit(scenario):
    truth = SyntheticCohort(n_patients=2000, scenario=scenario).load().truth
    for prefix in ("effect_", "shapley_"):
        total = truth.filter(regex=f"^{prefix}").sum(axis=1)
        np.testing.assert_allclose(total, logit(truth["p_response"]), atol=1e-9, err_msg=prefix)


def test_shapley_values_have_mean_zero_in_the_background(default):
    """Over many patients of the usual case mix each feature's mean is 0, but for the sampling of patients."""
    values = default.truth.filter(regex=r"^shapley_(?!base)")
    z = values.mean() / (values.std() / np.sqrt(len(values)) + 1e-12)
    assert z.drop("shapley_cohort").abs().max() < 4.5


def test_shapley_values_are_those_of_the_definition():
    """All coalitions of four features enumerated, the mean over the whole background taken for each."""
    players = ("tumor_type", "tmb_mut_mb", "pdl1_tps", "albumin_g_dl")
    removed = tuple(p for p in RESPONSE_PARENTS if p not in players)
    count, size = len(P.types), 40
    kind = np.repeat(np.arange(count), 2 * size)
    values = draw_patients(kind, ReferenceStreams("brute", size, count), P)
    weight = np.repeat(P.share, 2 * size) / (2 * size)
    intercepts = np.linspace(-2, 1, count)
    parents = {name: values[name] for name in players[1:]}

    def log_odds(kind_, changed):
        full = {**values, **changed}
        nsclc = kind_ == P.nsclc
        terms = response_terms(full, P, removed)
        return sum(t.at(nsclc) for t in terms.values()) + interaction(full, nsclc, P, removed) + intercepts[kind_]

    def coalition(patient, members):
        changed = {n: np.full_like(v, v[patient]) if n in members else v for n, v in parents.items()}
        kinds = np.full_like(kind, kind[patient]) if "tumor_type" in members else kind
        return (log_odds(kinds, changed) * weight).sum()

    nsclc = kind == P.nsclc
    terms = response_terms(values, P, removed)
    background = background_of(values, terms, intercepts[kind], nsclc, weight, P, removed)
    ours = shapley_values(values, terms, intercepts[kind], 0.0, nsclc, background)
    for patient in (3, 17, 200, 900):
        for player in players:
            others = [p for p in players if p != player]
            expected = 0.0
            for r in range(len(others) + 1):
                share = 1 / (len(players) * len(list(itertools.combinations(others, r))))
                for members in itertools.combinations(others, r):
                    gain = coalition(patient, {*members, player}) - coalition(patient, set(members))
                    expected += share * gain
            assert ours[player][patient] == pytest.approx(expected, abs=1e-9), (patient, player)
        assert background.base == pytest.approx(coalition(patient, set()), abs=1e-9)


def test_the_probability_is_the_logistic_of_its_parents(default):
    truth = default.truth
    nsclc = (default.cohort["tumor_type"] == "NSCLC").to_numpy()
    slope = np.where(nsclc, P.raw["response"]["nsclc"]["log2_tmb"], P.raw["response"]["pan_cancer"]["log2_tmb"])
    expected = slope * (np.log2(truth["latent_tmb_mut_mb"] + 1) - 3)
    np.testing.assert_allclose(truth["effect_tmb_mut_mb"], expected, atol=1e-12)
    np.testing.assert_allclose(truth["p_response"], expit(truth.filter(regex="^effect_").sum(axis=1)), atol=1e-12)


def test_readings_are_the_truth_where_they_carry_no_noise_and_near_it_where_they_do(default):
    cohort, truth = default.cohort, default.truth
    for column in ("nlr", "albumin_g_dl", "hemoglobin_g_dl", "fcna", "hla_loh", "antibiotics_60d"):
        seen = cohort[column].notna().to_numpy()
        assert 0 < seen.sum() < len(cohort)
        np.testing.assert_array_equal(cohort.loc[seen, column].to_numpy(float), truth.loc[seen, f"latent_{column}"])
    for column, least in (("pdl1_tps", 0.85), ("tmb_mut_mb", 0.80)):
        both = pd.DataFrame({"read": cohort[column], "true": truth[f"latent_{column}"]}).dropna()
        assert least < both.corr("spearman").iloc[0, 1] < 0.999
        assert (both["read"] != both["true"]).mean() > 0.2
    assert not any(truth.filter(regex="^(latent|effect|shapley|p_)").isna().any())


# ------------------------------------------------------------------------------------------------ truth_features


def test_roles_agree_with_the_effects_that_they_name():
    for name in P.scenarios:
        scenario = Scenario.named(name, P)
        truth = SyntheticCohort(n_patients=1500, scenario=name).load().truth
        roles = truth_features(scenario, P).set_index(["outcome", "feature"])
        for feature in RESPONSE_PARENTS:
            acts = truth[f"effect_{feature}"].std() > 1e-9
            assert roles.loc[("response", feature), "parent_with_ici"] == int(acts), (name, feature)


def test_what_is_prognostic_moves_both_arms_and_what_is_predictive_one():
    truth = SyntheticCohort(n_patients=4000, n_cohorts=1).load().truth
    roles = truth_features(Scenario.named("default", P), P).set_index(["outcome", "feature"])["role"]
    control = logit(truth["p_response_control"])
    left = control.copy()
    for feature in RESPONSE_PARENTS:
        if roles[("response", feature)] == "prognostic":
            left -= truth[f"effect_{feature}"]
    # what is left of the control arm's log-odds is the type's intercept
    assert left.round(6).nunique() <= len(P.types)
    assert roles[("response", "tmb_mut_mb")] == roles[("response", "pdl1_tps")] == "predictive"
    assert roles[("response", "albumin_g_dl")] == roles[("os", "nlr")] == "prognostic"
    assert roles[("response", "hla_loh")] == roles[("response", "sex")] == roles[("os", "platelets_10e9_l")] == "none"


@pytest.mark.parametrize("name", ["default", "null_tmb", "prognostic_only"])
def test_roles_for_survival_are_those_of_the_hazards(name):
    """Each feature's true value is changed by itself: who is named a parent in an arm moves a hazard there."""
    scenario = Scenario.named(name, P)
    roles = truth_features(scenario, P).set_index(["outcome", "feature"])
    values = draw_patients(np.zeros(400, dtype=np.int8), Streams(3, "x", 0, 400), P)
    latent = {
        "gep_score": "z_t_cell_inflammation",
        "exhaustion_score": "z_exhaustion",
        "tgfb_score": "z_tgfb_exclusion",
    }
    for feature in ("tmb_mut_mb", "nlr", "albumin_g_dl", "antibiotics_60d", "stk11_mut", "ap_loss", "hla_loh", *latent):
        changed = {**values, latent.get(feature, feature): values[latent.get(feature, feature)] + 1}
        for arm, ici in (("parent_with_ici", True), ("parent_without_ici", False)):
            arms = np.full(400, ici)
            before, after = (log_hazards(v, arms, P, scenario.removed, scenario.alike) for v in (values, changed))
            moved = (before.death != after.death).any() or (before.resistance != after.resistance).any()
            for outcome in ("pfs", "os", "acquired_resistance"):
                assert roles.loc[(outcome, feature), arm] == int(moved), (outcome, feature, arm)


def test_prognostic_only_gives_everybody_the_same_gain_in_log_odds():
    tables = SyntheticCohort(n_patients=2000, scenario="prognostic_only", control_fraction=0.5).load()
    gain = logit(tables.truth["p_response"]) - logit(tables.truth["p_response_control"])
    np.testing.assert_allclose(gain, -P.raw["response"]["control"]["alike_log_odds"], atol=1e-9)
    assert "predictive" not in set(tables.truth_features.query("outcome == 'response'")["role"])
    assert tables.truth["effect_tmb_mut_mb"].std() > 0.2


def test_truth_tables_satisfy_their_schemas_and_cover_the_features(default):
    assert len(conform("truth", default.truth)) == 6000
    table = conform("truth_features", default.truth_features)
    assert len(table) == len(OUTCOMES) * len(MECHANISM)
    assert set(MECHANISM) <= set(VOCABULARY)
    # every feature that the generator gives has a row
    assert set(default.cohort) & set(FEATURES) <= set(MECHANISM)
    assert conform("truth_features", pd.DataFrame()).empty
    assert {"truth", "truth_features"} <= set(TABLES)


@pytest.mark.parametrize(
    "column", ["p_response", "p_response_control", "latent_antigenicity", "shapley_nlr", "planted"]
)
def test_no_model_can_ask_for_the_truth(default, column):
    with pytest.raises(ImmunocastError):
        model_frame(default.cohort, [column])
    assert column not in default.cohort


# ------------------------------------------------------------------------------------------------- scenarios


def test_no_signal_gives_everybody_the_same_probability():
    truth = SyntheticCohort(n_patients=500, scenario="no_signal", cohort_shift=0).load().truth
    np.testing.assert_allclose(truth["p_response"], (P.share * P.orr).sum(), atol=1e-5)
    assert truth.filter(regex=r"^shapley_(?!base)").abs().max(axis=None) < 1e-5


def test_null_tmb_takes_away_tmb_only():
    plain, without = (SyntheticCohort(n_patients=3000, scenario=s).load() for s in ("default", "null_tmb"))
    assert (without.truth[["effect_tmb_mut_mb", "effect_tmb_x_pdl1", "shapley_tmb_mut_mb"]] == 0).all(axis=None)
    assert plain.truth["effect_tmb_mut_mb"].std() > 0.2
    np.testing.assert_array_equal(plain.truth["effect_fcna"], without.truth["effect_fcna"])
    np.testing.assert_array_equal(plain.cohort["tmb_mut_mb"], without.cohort["tmb_mut_mb"])
    assert abs(plain.truth["p_response"].mean() - without.truth["p_response"].mean()) < 0.02


def test_site_shift_moves_assays_case_mix_missing_tests_and_rna():
    cohort = SyntheticCohort(n_patients=9000, scenario="site_shift").load().cohort
    first, last = (cohort[cohort["cohort_id"] == f"synthetic-{c}"] for c in "AC")
    assert (last["pdl1_assay"].dropna() == "SP142").mean() > (first["pdl1_assay"].dropna() == "SP142").mean() + 0.1
    assert (last["tumor_type"] == "NSCLC").mean() > (first["tumor_type"] == "NSCLC").mean() + 0.3
    assert last["tmb_mut_mb"].isna().mean() > first["tmb_mut_mb"].isna().mean() + 0.03
    assert last["gep_score"].mean() > first["gep_score"].mean() + 1


def test_rare_type_has_under_thirty_patients_and_some():
    for seed in range(5):
        counts = SyntheticCohort(scenario="rare_type", seed=seed).load().cohort["tumor_type"].value_counts()
        assert set(counts.index) == {"NSCLC", "Melanoma", "Renal", "Mesothelioma"}
        assert 0 < counts["Mesothelioma"] < 30


def test_tiny_is_tiny_whatever_is_asked():
    assert len(SyntheticCohort(n_patients=900, scenario="tiny").load().cohort) == 60
    assert len(SyntheticCohort(n_patients=12, scenario="tiny").load().cohort) == 12


def test_what_is_planted_is_told_and_nothing_else_changes():
    clean = SyntheticCohort(n_patients=1500, seed=3).load()
    for scenario in ("unit_error", "imputed"):
        dirty = SyntheticCohort(n_patients=1500, seed=3, scenario=scenario).load()
        planted = dirty.truth["planted"].notna().to_numpy()
        assert 0.5 < planted.mean() < 1
        columns = list(clean.cohort)
        assert_frame_equal(dirty.cohort.loc[~planted, columns], clean.cohort.loc[~planted, columns])
        assert_frame_equal(dirty.truth.drop(columns="planted"), clean.truth.drop(columns="planted"))
        for note, rows in dirty.truth.groupby("planted").groups.items():
            changed = [c for c in columns if not dirty.cohort.loc[rows, c].equals(clean.cohort.loc[rows, c])]
            assert changed
            assert all(c in note for c in changed), (note, changed)


def test_planted_units_are_those_of_their_names():
    clean, dirty = (SyntheticCohort(n_patients=900, scenario=s).load().cohort for s in ("default", "unit_error"))
    a, b, c = (clean["cohort_id"] == f"synthetic-{k}" for k in "ABC")
    np.testing.assert_allclose(dirty.loc[a, "os_months"], clean.loc[a, "os_months"] * 365.25 / 12 / 7, atol=0.06)
    seen = b & clean["hemoglobin_g_dl"].notna()
    np.testing.assert_allclose(
        dirty.loc[seen, "hemoglobin_g_dl"], clean.loc[seen, "hemoglobin_g_dl"] * 0.6206, atol=0.06
    )
    assert dirty.loc[c, "tmb_mut_mb"].median() == pytest.approx(30 * clean.loc[c, "tmb_mut_mb"].median(), rel=0.1)


def test_planted_constants_are_those_of_their_names():
    cohort = SyntheticCohort(n_patients=1500, scenario="imputed").load().cohort
    a, b, c = (cohort[cohort["cohort_id"] == f"synthetic-{k}"] for k in "ABC")
    assert set(a["nlr"]) == {6.2}
    assert set(a["albumin_g_dl"]) == {3.8}
    assert 0.15 < (b["nlr"] == 6.2).mean() < 0.26
    both = c["nlr"].notna()
    np.testing.assert_allclose(c.loc[both, "nlr"], 2 * c.loc[both, "dnlr"], atol=0.006)
    assert a["dnlr"].isna().all()


def test_the_reference_does_not_depend_on_the_users_seed():
    first = solved("default")
    SyntheticCohort(n_patients=50, seed=999).load()
    assert solved("default") is first
