"""Outcomes of synthetic patients: log-odds of response by parent, best response, PFS, OS and follow-up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from immunocast.cohort.synthetic_parameters import Parameters
from immunocast.cohort.synthetic_patients import Values

#: Uniform draws that a patient needs for the outcomes, one stream each.
OUTCOME_STREAMS = ("response", "pfs", "residual", "complete", "scan", "evaluable", "loss")

#: Months; the shortest time that a record of dates can show.
ONE_DAY = 0.03


@dataclass(frozen=True)
class Scales:
    """What is solved so that each type meets its targets; (T,) each.

    Attributes
    ----------
    intercept : log-odds added for the type; the mean of p_response is then the type's ORR.
    pfs, residual : multipliers of the Weibull scales of PFS and of OS - PFS.
    """

    intercept: np.ndarray
    pfs: np.ndarray
    residual: np.ndarray


def response_effects(values: Values, parameters: Parameters, removed: Collection[str] = ()) -> Values:
    """Log-odds contributions by parent, without intercept.

    Parameters
    ----------
    values : output of `draw_patients`.
    parameters : the numbers of the cohort.
    removed : parents whose effect is 0 in this scenario.

    Returns
    -------
    (n,) contributions by parent. They add up, with the intercepts, to the log-odds of response.
    """
    r = parameters.raw["response"]
    n, pan, everybody = r["nsclc"], r["pan_cancer"], r["all"]
    nsclc = values["tumor_type"] == "NSCLC"
    doubling = np.log2(values["tmb_mut_mb"] + 1) - 3
    tps = np.where(nsclc, (values["pdl1_tps"] - 30) / 10, 0.0)
    band = np.select([values["pdl1_tps"] >= 50, values["pdl1_tps"] >= 1], [n["added_50_100"], n["added_1_49"]], 0.0)
    nlr = values["nlr"]
    effects = {
        "tmb_mut_mb": np.where(nsclc, n["log2_tmb"], pan["log2_tmb"]) * doubling,
        "pdl1_tps": n["tps_per_10"] * tps + np.where(nsclc, band, 0.0),
        "tmb_x_pdl1": n["tmb_x_tps"] * tps * doubling,
        "prior_systemic_therapy": np.where(nsclc, n["prior"], pan["prior"]) * values["prior_systemic_therapy"],
        "albumin_g_dl": np.where(nsclc, n["albumin"], pan["albumin"]) * (values["albumin_g_dl"] - 3.8),
        "nlr": np.where(nsclc, n["nlr"] * np.minimum(nlr, 25), pan["log2_nlr"] * np.log2(nlr)),
        "age_years": np.where(nsclc, 0.0, pan["age_per_10"] * (values["age_years"] - 62) / 10),
        "fcna": np.where(nsclc, 0.0, pan["fcna"] * values["fcna"]),
        "gep_score": everybody["gep"] * values["gep_score"],
        "tgfb_score": everybody["tgfb"] * values["tgfb_score"],
        "antibiotics_60d": everybody["antibiotics"] * values["antibiotics_60d"],
        "treatment_start_year": everybody["year"] * (values["treatment_start_year"] - 2017.0),
    }
    return {name: np.zeros_like(e) if name in removed else e + 0.0 for name, e in effects.items()}


def _weibull(u: np.ndarray, scale: np.ndarray | float, shape: float, after: float = 0.0) -> np.ndarray:
    """Weibull quantile, given that the time is longer than `after`."""
    return scale * ((after / scale) ** shape - np.log1p(-u)) ** (1 / shape)


def log_hazards(values: Values, parameters: Parameters) -> np.ndarray:
    """(n,) log hazard ratio of death from blood and antibiotics, centred at albumin 3.85 and the mean ln NLR."""
    s, c = parameters.raw["survival"], parameters.raw["covariates"]
    log2_nlr = (np.log(values["nlr"]) - c["ln_nlr"]["mean"]) / np.log(2)
    return (
        np.log(s["hr_log2_nlr"]) * log2_nlr
        + np.log(s["hr_albumin"]) * (values["albumin_g_dl"] - c["albumin_g_dl"]["mean"])
        + np.log(s["hr_antibiotics"]) * values["antibiotics_60d"]
    )


def pfs_times(
    responder: np.ndarray,
    hazard: np.ndarray,
    u: Mapping[str, np.ndarray],
    multiplier: np.ndarray,
    p: Parameters,
) -> np.ndarray:
    """(n,) months to progression or death. A responder has none before the first scan."""
    s = p.raw["survival"]
    hazard = hazard * s["progression_exponent"]

    def one(name: str, after: float) -> np.ndarray:
        scale, shape = s[name]["pfs"]
        return _weibull(u["pfs"], multiplier * scale * np.exp(-hazard / shape), shape, after)

    return np.where(responder, one("responders", s["first_scan_months"]), one("non_responders", 0.0))


def residual_times(responder: np.ndarray, hazard: np.ndarray, u: Mapping[str, np.ndarray], p: Parameters) -> np.ndarray:
    """(n,) months from progression to death, before the type's multiplier."""
    residual = p.raw["survival"]["residual"]

    def one(name: str) -> np.ndarray:
        scale, shape = residual[name]
        return _weibull(u["residual"], scale * np.exp(-hazard / shape), shape)

    return np.where(responder, one("responders"), one("non_responders"))


def draw_outcomes(
    values: Values,
    kind: np.ndarray,
    p_response: np.ndarray,
    u: Mapping[str, np.ndarray],
    scales: Scales,
    parameters: Parameters,
) -> Values:
    """Outcomes as followed up, and the true times.

    Parameters
    ----------
    values : output of `draw_patients`.
    kind : (n,) index of the type.
    p_response : (n,) true probability of response.
    u : (n,) uniform draws for each of `OUTCOME_STREAMS`, and "start_day".
    scales : solved scales by type.
    parameters : the numbers of the cohort.

    Returns
    -------
    bor, responder (NaN where bor is NE), pfs_months, pfs_event, os_months, os_event, and latent_responder,
    latent_pfs_months, latent_os_months. One censoring time serves both, so OS >= PFS, observed and true.
    """
    s, b = parameters.raw["survival"], parameters.raw["best_response"]
    responder = u["response"] < p_response
    hazard = log_hazards(values, parameters)
    pfs = pfs_times(responder, hazard, u, scales.pfs[kind], parameters)
    os = pfs + residual_times(responder, hazard, u, parameters) * scales.residual[kind]

    to_data_cut = 12 * (s["data_cut_year"] - values["treatment_start_year"] - u["start_day"])
    lost = s["loss_earliest_months"] - s["loss_mean_months"] * np.log1p(-u["loss"])
    followed = np.minimum(to_data_cut, lost)
    observed_pfs, observed_os = np.minimum(pfs, followed), np.minimum(os, followed)

    first, last = b["scan_window_months"]
    # PD needs a progression that was seen before follow-up ended, so a PD always has its event
    progressed = pfs <= np.minimum(first + (last - first) * u["scan"], followed)
    answer = np.where(u["complete"] < b["complete_among_responders"], "CR", "PR")
    bor = np.where(responder, answer, np.where(progressed, "PD", "SD"))
    evaluable = u["evaluable"] >= b["not_evaluable"]
    return {
        "bor": np.where(evaluable, bor, "NE"),
        "responder": np.where(evaluable, responder.astype(float), np.nan),
        "pfs_months": np.round(np.maximum(observed_pfs, ONE_DAY), 2),
        "pfs_event": (pfs <= followed).astype(int),
        "os_months": np.round(np.maximum(observed_os, ONE_DAY), 2),
        "os_event": (os <= followed).astype(int),
        "latent_responder": responder.astype(float),
        "latent_pfs_months": pfs,
        "latent_os_months": os,
    }


def bisect(target: np.ndarray, low: float, high: float, rises) -> np.ndarray:
    """(T,) roots of T rising functions at once; 40 halvings, rounded so that machines agree."""
    lower, upper = np.full(len(target), low), np.full(len(target), high)
    for _ in range(40):
        middle = (lower + upper) / 2
        below = rises(middle) < target
        lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
    return np.round((lower + upper) / 2, 6)


def solve_scales(
    values: Values,
    log_odds: np.ndarray,
    u: Mapping[str, np.ndarray],
    orr: np.ndarray,
    parameters: Parameters,
) -> Scales:
    """Solve intercepts and scales on a reference sample with the same number of patients of each type.

    Parameters
    ----------
    values : T x m patients, type after type.
    log_odds : (T m,) log-odds of response without intercept.
    u : (T m,) draws of "response", "pfs" and "residual".
    orr : (T,) response rates to meet.
    parameters : the numbers of the cohort; medians come from there.

    Returns
    -------
    Scales by type.
    """
    count = len(orr)
    grid = log_odds.reshape(count, -1)
    intercept = bisect(orr, -15, 15, lambda a: expit(grid + a[:, None]).mean(axis=1))
    responder = u["response"] < expit(grid + intercept[:, None]).ravel()
    hazard = log_hazards(values, parameters)
    repeat = grid.shape[1]

    def pfs_of(log_scale: np.ndarray) -> np.ndarray:
        scale = np.repeat(np.exp(log_scale), repeat)
        return pfs_times(responder, hazard, u, scale, parameters).reshape(count, -1)

    log_pfs = bisect(np.log(parameters.mpfs), -4, 4, lambda m: np.log(np.median(pfs_of(m), axis=1)))
    pfs = pfs_of(log_pfs)
    residual = residual_times(responder, hazard, u, parameters).reshape(count, -1)
    log_residual = bisect(
        np.log(parameters.mos),
        -6,
        6,
        lambda g: np.log(np.median(pfs + residual * np.exp(g)[:, None], axis=1)),
    )
    return Scales(intercept, np.exp(log_pfs), np.exp(log_residual))
