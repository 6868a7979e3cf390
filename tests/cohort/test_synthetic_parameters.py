"""The numbers behind the synthetic cohort: sources, structure, TMB on panels, random streams, and the targets met."""

import numpy as np
import pytest
from scipy.stats import beta as beta_distribution
from scipy.stats import poisson as poisson_distribution

from immunocast.cohort.synthetic import SyntheticCohort, targets
from immunocast.cohort.synthetic.mechanisms import draw_structure
from immunocast.cohort.synthetic.parameters import load_parameters, solve_structure
from immunocast.cohort.synthetic.streams import Streams, beta_by_score, pick, poisson
from immunocast.cohort.synthetic.tmb import Readings, fit_mixture, panels_in_use

P = load_parameters()


def test_every_group_of_parameters_has_a_source():
    groups = (
        "structure", "pdl1_tps", "reader", "panels", "sites", "covariates", "immune_phenotype", "years", "survival",
        "best_response", "exposure", "toxicity", "missing",
    )  # fmt: skip
    for group in groups:
        assert P.raw[group]["source"]
    assert all(P.raw["response"][part]["source"] for part in ("nsclc", "pan_cancer"))


def test_structure_is_a_graph_of_standard_normal_variables():
    z = draw_structure(Streams(1, "x", 0, 100_000), P)
    got = np.corrcoef(np.stack([z[e.name] for e in P.equations]))
    np.testing.assert_allclose(got, P.correlation, atol=0.015)
    np.testing.assert_allclose([v.std() for v in z.values()], 1, atol=0.01)
    assert set(P.mechanisms) <= set(z)


@pytest.mark.parametrize(
    ("equations", "says"),
    [({"a": {"b": 0.5}, "b": {}}, "stand before"), ({"a": {}, "b": {"a": 1.1}}, "explain 1.21")],
)
def test_a_wrong_structure_is_refused(equations, says):
    with pytest.raises(ValueError, match=says):
        solve_structure(equations)


def test_readings_on_panels_meet_the_targets_of_tmb():
    readings = Readings.of(panels_in_use(P.raw))
    for (name, row), mixture in zip(P.raw["types"].items(), P.tmb, strict=True):
        share, mean, sd = readings.of_mixture(mixture)
        assert abs(share - row["tmb"][2]) < 0.01, name
        if name not in ("Renal", "Pancreatic", "Mesothelioma"):  # counting alone scatters as much as their sd
            np.testing.assert_allclose((mean, sd), row["tmb"][:2], atol=0.05, err_msg=name)
        z = np.linspace(-3, 3, 7)
        np.testing.assert_allclose(mixture.quantile(z), np.sort(mixture.quantile(z)))
    assert sum(panels_in_use(P.raw).values()) == pytest.approx(1)


def test_the_stored_mixture_is_what_the_fit_gives():
    row = P.raw["types"]["Gastric"]
    fit = fit_mixture(*row["tmb"], Readings.of(panels_in_use(P.raw)), least_weight=row["msi"])
    got = [fit.weight, fit.body_mean, fit.body_sd, fit.tail_mean, fit.tail_sd]
    np.testing.assert_allclose(got, row["tmb_fit"], atol=0.01)


def test_a_part_of_a_stream_is_the_stream():
    whole = Streams(5, "A", 0, 1000)
    part = Streams(5, "A", 700, 200)
    np.testing.assert_array_equal(whole.uniform("x")[700:900], part.uniform("x"))
    assert (whole.uniform("x") != whole.uniform("y")).all()


def test_quantile_functions_are_those_of_scipy():
    u = (np.arange(20_000) + 0.5) / 20_000
    mean = np.repeat([0.3, 4.0, 20.0, 59.0, 61.0, 900.0], 20_000)
    got = poisson(np.tile(u, 6), mean)
    expected = poisson_distribution.ppf(np.tile(u, 6), mean)
    exact = mean < 60
    np.testing.assert_array_equal(got[exact], expected[exact])
    assert np.abs(got - expected).max() <= 1
    from scipy.special import ndtri

    np.testing.assert_allclose(beta_by_score(0.58, 2.25)(ndtri(u)), beta_distribution.ppf(u, 0.58, 2.25), atol=2e-5)
    np.testing.assert_array_equal(pick(np.array([0.1, 0.3, 0.95]), np.array([0.2, 0.7, 0.1])), [0, 1, 2])


# ------------------------------------------------------------------------------------------------------ targets


@pytest.fixture(scope="module")
def forty_thousand():
    return targets.target_table(
        SyntheticCohort(n_patients=40_000).load(), SyntheticCohort(n_patients=40_000, control_fraction=0.5).load()
    )


def test_most_targets_are_met_by_forty_thousand_patients(forty_thousand):
    """A small look in every run: what rests on thousands of patients is on target here, too."""
    table = forty_thousand.set_index("name")
    assert (forty_thousand["verdict"] == "missed").mean() < 0.08
    for name in ("ORR NSCLC", "share TMB>=10 NSCLC", "median PFS NSCLC", "median OS NSCLC", "albumin-NLR", "any grade"):
        assert table.loc[name, "verdict"] == "met", table.loc[name].to_string()
    text = targets.as_text(forty_thousand)
    assert text.count("\n") >= len(forty_thousand)
    assert f"{len(forty_thousand)} figures" in text


def test_every_required_target_says_its_tolerance_and_the_others_why(forty_thousand):
    shown = forty_thousand["tolerance"].isna()
    assert (forty_thousand.loc[shown, "why"] != "").all()
    assert shown.sum() < 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20260101, 5])
def test_targets_are_met_by_two_hundred_thousand_patients(seed):
    table = targets.target_table(
        SyntheticCohort(n_patients=200_000, seed=seed).load(),
        SyntheticCohort(n_patients=200_000, seed=seed, control_fraction=0.5).load(),
    )
    print(targets.as_text(table))
    missed = table[table["verdict"] == "missed"]
    assert missed.empty, missed.to_string()


@pytest.mark.slow
def test_melanoma_survival_does_not_reach_its_median():
    cohort = SyntheticCohort(n_patients=200_000).load().cohort
    part = cohort[cohort["tumor_type"] == "Melanoma"]
    assert targets.median_survival(part["os_months"], part["os_event"]) == np.inf


@pytest.mark.slow
def test_truth_is_no_easier_than_real_cohorts():
    tables = SyntheticCohort(n_patients=200_000).load()
    known = tables.cohort["responder"].notna().to_numpy()
    y = tables.cohort.loc[known, "responder"].to_numpy(float)
    rank = tables.truth.loc[known, "p_response"].rank().to_numpy()
    auroc = (rank[y == 1].mean() - (y.sum() + 1) / 2) / (1 - y).sum()
    assert 0.70 < auroc < 0.80
