"""Exact Shapley values of the true log-odds of response under ICI, in closed form.

The value of a coalition S at a patient x is the interventional one: the mean, over the background, of the log-odds
with the features in S set to x's and the others as in the background patient. The background is the reference
population: every type at its share, in no cohort (shift 0). The log-odds are sums of functions of one feature, of
one feature and the tumour type (coefficients differ in NSCLC), and of TMB, PD-L1 and type: so the values follow
from means over the background, without any sampling of coalitions, and an interaction is split equally among those
who take part in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunocast.cohort.synthetic.mechanisms import Values
from immunocast.cohort.synthetic.parameters import Parameters
from immunocast.cohort.synthetic.response import INTERACTION, Term, interaction, tmb_doublings, tps_tens


@dataclass(frozen=True)
class Background:
    """Means over the background.

    Attributes
    ----------
    terms : parent -> mean of its NSCLC form, of its other form, and of the form of each one's own type.
    nsclc : share of NSCLC.
    intercept : mean of the types' intercepts.
    slope : of the interaction, 0 where the scenario takes it away.
    moments : means of products of type (i, 1 for NSCLC), TPS (t) and TMB (d): "i", "t", "d", "it", "id", "td", "itd".
    """

    terms: dict[str, tuple[float, float, float]]
    nsclc: float
    intercept: float
    slope: float
    moments: dict[str, float]

    @property
    def base(self) -> float:
        """Mean log-odds of the background: what the values of a patient add to."""
        return self.intercept + sum(own for _, _, own in self.terms.values()) + self.slope * self.moments["itd"]


def background_of(
    values: Values,
    terms: dict[str, Term],
    intercept: np.ndarray,
    nsclc: np.ndarray,
    weight: np.ndarray,
    parameters: Parameters,
    removed: tuple[str, ...] = (),
) -> Background:
    """Means over a population.

    Parameters
    ----------
    values : output of `draw_patients`.
    terms : output of `response_terms`.
    intercept : (n,) intercept of each one's type.
    nsclc : (n,) bool.
    weight : (n,) weights, sum to 1.
    parameters : the numbers of the cohort.
    removed : effects that are 0.
    """

    def mean(x: np.ndarray) -> float:
        return float((x * weight).sum())

    i, t, d = nsclc.astype(float), tps_tens(values["pdl1_tps"]), tmb_doublings(values["tmb_mut_mb"])
    return Background(
        terms={name: (mean(x.nsclc), mean(x.other), mean(x.at(nsclc))) for name, x in terms.items()},
        nsclc=mean(i),
        intercept=mean(intercept),
        slope=0.0 if INTERACTION in removed else parameters.raw["response"]["nsclc"]["tmb_x_tps"],
        moments={
            "i": mean(i), "t": mean(t), "d": mean(d), "it": mean(i * t), "id": mean(i * d), "td": mean(t * d),
            "itd": mean(i * t * d),
        },
    )  # fmt: skip


def shapley_values(
    values: Values,
    terms: dict[str, Term],
    intercept: np.ndarray,
    shift: float,
    nsclc: np.ndarray,
    background: Background,
) -> Values:
    """Shapley values by feature.

    Parameters
    ----------
    values, terms, intercept, nsclc : as in `background_of`, of the patients to explain.
    shift : log-odds of the patients' cohort.
    background : means to explain against.

    Returns
    -------
    (n,) by feature: the terms' names, "tumor_type" and "cohort". With `background.base` they add up to the logit of
    p_response.
    """
    out: Values = {}
    kind = intercept - background.intercept
    for name, term in terms.items():
        in_nsclc, elsewhere, own = background.terms[name]
        if term.nsclc is term.other:
            out[name] = term.nsclc - own
            continue
        both = term.at(nsclc)
        alone = background.nsclc * term.nsclc + (1 - background.nsclc) * term.other  # the type is not known
        type_alone = np.where(nsclc, in_nsclc, elsewhere)
        out[name] = 0.5 * (both - type_alone) + 0.5 * (alone - own)
        kind = kind + 0.5 * (type_alone - own) + 0.5 * (both - alone)
    if background.slope:
        i, t, d = nsclc.astype(float), tps_tens(values["pdl1_tps"]), tmb_doublings(values["tmb_mut_mb"])
        m = background.moments
        none, all_three = m["itd"], i * t * d
        one = {"i": i * m["td"], "t": t * m["id"], "d": d * m["it"]}
        two = {"it": i * t * m["d"], "id": i * d * m["t"], "td": t * d * m["i"]}

        def share(of: str, first: str, second: str) -> np.ndarray:
            def pair(a: str, b: str) -> np.ndarray:
                return two.get(a + b, two.get(b + a))  # type: ignore[return-value]

            return background.slope * (
                (one[of] - none) / 3
                + (pair(of, first) - one[first]) / 6
                + (pair(of, second) - one[second]) / 6
                + (all_three - pair(first, second)) / 3
            )

        kind = kind + share("i", "t", "d")
        out["pdl1_tps"] = out["pdl1_tps"] + share("t", "i", "d")
        out["tmb_mut_mb"] = out["tmb_mut_mb"] + share("d", "i", "t")
    out["tumor_type"] = kind
    out["cohort"] = np.full(len(kind), shift)
    return out


def log_odds_of(
    values: Values, terms: dict[str, Term], nsclc: np.ndarray, parameters: Parameters, removed: tuple[str, ...] = ()
) -> Values:
    """(n,) effects by parent in each one's own type, the interaction among them."""
    effects = {name: term.at(nsclc) for name, term in terms.items()}
    effects[INTERACTION] = interaction(values, nsclc, parameters, removed)
    return effects
