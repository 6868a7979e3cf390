"""TMB of synthetic patients: a two-component log-normal by tumour type, body and hypermutated tail.

The mixture is that of the exome. What the sources give was read on panels, which count a few mutations on about one
megabase: the fit asks that the readings have their share, mean and standard deviation, so the exome's TMB spreads
less. `python -m immunocast.cohort.synthetic tmb` fits the mixtures anew and prints them as they stand in
`parameters.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

#: TMB cut-off of the tumour-agnostic approval of pembrolizumab, mutations per megabase.
HIGH_TMB = 10.0


@dataclass(frozen=True)
class TmbMixture:
    """Mixture of two normal distributions of ln TMB.

    Attributes
    ----------
    weight : share of the hypermutated tail, 0-1.
    body_mean, body_sd : of ln TMB (mut/Mb) in the body.
    tail_mean, tail_sd : of ln TMB in the tail.
    """

    weight: float
    body_mean: float
    body_sd: float
    tail_mean: float
    tail_sd: float

    def cdf(self, log_tmb: np.ndarray) -> np.ndarray:
        """Share of patients with ln TMB up to `log_tmb`."""
        body = ndtr((log_tmb - self.body_mean) / self.body_sd)
        return (1 - self.weight) * body + self.weight * ndtr((log_tmb - self.tail_mean) / self.tail_sd)

    def share_high(self) -> float:
        """Share of patients with TMB >= 10 mut/Mb."""
        return float(1 - self.cdf(np.array(np.log(HIGH_TMB))))

    def quantile(self, z: np.ndarray) -> np.ndarray:
        """Value of ln TMB at the normal scores `z`, by interpolation in a table of the distribution function."""
        low = min(self.body_mean - 6 * self.body_sd, self.tail_mean - 6 * self.tail_sd)
        high = max(self.body_mean + 6 * self.body_sd, self.tail_mean + 6 * self.tail_sd)
        grid = np.linspace(low, high, 2001)
        scores = ndtri(np.clip(self.cdf(grid), 1e-12, 1 - 1e-12))
        rising = np.concatenate([[True], np.diff(scores) > 0])
        return np.interp(z, scores[rising], grid[rising])

    def tail_probability(self, log_tmb: np.ndarray) -> np.ndarray:
        """Probability that a patient with this ln TMB comes from the tail."""

        def log_density(mean: float, sd: float) -> np.ndarray:
            return -0.5 * ((log_tmb - mean) / sd) ** 2 - np.log(sd)

        # beyond the body on its low side the wider component would win: that is no hypermutation
        difference = log_density(self.tail_mean, self.tail_sd) - log_density(self.body_mean, self.body_sd)
        odds = np.log(self.weight / (1 - self.weight)) + difference
        return np.where(log_tmb > self.body_mean, np.exp(-np.logaddexp(0, -odds)), 0.0)


@dataclass(frozen=True)
class Readings:
    """What panels read at each true ln TMB of a grid, averaged over the panels in use.

    Attributes
    ----------
    grid : (G,) ln TMB.
    high : (G,) probability of a reading of 10 mut/Mb or more.
    some : (G,) probability of any mutation; without one there is no logarithm.
    first, second : (G,) expected ln reading and its square, over readings with a mutation.
    """

    grid: np.ndarray
    high: np.ndarray
    some: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, panels: Mapping[float, float]) -> Readings:
        """Readings on panels of so many Mb, each with its share of the patients."""
        from scipy.special import pdtr, pdtrc

        grid = np.linspace(-3, 6.2, 461)
        high, some, first, second = (np.zeros(len(grid)) for _ in range(4))
        for mb, share in panels.items():
            mean = np.exp(grid) * mb
            high += share * pdtrc(np.ceil(HIGH_TMB * mb - 1e-9) - 1, mean)
            counts = np.unique(np.rint(np.geomspace(1, 30_000, 1200)))  # every count where they are few
            at_least = np.concatenate([[0.5], (counts[1:] + counts[:-1]) / 2, [np.inf]])
            cdf = np.where(np.isinf(at_least), 1.0, pdtr(np.minimum(at_least, 1e6), mean[:, None]))
            log = np.log(counts / mb)
            weight = np.diff(cdf, axis=1)
            some += share * weight.sum(axis=1)
            first += share * weight @ log
            second += share * weight @ log**2
        return cls(grid, high, some, first, second)

    def of_mixture(self, mixture: TmbMixture) -> tuple[float, float, float]:
        """Share of readings >= 10 mut/Mb; mean and sd of ln reading, over readings with a mutation."""
        weight = np.diff(mixture.cdf(self.grid), prepend=0)
        some = weight @ self.some
        mean = weight @ self.first / some
        return float(weight @ self.high), float(mean), float(np.sqrt(weight @ self.second / some - mean**2))


def panels_in_use(raw: Mapping[str, Any]) -> dict[float, float]:
    """Mb of each panel -> its share of the patients, over sites and years."""
    mb, by_year = raw["panels"]["mb"], raw["panels"]["impact_by_year"]
    total = sum(raw["years"]["share"].values())
    found: dict[float, float] = {}
    for name, site in raw["sites"].items():
        for year, share in raw["years"]["share"].items() if name != "source" else ():
            size = mb[by_year[year] if site["panel"] == "IMPACT" else site["panel"]]
            found[size] = found.get(size, 0.0) + site["share"] * share / total
    return found


def fit_mixture(mean: float, sd: float, share_high: float, readings: Readings, least_weight: float = 0.0) -> TmbMixture:
    """Mixture whose readings meet the share with TMB >= 10 first, then mean and sd of ln TMB.

    Three figures do not settle five parameters: weak preferences (a small tail about 1.5 above the body,
    sds not far from the given one) settle the rest.

    Parameters
    ----------
    mean, sd : of ln TMB as read.
    share_high : share read as TMB >= 10 mut/Mb.
    readings : of the panels in use.
    least_weight : lower bound of the tail's weight, for types with MSI-high tumours.

    Returns
    -------
    The fitted mixture of the exome's TMB.
    """
    from scipy.optimize import least_squares

    start_weight = float(np.clip(max(share_high / 2, least_weight * 1.1), 0.02, 0.5))

    def build(x: np.ndarray) -> TmbMixture:
        return TmbMixture(x[0], x[1], np.exp(x[2]), x[1] + x[3], np.exp(x[4]))

    def residuals(x: np.ndarray) -> list[float]:
        got_share, got_mean, got_sd = readings.of_mixture(build(x))
        return [
            (got_share - share_high) / 0.002,
            (got_mean - mean) / 0.03,
            (got_sd - sd) / 0.03,
            (x[0] - start_weight) / 0.2,
            (x[3] - 1.5) / 0.5,
            (x[2] - np.log(0.7 * sd)) / 0.4,
            (x[4] - np.log(0.6)) / 0.3,
        ]

    start = [start_weight, mean - 1.5 * start_weight, np.log(0.7 * sd), 1.5, np.log(0.6)]
    bounds = ([max(0.005, least_weight), -3, -2, 0.3, -1.5], [0.6, 4, 1, 3.5, 0.5])
    start = list(np.clip(start, np.array(bounds[0]) + 1e-6, np.array(bounds[1]) - 1e-6))
    return build(least_squares(residuals, start, bounds=bounds).x)


def main() -> None:
    """Print the fitted mixture of every type, and what is read of it."""
    from importlib.resources import files

    import yaml

    raw = yaml.safe_load(files("immunocast.cohort.synthetic").joinpath("parameters.yaml").read_text(encoding="utf-8"))
    readings = Readings.of(panels_in_use(raw))
    for name, row in raw["types"].items():
        mean, sd, share_high = row["tmb"]
        mixture = fit_mixture(mean, sd, share_high, readings, least_weight=row["msi"])
        values = (mixture.weight, mixture.body_mean, mixture.body_sd, mixture.tail_mean, mixture.tail_sd)
        got = ", ".join(f"{v:.3f}" for v in readings.of_mixture(mixture))
        print(f"{name}: [{', '.join(f'{v:.3f}' for v in values)}]  # read: {got} for {share_high}, {mean}, {sd}")
