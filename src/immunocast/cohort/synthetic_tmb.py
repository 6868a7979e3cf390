"""TMB of synthetic patients: a two-component log-normal by tumour type, body and hypermutated tail.

`python -m immunocast.cohort.synthetic_tmb` fits the mixtures anew and prints them as they stand in
`synthetic_parameters.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    def mean_sd(self) -> tuple[float, float]:
        """Mean and standard deviation of ln TMB."""
        gap = self.tail_mean - self.body_mean
        mean = self.body_mean + self.weight * gap
        within = (1 - self.weight) * self.body_sd**2 + self.weight * self.tail_sd**2
        return mean, float(np.sqrt(within + self.weight * (1 - self.weight) * gap**2))

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


def fit_mixture(mean: float, sd: float, share_high: float, least_weight: float = 0.0) -> TmbMixture:
    """Mixture that meets the share with TMB >= 10 first, then mean and sd of ln TMB.

    Three figures do not settle five parameters: weak preferences (a small tail about 1.5 above the body,
    sds not far from the given one) settle the rest.

    Parameters
    ----------
    mean, sd : of ln TMB.
    share_high : share with TMB >= 10 mut/Mb.
    least_weight : lower bound of the tail's weight, for types with MSI-high tumours.

    Returns
    -------
    The fitted mixture.
    """
    from scipy.optimize import least_squares

    start_weight = float(np.clip(max(share_high / 2, least_weight * 1.1), 0.02, 0.5))

    def build(x: np.ndarray) -> TmbMixture:
        return TmbMixture(x[0], x[1], np.exp(x[2]), x[1] + x[3], np.exp(x[4]))

    def residuals(x: np.ndarray) -> list[float]:
        mixture = build(x)
        got_mean, got_sd = mixture.mean_sd()
        return [
            (mixture.share_high() - share_high) / 0.002,
            (got_mean - mean) / 0.03,
            (got_sd - sd) / 0.03,
            (x[0] - start_weight) / 0.2,
            (x[3] - 1.5) / 0.5,
            (x[2] - np.log(0.8 * sd)) / 0.4,
            (x[4] - np.log(0.6)) / 0.3,
        ]

    start = [start_weight, mean - 1.5 * start_weight, np.log(0.8 * sd), 1.5, np.log(0.6)]
    bounds = ([max(0.005, least_weight), -3, -2, 0.3, -1.5], [0.6, 4, 1, 3.5, 0.5])
    start = list(np.clip(start, np.array(bounds[0]) + 1e-6, np.array(bounds[1]) - 1e-6))
    return build(least_squares(residuals, start, bounds=bounds).x)


def main() -> None:
    """Print the fitted mixture of every type."""
    from immunocast.cohort.synthetic_parameters import load_parameters

    for name, row in load_parameters().raw["types"].items():
        mean, sd, share_high = row["tmb"]
        mixture = fit_mixture(mean, sd, share_high, least_weight=row["msi"])
        values = (
            mixture.weight,
            mixture.body_mean,
            mixture.body_sd,
            mixture.tail_mean,
            mixture.tail_sd,
        )
        print(f"{name}: [{', '.join(f'{v:.3f}' for v in values)}]")


if __name__ == "__main__":
    main()
