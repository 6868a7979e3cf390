"""The numbers of the synthetic cohort, read from `synthetic_parameters.yaml`, where each has its source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from immunocast.cohort.synthetic_tmb import TmbMixture

#: Components of the Gaussian copula. `pdl1` becomes TPS, `mrna` is PD-L1 mRNA, `phenotype` the immune phenotype.
LATENT = (
    "tmb",
    "pdl1",
    "mrna",
    "gep",
    "exhaustion",
    "phenotype",
    "tgfb",
    "age",
    "albumin",
    "hemoglobin",
    "nlr",
    "platelets",
    "fcna",
)


@dataclass(frozen=True)
class Parameters:
    """Parameters as arrays; those by type are in the order of `types`.

    Attributes
    ----------
    raw : the YAML file, as read.
    text : its text, part of the digest of a cohort.
    types : (T,) tumour types.
    share : (T,) share of each type among patients, sums to 1.
    orr : (T,) objective response rate.
    mpfs, mos : (T,) median PFS and OS in months.
    tmb : one mixture a type.
    years : (Y,) years of treatment start.
    year_given_type : (T, Y) probabilities, rows sum to 1.
    copula : (L, L) lower Cholesky factor of the correlations of `LATENT`.
    """

    raw: dict[str, Any]
    text: str
    types: tuple[str, ...]
    share: np.ndarray
    orr: np.ndarray
    mpfs: np.ndarray
    mos: np.ndarray
    tmb: tuple[TmbMixture, ...]
    years: np.ndarray
    year_given_type: np.ndarray
    copula: np.ndarray

    def by_type(self, field: str) -> np.ndarray:
        """(T,) or (T, k) floats of one field of the table of types."""
        return np.array([row[field] for row in self.raw["types"].values()], dtype=float)

    @property
    def scenarios(self) -> dict[str, list[str]]:
        """Scenarios by name, with the effects that each takes away."""
        return self.raw["response"]["scenarios"]


def _copula(pairs: list[list[Any]]) -> np.ndarray:
    correlation = np.eye(len(LATENT))
    for first, second, value in pairs:
        i, j = LATENT.index(first), LATENT.index(second)
        correlation[i, j] = correlation[j, i] = value
    return np.linalg.cholesky(correlation)


def _years(raw: dict[str, Any], orr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years = np.array(list(raw["years"]["share"]))
    tilt = np.exp(-raw["years"]["tilt"] * np.outer(orr - 0.30, years - 2017))
    weights = np.array(list(raw["years"]["share"].values())) * tilt
    return years, weights / weights.sum(axis=1, keepdims=True)


@cache
def load_parameters() -> Parameters:
    """Read the parameters that are shipped with the package (once a process)."""
    text = files("immunocast.cohort").joinpath("synthetic_parameters.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    rows = raw["types"].values()
    n, orr, mpfs, mos = (np.array([r[k] for r in rows], dtype=float) for k in ("n", "orr", "mpfs", "mos"))
    years, year_given_type = _years(raw, orr)
    return Parameters(
        raw=raw,
        text=text,
        types=tuple(raw["types"]),
        share=n / n.sum(),
        orr=orr,
        mpfs=mpfs,
        mos=mos,
        tmb=tuple(TmbMixture(*r["tmb_fit"]) for r in rows),
        years=years,
        year_given_type=year_given_type,
        copula=_copula(raw["correlations"]["pairs"]),
    )
