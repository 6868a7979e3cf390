"""Baseline of synthetic patients as it truly is: mechanisms, markers and host, before any assay and any outcome."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri

from immunocast.cohort.synthetic.parameters import Parameters, load_parameters
from immunocast.cohort.synthetic.streams import ByScore, Streams, beta_by_score, pick

Values = dict[str, np.ndarray]

#: Phenotypes, drug classes by code.
PHENOTYPES = ("desert", "excluded", "inflamed")
DRUG_CLASSES = ("pd1_or_pdl1", "pd1_ctla4", "chemo_io", "none")


def draw_structure(draws: Streams, parameters: Parameters) -> Values:
    """(n,) standard normal values of every variable of the structure, row by row the same in any block."""
    out: Values = {}
    for equation in parameters.equations:
        z = draws.normal(f"structure_{equation.name}")
        z *= equation.noise
        for parent, coefficient in equation.parents.items():
            z += coefficient * out[parent]
        out[equation.name] = z
    return out


@cache
def _tables() -> dict[str, ByScore]:
    """Quantile functions of the margins; by type where they differ."""
    p = load_parameters()
    log_tmb = np.stack([m.quantile(ByScore.GRID) for m in p.tmb])
    tail = np.stack([m.tail_probability(q) / m.weight for m, q in zip(p.tmb, log_tmb, strict=True)])
    return {
        "tmb": ByScore(np.clip(np.exp(log_tmb), *p.raw["covariates"]["tmb_limits"])),
        "tail": ByScore(tail),
        "fcna": beta_by_score(*p.raw["covariates"]["fcna_beta"]),
        "tps": tps_by_score(p),
    }


def tps_by_score(parameters: Parameters) -> ByScore:
    """Tumour proportion score in percent, not rounded, of a normal score; 0 below 1 %."""
    p = parameters.raw["pdl1_tps"]
    low, mid = p["share_below_1"], p["share_1_49"]
    u = ndtr(ByScore.GRID)
    middle = beta_by_score(*p["beta_1_49"])(ndtri(np.clip((u - low) / mid, 1e-12, 1 - 1e-12)))
    high = beta_by_score(*p["beta_50_100"])(ndtri(np.clip((u - low - mid) / (1 - low - mid), 1e-12, 1 - 1e-12)))
    return ByScore(np.select([u < low, u < low + mid], [0.0, 1 + 48 * middle], 50 + 50 * high))


def draw_patients(kind: np.ndarray, draws: Streams, parameters: Parameters) -> Values:
    """True baseline of n patients.

    Parameters
    ----------
    kind : (n,) index into `parameters.types`.
    draws : the patients' random streams.
    parameters : the numbers of the cohort.

    Returns
    -------
    Numbers by name, fully known: the structure's variables with a leading "z_", true values under the
    vocabulary's names and units (`tmb_mut_mb` of the exome, `pdl1_tps` of the tumour), and codes:
    `sex` (1 male), `msi_high`, `immune_phenotype` (0 desert, 1 excluded, 2 inflamed), `combination`, `chemo`
    (the partner of a combination is chemotherapy).
    Values that laboratories report rounded and that are read without noise (blood, age) are rounded here, so that
    the truth is computed from what a model may see.
    """
    z = draw_structure(draws, parameters)
    covariates, tables = parameters.raw["covariates"], _tables()
    out: Values = {f"z_{name}": value for name, value in z.items()}
    out["treatment_start_year"] = parameters.years[pick(draws.uniform("year"), parameters.year_given_type[kind])]
    nsclc = kind == parameters.nsclc

    out["tmb_mut_mb"] = tables["tmb"](z["tmb"], kind)
    tail = tables["tail"](z["tmb"], kind)
    out["msi_high"] = (draws.uniform("msi") < parameters.by_type("msi")[kind] * tail).astype(float)
    out["fcna"] = np.round(tables["fcna"](z["fcna"]), 4)
    loading = covariates["escape"]
    escape, own = loading * z["antigen_presentation_loss"], np.sqrt(1 - loading**2)
    for name in ("hla_loh", "ap_loss"):
        happened = escape + own * draws.normal(name) > ndtri(1 - covariates[name])
        out[name] = happened.astype(float)
    out["stk11_mut"] = (nsclc & (z["stk11"] > ndtri(1 - covariates["stk11_mut"]))).astype(float)

    out["pdl1_tps"] = np.rint(tables["tps"](z["pdl1"]))
    out["immune_phenotype"] = _phenotype(z["phenotype"], z["tgfb_exclusion"], parameters)

    mean, sd = parameters.by_type("age").T
    limits = covariates["age_years"]
    out["age_years"] = np.round(np.clip(mean[kind] + sd[kind] * z["age"], limits["low"], limits["high"]), 1)
    male = draws.uniform("sex") < parameters.by_type("male")[kind]
    out["sex"] = male.astype(float)
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
    band = (out["pdl1_tps"] >= 1).astype(np.int8) + (out["pdl1_tps"] >= 50)
    by_band = np.array(parameters.raw["pdl1_tps"]["prior_by_band"])[band]
    p_prior = np.where(np.isnan(p_prior), by_band, p_prior)
    out["prior_systemic_therapy"] = (draws.uniform("prior") < p_prior).astype(float)
    chemo = np.array([t in covariates["combination_is_chemo"] for t in parameters.types])
    out["combination"] = (draws.uniform("combination") < parameters.by_type("combination")[kind]).astype(float)
    out["chemo"] = chemo[kind].astype(float)
    out["antibiotics_60d"] = (draws.uniform("antibiotics") < covariates["antibiotics_60d"]).astype(float)
    return out


def _phenotype(index: np.ndarray, exclusion: np.ndarray, parameters: Parameters) -> np.ndarray:
    """(n,) phenotype: T cells decide, and TGF-beta widens the excluded class on both sides; shares as given."""
    p = parameters.raw["immune_phenotype"]
    wider = p["exclusion"] * np.maximum(exclusion, -3.0)
    scale = np.sqrt(1 + p["exclusion"] ** 2)  # of index +- wider
    desert = index + wider < scale * ndtri(p["desert"])
    inflamed = ~desert & (index - wider > scale * ndtri(p["desert"] + p["excluded"]))
    return np.where(desert, 0.0, np.where(inflamed, 2.0, 1.0))
