"""Immune-related adverse events of synthetic patients: whether, when, how severe, in which organ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from immunocast.cohort.synthetic.mechanisms import Values
from immunocast.cohort.synthetic.parameters import Parameters
from immunocast.cohort.synthetic.streams import Streams, pick
from immunocast.cohort.synthetic.survival import DAYS_A_MONTH


@dataclass(frozen=True)
class Toxicity:
    """What is solved so that irAE meet their targets.

    Attributes
    ----------
    base : log-odds of an irAE that would be seen by a non-responder with unlimited follow-up.
    severe_single, severe_combination : probability that an irAE has grade 3 or more.
    """

    base: float
    severe_single: float
    severe_combination: float


def onset_days(combination: np.ndarray, draws: Streams, parameters: Parameters) -> np.ndarray:
    """(n,) days from the start of treatment to an irAE, would it happen."""
    t = parameters.raw["toxicity"]
    median = np.where(combination > 0, t["onset_drawn"]["combination"], t["onset_drawn"]["single"])
    return np.maximum(np.rint(median * np.exp(t["onset_sd"] * draws.normal("irae_onset"))), 1.0)


def irae_seen(
    base: float,
    responder: np.ndarray,
    onset: np.ndarray,
    treated: np.ndarray,
    followed: np.ndarray,
    u: np.ndarray,
    parameters: Parameters,
) -> np.ndarray:
    """(n,) bool, an irAE that begins on treatment or in the window after it, in life and under follow-up.

    Parameters
    ----------
    base : log-odds of an irAE, see `Toxicity`.
    responder : (n,) bool.
    onset : (n,) days.
    treated, followed : (n,) months on treatment; months of life under follow-up.
    u : (n,) uniform draws.
    parameters : the numbers of the cohort.
    """
    t = parameters.raw["toxicity"]
    last = np.minimum(treated + t["window_months"], followed) * DAYS_A_MONTH
    return (u < expit(base + t["responder_log_odds"] * responder)) & (onset <= last)


def solve_toxicity(
    values: Values,
    weight: np.ndarray,
    responder: np.ndarray,
    treated: np.ndarray,
    os: np.ndarray,
    draws: Streams,
    parameters: Parameters,
) -> Toxicity:
    """Solve on a reference sample, patients weighted by `weight` (sums to 1)."""
    t = parameters.raw["toxicity"]
    onset, u = onset_days(values["combination"], draws, parameters), draws.uniform("irae")
    low, high = -5.0, 10.0
    for _ in range(30):
        base = (low + high) / 2
        seen = irae_seen(base, responder, onset, treated, os, u, parameters)
        low, high = (base, high) if (seen * weight).sum() < t["any"] else (low, base)
    base = round((low + high) / 2, 6)
    seen = irae_seen(base, responder, onset, treated, os, u, parameters)
    together = values["combination"] > 0
    share = float(weight[together].sum())
    any_single = float((seen * weight)[~together].sum()) / (1 - share)
    any_combination = float((seen * weight)[together].sum()) / share
    # severe among all: single rate x (1 - share + RR share) is the target
    single = t["grade_3_or_more"] / (1 - share + t["combination_rr"] * share)
    return Toxicity(
        base, round(single / any_single, 6), round(min(1.0, t["combination_rr"] * single / any_combination), 6)
    )


def draw_irae(
    values: Values,
    ici: np.ndarray,
    responder: np.ndarray,
    treated: np.ndarray,
    os: np.ndarray,
    followed: np.ndarray,
    solved: Toxicity,
    draws: Streams,
    parameters: Parameters,
) -> Values:
    """Adverse events as recorded, and the months on treatment that a severe one leaves.

    Returns
    -------
    irae (0/1), irae_grade (0 without one), irae_onset_days and irae_organ (code; -1 without one), each NaN or -1
    without ICI; `treated` in months.
    """
    t = parameters.raw["toxicity"]
    onset = onset_days(values["combination"], draws, parameters)
    alive = np.minimum(os, followed)
    seen = ici & irae_seen(solved.base, responder, onset, treated, alive, draws.uniform("irae"), parameters)
    severe_share = np.where(values["combination"] > 0, solved.severe_combination, solved.severe_single)
    severe = seen & (draws.uniform("irae_severe") < severe_share)
    u = draws.uniform("irae_grade")
    grade = np.where(severe, np.where(u < t["grade_4_of_high"], 4, 3), np.where(u < t["grade_1_of_low"], 1, 2))
    soon = (os <= followed) & (os * DAYS_A_MONTH - onset <= 2 * DAYS_A_MONTH)
    grade = np.where(severe & soon & (draws.uniform("irae_fatal") < t["fatal_of_early_deaths"]), 5, grade)
    organ = pick(draws.uniform("irae_organ"), np.array(list(t["organs"].values())))
    return {
        "irae": np.where(ici, seen, np.nan),
        "irae_grade": np.where(ici, np.where(seen, grade, 0), np.nan),
        "irae_onset_days": np.where(seen, onset, np.nan),
        "irae_organ": np.where(seen, organ, -1),
        "treated": np.where(severe, np.minimum(treated, onset / DAYS_A_MONTH), treated),
    }
