"""The numbers of the synthetic cohort, read from `parameters.yaml`, where each has its source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from immunocast.cohort.synthetic.tmb import TmbMixture


@dataclass(frozen=True)
class Equation:
    """A variable of the structure: `sum of coefficient x parent + noise`, standard normal in its margin.

    Attributes
    ----------
    name : the variable.
    parents : parent -> coefficient.
    noise : standard deviation of its own noise.
    """

    name: str
    parents: dict[str, float]
    noise: float


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
    equations : the structure, parents before children.
    correlation : (V, V) correlations of the structure's variables that the equations imply.
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
    equations: tuple[Equation, ...]
    correlation: np.ndarray

    def by_type(self, field: str) -> np.ndarray:
        """(T,) or (T, k) floats of one field of the table of types."""
        return np.array([row[field] for row in self.raw["types"].values()], dtype=float)

    @property
    def nsclc(self) -> int:
        """Index of NSCLC among the types."""
        return self.types.index("NSCLC")

    @property
    def scenarios(self) -> dict[str, dict[str, Any]]:
        """Scenarios by name, with what each changes."""
        return self.raw["scenarios"]

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The latent mechanisms that are variables of the structure."""
        return tuple(self.raw["structure"]["mechanisms"])


def solve_structure(equations: dict[str, dict[str, float]]) -> tuple[tuple[Equation, ...], np.ndarray]:
    """Noise of each variable, so that its variance is 1, and the correlations that the equations imply.

    Parameters
    ----------
    equations : variable -> {parent: coefficient}; parents stand before their children.

    Returns
    -------
    The equations with their noise, and the (V, V) correlations.

    Raises
    ------
    ValueError
        Where a parent does not stand before its child, or parents explain more than all of the variance.
    """
    names = list(equations)
    correlation = np.eye(len(names))
    solved = []
    for k, (name, parents) in enumerate(equations.items()):
        if not set(parents) <= set(names[:k]):
            raise ValueError(f"{name}: its parents must stand before it")
        weights = np.zeros(len(names))
        weights[[names.index(p) for p in parents]] = list(parents.values())
        explained = float(weights @ correlation @ weights)
        if explained > 1:
            raise ValueError(f"{name}: its parents explain {explained:.2f} of its variance")
        correlation[k, :k] = correlation[:k, k] = (correlation @ weights)[:k]
        solved.append(Equation(name, dict(parents), float(np.sqrt(1 - explained))))
    return tuple(solved), correlation


def _years(raw: dict[str, Any], orr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years = np.array(list(raw["years"]["share"]))
    tilt = np.exp(-raw["years"]["tilt"] * np.outer(orr - 0.30, years - 2017))
    weights = np.array(list(raw["years"]["share"].values())) * tilt
    return years, weights / weights.sum(axis=1, keepdims=True)


@cache
def load_parameters() -> Parameters:
    """Read the parameters that are shipped with the package (once a process)."""
    text = files("immunocast.cohort.synthetic").joinpath("parameters.yaml").read_text(encoding="utf-8")
    raw = yaml.safe_load(text)
    rows = raw["types"].values()
    n, orr, mpfs, mos = (np.array([r[k] for r in rows], dtype=float) for k in ("n", "orr", "mpfs", "mos"))
    years, year_given_type = _years(raw, orr)
    equations, correlation = solve_structure(raw["structure"]["equations"])
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
        equations=equations,
        correlation=correlation,
    )
