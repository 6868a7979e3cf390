"""Outcomes of synthetic patients: best response and depth, PFS, OS, follow-up, exposure, adverse events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from immunocast.cohort.synthetic.mechanisms import Values
from immunocast.cohort.synthetic.parameters import Parameters
from immunocast.cohort.synthetic.response import Scenario
from immunocast.cohort.synthetic.streams import ReferenceStreams, Streams, beta_by_score
from immunocast.cohort.synthetic.survival import (
    WEEKS_A_MONTH,
    follow_up,
    log_hazards,
    on_treatment,
    pfs_times,
    residual_times,
)
from immunocast.cohort.synthetic.toxicity import Toxicity, draw_irae, solve_toxicity

#: Best responses by code.
BEST_RESPONSES = ("CR", "PR", "SD", "PD", "NE")

#: Months; the shortest time that a record of dates can show.
ONE_DAY = 0.03


@dataclass(frozen=True)
class Scales:
    """What is solved so that each type meets its targets; (T,) each.

    Attributes
    ----------
    intercept, control_intercept : log-odds added for the type, with and without ICI.
    pfs, residual : multipliers of the Weibull scales of PFS and of OS - PFS.
    toxicity : of adverse events, over all types.
    """

    intercept: np.ndarray
    control_intercept: np.ndarray
    pfs: np.ndarray
    residual: np.ndarray
    toxicity: Toxicity


def draw_outcomes(
    values: Values,
    kind: np.ndarray,
    ici: np.ndarray,
    p_response: np.ndarray,
    draws: Streams,
    scales: Scales,
    scenario: Scenario,
    parameters: Parameters,
) -> Values:
    """Outcomes as followed up, and the true times.

    Parameters
    ----------
    values : output of `draw_patients`.
    kind : (n,) index of the type.
    ici : (n,) bool, treated with ICI.
    p_response : (n,) true probability of response in the patient's own arm.
    draws : the patients' random streams.
    scales : solved scales by type.
    scenario : what the scenario changes.
    parameters : the numbers of the cohort.

    Returns
    -------
    Numbers by column: bor (code), responder (NaN where bor is NE), depth_pct, pfs_months, pfs_event, os_months,
    os_event, exposure_weeks, irae*, and latent_responder, latent_pfs_months, latent_os_months. One censoring time
    serves all, so OS >= PFS, observed and true.
    """
    responder = draws.uniform("response") < p_response
    hazards = log_hazards(values, ici, parameters, scenario.removed, scenario.alike)
    pfs = pfs_times(responder, ici, hazards, draws.uniform("pfs"), scales.pfs[kind], parameters)
    os = pfs + residual_times(responder, hazards, draws.uniform("residual"), parameters) * scales.residual[kind]
    followed = follow_up(values, draws, parameters)
    treated = on_treatment(pfs, ici, draws, parameters)
    adverse = draw_irae(values, ici, responder, treated, os, followed, scales.toxicity, draws, parameters)
    bor, depth = _best_response(responder, pfs, followed, draws, parameters)
    evaluable = bor < BEST_RESPONSES.index("NE")
    return {
        "bor": bor,
        "responder": np.where(evaluable, responder, np.nan),
        "depth_pct": np.where(evaluable, depth, np.nan),
        "pfs_months": np.round(np.maximum(np.minimum(pfs, followed), ONE_DAY), 2),
        "pfs_event": (pfs <= followed).astype(float),
        "os_months": np.round(np.maximum(np.minimum(os, followed), ONE_DAY), 2),
        "os_event": (os <= followed).astype(float),
        "exposure_weeks": np.round(
            WEEKS_A_MONTH * np.maximum(np.minimum(adverse.pop("treated"), followed), ONE_DAY), 1
        ),
        **adverse,
        "latent_responder": responder.astype(float),
        "latent_pfs_months": pfs,
        "latent_os_months": os,
    }


def _best_response(
    responder: np.ndarray, pfs: np.ndarray, followed: np.ndarray, draws: Streams, parameters: Parameters
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) codes of best response, and the best change of the sum of diameters in percent."""
    b = parameters.raw["best_response"]
    first, last = b["scan_window_months"]
    # PD needs a progression that was seen before follow-up ended, so a PD always has its event
    progressed = pfs <= np.minimum(first + (last - first) * draws.uniform("scan"), followed)
    complete = draws.uniform("complete") < b["complete_among_responders"]
    code = np.where(responder, np.where(complete, 0, 1), np.where(progressed, 3, 2)).astype(np.int8)
    u, z = draws.uniform("depth"), draws.normal("depth")
    partial = -30 - 69 * beta_by_score(*b["depth_pr"])(-z)
    stable = 19.9 - 49.8 * beta_by_score(*b["depth_sd"])(z)
    worse = 20 - b["depth_pd_mean"] * np.log1p(-u)
    depth = np.round(np.select([code == 0, code == 1, code == 2], [-100.0, partial, stable], worse), 1)
    code[draws.uniform("evaluable") < b["not_evaluable"]] = 4
    return code, depth


def bisect(target: np.ndarray, low: float, high: float, rises) -> np.ndarray:
    """(T,) roots of T rising functions at once; 30 halvings, rounded so that machines agree."""
    lower, upper = np.full(len(target), low), np.full(len(target), high)
    for _ in range(30):
        middle = (lower + upper) / 2
        below = rises(middle) < target
        lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
    return np.round((lower + upper) / 2, 6)


def solve_scales(
    values: Values,
    log_odds: np.ndarray,
    control_log_odds: np.ndarray,
    draws: ReferenceStreams,
    orr: np.ndarray,
    scenario: Scenario,
    parameters: Parameters,
) -> Scales:
    """Solve intercepts and scales on a reference sample with the same number of patients of each type, all on ICI.

    Parameters
    ----------
    values : T x m patients, type after type.
    log_odds, control_log_odds : (T m,) log-odds of response without intercept, with and without ICI.
    draws : the reference's random streams.
    orr : (T,) response rates to meet with ICI.
    scenario : what the scenario changes.
    parameters : the numbers of the cohort; medians come from there.

    Returns
    -------
    Scales by type.
    """
    count = len(orr)
    grid, control = log_odds.reshape(count, -1), control_log_odds.reshape(count, -1)
    intercept = bisect(orr, -15, 15, lambda a: expit(grid + a[:, None]).mean(axis=1))
    without = parameters.raw["response"]["control"]
    if scenario.alike:
        control_intercept = intercept + without["alike_log_odds"]
    else:
        rates = without["orr_ratio"] * orr
        control_intercept = bisect(rates, -15, 15, lambda a: expit(control + a[:, None]).mean(axis=1))
    responder = draws.uniform("response") < expit(grid + intercept[:, None]).ravel()
    ici = np.ones(len(responder), dtype=bool)
    hazards = log_hazards(values, ici, parameters, scenario.removed, scenario.alike)
    repeat = grid.shape[1]
    u = draws.uniform("pfs")

    def pfs_of(log_scale: np.ndarray) -> np.ndarray:
        scale = np.repeat(np.exp(log_scale), repeat)
        return pfs_times(responder, ici, hazards, u, scale, parameters).reshape(count, -1)

    log_pfs = bisect(np.log(parameters.mpfs), -4, 4, lambda m: np.log(np.median(pfs_of(m), axis=1)))
    pfs = pfs_of(log_pfs)
    residual = residual_times(responder, hazards, draws.uniform("residual"), parameters).reshape(count, -1)
    log_residual = bisect(
        np.log(parameters.mos),
        -6,
        6,
        lambda g: np.log(np.median(pfs + residual * np.exp(g)[:, None], axis=1)),
    )
    os = (pfs + residual * np.exp(log_residual)[:, None]).ravel()
    followed = follow_up(values, draws, parameters)
    toxicity = solve_toxicity(
        values,
        np.repeat(scenario.share(parameters), repeat) / repeat,
        responder,
        on_treatment(pfs.ravel(), ici, draws, parameters),
        np.minimum(os, followed),
        draws,
        parameters,
    )
    return Scales(intercept, control_intercept, np.exp(log_pfs), np.exp(log_residual), toxicity)
