"""What an agreement is worth: log2 likelihood ratios after Fellegi and Sunter.

For a field, m is the probability that two records of one person agree and u that two strangers do. m is stated
(`fields`), u comes from the data: the share of patients who carry the value, in all cohorts, in either patient's
cohort and among patients of the tumour type, whichever is largest. So an imputed constant, a frequent 0 or "NSCLC"
in a cohort of NSCLC weigh nothing, and a rare value weighs much. A missing value is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunocast.cohort.linkage.fields import Field
from immunocast.cohort.vocabulary import VOCABULARY

#: Bits that one field may give at most: a single column never links two patients, whatever its precision.
MOST_BITS = 15.0
#: A population smaller than this says too little about what is frequent in it.
POPULATION = 50
#: A value with fewer others than this around it gets its frequency from the density in its neighbourhood.
NEIGHBOURS = 5

#: Values that say less than others: both are the same at the coarse level, which is worth less.
_COARSE = {
    "stage": {"I": "I-III", "II": "I-III", "III": "I-III"},
    "drug_class": {"pd1": "pd1_or_pdl1", "pdl1": "pd1_or_pdl1"},
}
#: Values that say nothing.
_NOTHING = {"tumor_type": ("Other",), "bor": ("NE",)}
AGREE, NEAR, DISAGREE, UNKNOWN = 2, 1, 0, -1


@dataclass(frozen=True)
class Comparable:
    """One field of all patients, ready for comparison.

    Attributes
    ----------
    name, field : column and how it is compared.
    value : (n,) numbers, or codes of categories that lie 10 apart; NaN where unknown.
    scaled : (n,) on a scale where a distance of 1 is the limit of "near".
    u_exact, u_near : (n,) share of strangers who agree with this patient's value; NaN where unknown.
    u_mean : the same at the near level for a patient drawn at random.
    """

    name: str
    field: Field
    value: np.ndarray
    scaled: np.ndarray
    u_exact: np.ndarray
    u_near: np.ndarray
    u_mean: float

    @property
    def known(self) -> np.ndarray:
        """(n,) True where there is a value."""
        return ~np.isnan(self.value)


def comparable(cohort: pd.DataFrame, fields: Mapping[str, Field]) -> list[Comparable]:
    """Prepare the fields that the cohort table has.

    Parameters
    ----------
    cohort : cohort table of all cohorts, one row a patient.
    fields : column -> how it is compared.
    """
    frame = _with_equivalents(cohort)
    populations = [np.zeros(len(frame), dtype=int), pd.factorize(frame["cohort_id"])[0]]
    by_type = pd.factorize(frame["tumor_type"])[0] if "tumor_type" in frame else populations[0]  # -1 where unknown
    out = []
    for name, field in fields.items():
        if name not in frame or frame[name].isna().all():
            continue
        value, scaled = _numbers(frame[name], name, field)
        if np.isnan(value).all():
            continue
        smooth = VOCABULARY[name].kind in ("number", "integer")
        width = max(field.exact, _resolution(value) / 2) if smooth else field.exact
        among = populations if name == "tumor_type" else [*populations, by_type]
        u_exact = _chance(value, width, among, smooth)
        u_near = np.fmax(_chance(scaled, 1.0, among, smooth), u_exact)
        out.append(Comparable(name, field, value, scaled, u_exact, u_near, float(np.nanmean(u_near))))
    return out


def _with_equivalents(cohort: pd.DataFrame) -> pd.DataFrame:
    """The same thing under two names: NLR is about 2 x dNLR (the rule of LORIS), CR and PR are responders."""
    more: dict[str, pd.Series] = {}
    if "dnlr" in cohort:
        twice = 2 * cohort["dnlr"]
        more["nlr"] = cohort["nlr"].fillna(twice) if "nlr" in cohort else twice
    if "bor" in cohort:
        by_bor = cohort["bor"].map({"CR": 1, "PR": 1, "SD": 0, "PD": 0}).astype("Int64")
        more["responder"] = cohort["responder"].fillna(by_bor) if "responder" in cohort else by_bor
    return cohort.assign(**more)


def _numbers(column: pd.Series, name: str, field: Field) -> tuple[np.ndarray, np.ndarray]:
    if VOCABULARY[name].kind in ("number", "integer"):
        value = column.to_numpy(dtype=float, na_value=np.nan)
        if not field.ratio:
            return value, value / field.near
        # the distance between two scaled values is at most 1 where they differ by about near + ratio x value
        magnitude = np.log1p(field.ratio * np.abs(value) / field.near) / field.ratio
        return value, np.sign(value) * magnitude
    text = column.astype("str").where(column.notna())
    text = text.mask(text.isin(_NOTHING.get(name, ())))
    coarse = text.replace(_COARSE.get(name, {}))
    levels = sorted({*text.dropna(), *coarse.dropna()})
    codes = {level: 10.0 * i for i, level in enumerate(levels)}
    return text.map(codes).to_numpy(dtype=float), coarse.map(codes).to_numpy(dtype=float)


def _resolution(value: np.ndarray) -> float:
    """The step to which the values are rounded: the largest power of ten that 99 in 100 are multiples of."""
    known = value[~np.isnan(value)]
    for decimals in range(7):
        if np.mean(np.abs(known - np.round(known, decimals)) < 1e-9) >= 0.99:
            return 10.0**-decimals
    return 0.0


def _chance(value: np.ndarray, width: float, populations: list[np.ndarray], smooth: bool) -> np.ndarray:
    """Share of other patients within `width` of each value, in the population where it is largest."""
    known = ~np.isnan(value)
    out = np.where(known, 0.0, np.nan)
    for k, member in enumerate(populations):
        for code in np.unique(member[known & (member >= 0)]):
            rows = np.flatnonzero(known & (member == code))
            if k and len(rows) < POPULATION:
                continue
            out[rows] = np.fmax(out[rows], _share_within(value[rows], width, smooth))
    return out


def _share_within(value: np.ndarray, width: float, smooth: bool) -> np.ndarray:
    n = len(value)
    order = np.argsort(value, kind="stable")
    ranked = value[order]
    slack = 1e-9 * (1 + np.abs(ranked))
    others = (
        np.searchsorted(ranked, ranked + width + slack, side="right")
        - np.searchsorted(ranked, ranked - width - slack, side="left")
        - 1
    )
    share = (others + 1) / (n + 1)
    if smooth and n >= 4 * NEIGHBOURS:
        # too few others to count: the density of the nearest ones, times the width
        position = np.arange(n)
        radius = np.full(n, np.inf)
        for before in range(NEIGHBOURS + 1):
            first, last = position - before, position - before + NEIGHBOURS
            inside = (first >= 0) & (last < n)
            reach = np.maximum(ranked - ranked[np.maximum(first, 0)], ranked[np.minimum(last, n - 1)] - ranked)
            radius = np.where(inside, np.minimum(radius, reach), radius)
        dense = (NEIGHBOURS / n) * np.minimum(1.0, width / np.maximum(radius, 1e-300))
        share = np.where(others < NEIGHBOURS, dense, others / n)
    out = np.empty(n)
    out[order] = np.minimum(share, 1.0)
    return out


def levels(part: Comparable, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Agreement of pairs of patients in a field: AGREE, NEAR, DISAGREE or UNKNOWN.

    Parameters
    ----------
    part : the field.
    left, right : (k,) positions of patients.
    """
    a, b = part.value[left], part.value[right]
    with np.errstate(invalid="ignore"):
        exact = np.abs(a - b) <= part.field.exact + 1e-9 * (1 + np.abs(a))
        near = np.abs(part.scaled[left] - part.scaled[right]) <= 1 + 1e-9
    level = np.where(exact, AGREE, np.where(near, NEAR, DISAGREE)).astype(np.int8)
    level[np.isnan(a) | np.isnan(b)] = UNKNOWN
    if part.field.inexact == 0:
        level[level == NEAR] = DISAGREE
    return level


def weights(part: Comparable, level: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Evidence of pairs in a field, in bits: log2 of P(level | one person) / P(level | two persons).

    Parameters
    ----------
    part : the field.
    level : (k,) of `levels`.
    left, right : (k,) positions of patients.
    """
    field, tiny = part.field, 1e-12
    u_exact = np.fmax(part.u_exact[left], part.u_exact[right])
    u_near = np.fmax(part.u_near[left], part.u_near[right])
    # agreement is never evidence against, disagreement never evidence for
    disagree = min(float(np.log2(field.error / max(1 - part.u_mean, 0.01))), 0.0)
    out = np.where(level == DISAGREE, disagree, 0.0)
    with np.errstate(invalid="ignore"):
        agree = np.log2(field.m_exact / np.maximum(u_exact, tiny))
        out = np.where(level == AGREE, np.clip(agree, 0.0, MOST_BITS), out)
        if field.inexact:
            # strangers who are near, not exact; at least half of those near, since both shares are estimates
            close = np.log2(field.inexact / np.maximum(np.maximum(u_near - u_exact, u_near / 2), tiny))
            out = np.where(level == NEAR, np.clip(close, disagree, MOST_BITS), out)
    return out


def score(parts: list[Comparable], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum of the evidence of pairs, in bits; of a group of fields only the strongest agreement and disagreement.

    Parameters
    ----------
    parts : fields.
    left, right : (k,) positions of patients.
    """
    total = np.zeros(len(left))
    best: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in parts:
        weight = weights(part, levels(part, left, right), left, right)
        if not part.field.group:
            total += weight
            continue
        low, high = best.get(part.field.group, (np.zeros(len(left)), np.zeros(len(left))))
        best[part.field.group] = (np.minimum(low, weight), np.maximum(high, weight))
    for low, high in best.values():
        total += low + high
    return total
