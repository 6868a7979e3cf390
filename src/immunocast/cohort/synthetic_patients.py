"""Baseline features of synthetic patients: uniform draws in, true values out, no outcome."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

from immunocast.cohort.synthetic_parameters import LATENT, Parameters

#: Uniform draws that a patient needs for the baseline features, one stream each.
BASELINE_STREAMS = (
    *(f"latent_{name}" for name in LATENT),
    "year",
    "start_day",
    "prior",
    "sex",
    "msi",
    "hla_loh",
    "combination",
    "antibiotics",
)

Values = dict[str, np.ndarray]


def _beta_quantile(u: np.ndarray, a: float, b: float) -> np.ndarray:
    """Quantile of Beta(a, b) by interpolation: betaincinv costs seconds for 200,000 values."""
    grid = ndtr(np.linspace(-5.5, 5.5, 1101))
    return np.interp(u, grid, betaincinv(a, b, grid))


def _pick(u: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Index of a category by inverse distribution function; probabilities are (k,) or (n, k)."""
    edges = np.cumsum(probabilities, axis=-1)[..., :-1]
    return (u[:, None] >= edges).sum(axis=1)


def pick_types(u: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n,) index of the tumour type for uniform draws `u` and shares that sum to 1."""
    return _pick(u, share)


def _tps(u: np.ndarray, parameters: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """TPS in whole percent, as pathologists write it, and its band (0: < 1 %, 1: 1-49 %, 2: >= 50 %)."""
    p = parameters.raw["pdl1_tps"]
    low, mid = p["share_below_1"], p["share_1_49"]
    band = _pick(u, np.array([low, mid, 1 - low - mid]))
    in_mid = np.rint(1 + 48 * _beta_quantile(np.clip((u - low) / mid, 0, 1), *p["beta_1_49"]))
    in_high = np.rint(50 + 50 * _beta_quantile(np.clip((u - low - mid) / (1 - low - mid), 0, 1), *p["beta_50_100"]))
    return np.choose(band, [np.zeros_like(u), in_mid, in_high]), band


def draw_patients(kind: np.ndarray, u: Mapping[str, np.ndarray], parameters: Parameters) -> Values:
    """True baseline values of n patients.

    Parameters
    ----------
    kind : (n,) index into `parameters.types`.
    u : (n,) uniform draws in (0, 1) for each of `BASELINE_STREAMS`.
    parameters : the numbers of the cohort.

    Returns
    -------
    Columns by name: the vocabulary's names and units, fully known (no assay missing), and with a leading
    "latent_" what no assay reads. Values are rounded as laboratories report them, and the truth is computed
    from the rounded values, so that what a model may see carries all that the outcome depends on.
    """
    z = dict(zip(LATENT, parameters.copula @ np.stack([ndtri(u[f"latent_{name}"]) for name in LATENT]), strict=True))
    covariates = parameters.raw["covariates"]
    types = np.array(parameters.types)
    out: Values = {"tumor_type": types[kind]}
    out["treatment_start_year"] = parameters.years[_pick(u["year"], parameters.year_given_type[kind])]

    log_tmb = np.empty(len(kind))
    tail = np.empty(len(kind))
    for k, mixture in enumerate(parameters.tmb):
        mine = kind == k
        log_tmb[mine] = mixture.quantile(z["tmb"][mine])
        tail[mine] = mixture.tail_probability(log_tmb[mine]) / mixture.weight
    out["tmb_mut_mb"] = np.round(np.clip(np.exp(log_tmb), *covariates["tmb_limits"]), 2)
    out["msi_status"] = np.where(u["msi"] < parameters.by_type("msi")[kind] * tail, "MSI-H", "MSS")
    out["fcna"] = np.round(_beta_quantile(ndtr(z["fcna"]), *covariates["fcna_beta"]), 4)
    out["hla_loh"] = (u["hla_loh"] < covariates["hla_loh"]).astype(int)

    out["pdl1_tps"], band = _tps(ndtr(z["pdl1"]), parameters)
    out["gep_score"] = np.round(z["gep"], 3)
    out["tgfb_score"] = np.round(z["tgfb"], 3)
    p = parameters.raw["immune_phenotype"]
    phenotype = _pick(ndtr(z["phenotype"]), np.array([p["desert"], p["excluded"], 1 - p["desert"] - p["excluded"]]))
    out["immune_phenotype"] = np.array(["desert", "excluded", "inflamed"])[phenotype]
    # microsatellites and phenotype as numbers: 1 is MSI-high; 0 desert, 1 excluded, 2 inflamed
    out["latent_msi_high"] = (out["msi_status"] == "MSI-H").astype(float)
    out["latent_immune_phenotype"] = phenotype.astype(float)
    out["latent_pdl1_mrna"] = z["mrna"]
    out["latent_exhaustion"] = z["exhaustion"]

    mean, sd = parameters.by_type("age")[kind].T
    limits = covariates["age_years"]
    out["age_years"] = np.round(np.clip(mean + sd * z["age"], limits["low"], limits["high"]), 1)
    male = u["sex"] < parameters.by_type("male")[kind]
    out["sex"] = np.where(male, "male", "female")
    a, h = covariates["albumin_g_dl"], covariates["hemoglobin_g_dl"]
    out["albumin_g_dl"] = np.round(np.clip(a["mean"] + a["sd"] * z["albumin"], a["low"], a["high"]), 1)
    haemoglobin = np.where(male, h["male"], h["female"]) + h["sd"] * z["hemoglobin"]
    out["hemoglobin_g_dl"] = np.round(np.clip(haemoglobin, h["low"], h["high"]), 1)
    for name, column, digits in (("nlr", "nlr", 2), ("platelets", "platelets_10e9_l", 0)):
        q = covariates[f"ln_{name}"]
        out[column] = np.round(np.exp(np.clip(q["mean"] + q["sd"] * z[name], -2.5, 7.5)), digits)

    p_prior = np.array(
        [np.nan if r["prior"] == "by_tps_band" else r["prior"] for r in parameters.raw["types"].values()]
    )[kind]
    by_band = np.array(parameters.raw["pdl1_tps"]["prior_by_band"])[band]
    p_prior = np.where(np.isnan(p_prior), by_band, p_prior)
    out["prior_systemic_therapy"] = (u["prior"] < p_prior).astype(int)
    chemo = np.isin(out["tumor_type"], covariates["combination_is_chemo"])
    combination = u["combination"] < parameters.by_type("combination")[kind]
    out["drug_class"] = np.where(combination, np.where(chemo, "chemo_io", "pd1_ctla4"), "pd1_or_pdl1")
    out["antibiotics_60d"] = (u["antibiotics"] < covariates["antibiotics_60d"]).astype(int)
    return out
