"""Log-odds of response by causal parent, with and without ICI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from immunocast.cohort.synthetic.mechanisms import Values
from immunocast.cohort.synthetic.parameters import Parameters

#: Features with an effect on response of their own.
RESPONSE_PARENTS = (
    "tmb_mut_mb",
    "pdl1_tps",
    "prior_systemic_therapy",
    "albumin_g_dl",
    "nlr",
    "age_years",
    "fcna",
    "gep_score",
    "tgfb_score",
    "antibiotics_60d",
    "treatment_start_year",
    "drug_class",
    "ap_loss",
    "stk11_mut",
)

#: The interaction of TMB and PD-L1 among the terms.
INTERACTION = "tmb_x_pdl1"


@dataclass(frozen=True)
class Scenario:
    """What a scenario changes; see `scenarios` in parameters.yaml.

    Attributes
    ----------
    name : its name.
    removed : effects that are 0.
    alike : markers act in both arms.
    case_mix_tilt, site_tilt, missing_tilt, rna_batch : shifts between the first and the last cohort.
    shares : share by type, {} for the usual ones.
    at_most : cap of the number of patients, None for none.
    planted : mistakes of the first, second ... cohort.
    """

    name: str
    removed: tuple[str, ...] = ()
    alike: bool = False
    case_mix_tilt: float = 0.0
    site_tilt: float = 0.0
    missing_tilt: float = 0.0
    rna_batch: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    at_most: int | None = None
    planted: tuple[str, ...] = ()

    @classmethod
    def named(cls, name: str, parameters: Parameters) -> Scenario:
        """The scenario of this name."""
        changes: dict[str, Any] = dict(parameters.scenarios[name])
        for key in ("removed", "planted"):
            changes[key] = tuple(changes.get(key, ()))
        return cls(name, **changes)

    def share(self, parameters: Parameters) -> np.ndarray:
        """(T,) share of each type."""
        if not self.shares:
            return parameters.share
        share = np.array([self.shares.get(t, 0.0) for t in parameters.types])
        return share / share.sum()


@dataclass(frozen=True)
class Term:
    """A parent's contribution to the log-odds, (n,) each: as in NSCLC and as in the other types."""

    nsclc: np.ndarray
    other: np.ndarray

    def at(self, nsclc: np.ndarray) -> np.ndarray:
        """(n,) the contribution in each patient's own type."""
        return self.nsclc if self.nsclc is self.other else np.where(nsclc, self.nsclc, self.other)


def tmb_doublings(tmb_mut_mb: np.ndarray) -> np.ndarray:
    """log2(TMB + 1) - 3: 0 at 7 mut/Mb."""
    return np.log2(tmb_mut_mb + 1) - 3


def tps_tens(pdl1_tps: np.ndarray) -> np.ndarray:
    """TPS in steps of 10 %, 0 at 30 %."""
    return (pdl1_tps - 30) / 10


def response_terms(values: Values, parameters: Parameters, removed: tuple[str, ...] = ()) -> dict[str, Term]:
    """Log-odds contributions by parent under ICI, the interaction and the type's intercept apart.

    Parameters
    ----------
    values : output of `draw_patients`.
    parameters : the numbers of the cohort.
    removed : parents whose effect is 0 in this scenario.
    """
    r = parameters.raw["response"]
    n, pan, everybody = r["nsclc"], r["pan_cancer"], r["all"]
    zero = np.zeros(len(values["nlr"]))
    doublings, tps, nlr = tmb_doublings(values["tmb_mut_mb"]), values["pdl1_tps"], values["nlr"]
    prior, albumin = values["prior_systemic_therapy"], values["albumin_g_dl"] - 3.8
    band = np.where(tps >= 50, n["added_50_100"], np.where(tps >= 1, n["added_1_49"], 0.0))

    def everywhere(values: np.ndarray) -> Term:
        return Term(values, values)

    terms = {
        "tmb_mut_mb": Term(n["log2_tmb"] * doublings, pan["log2_tmb"] * doublings),
        "pdl1_tps": Term(n["tps_per_10"] * tps_tens(tps) + band, zero),
        "prior_systemic_therapy": Term(n["prior"] * prior, pan["prior"] * prior),
        "albumin_g_dl": Term(n["albumin"] * albumin, pan["albumin"] * albumin),
        "nlr": Term(n["nlr"] * np.minimum(nlr, 25), pan["log2_nlr"] * np.log2(nlr)),
        "age_years": Term(zero, pan["age_per_10"] * (values["age_years"] - 62) / 10),
        "fcna": Term(zero, pan["fcna"] * values["fcna"]),
        "gep_score": everywhere(everybody["gep"] * values["z_t_cell_inflammation"]),
        "tgfb_score": everywhere(everybody["tgfb"] * values["z_tgfb_exclusion"]),
        "antibiotics_60d": everywhere(everybody["antibiotics"] * values["antibiotics_60d"]),
        "treatment_start_year": everywhere(everybody["year"] * (values["treatment_start_year"] - 2017.0)),
        "drug_class": everywhere(everybody["combination"] * values["combination"]),
        "ap_loss": everywhere(everybody["ap_loss"] * values["ap_loss"]),
        "stk11_mut": Term(everybody["stk11"] * values["stk11_mut"], zero),
    }
    return {name: everywhere(zero) if name in removed else term for name, term in terms.items()}


def interaction(values: Values, nsclc: np.ndarray, parameters: Parameters, removed: tuple[str, ...] = ()) -> np.ndarray:
    """(n,) log-odds of the interaction of TMB and PD-L1; NSCLC only."""
    if INTERACTION in removed:
        return np.zeros(len(nsclc))
    slope = parameters.raw["response"]["nsclc"]["tmb_x_tps"]
    return np.where(nsclc, slope * tps_tens(values["pdl1_tps"]) * tmb_doublings(values["tmb_mut_mb"]), 0.0)


def acts_without_ici(scenario: Scenario, parameters: Parameters) -> tuple[str, ...]:
    """Parents of response in the control arm."""
    usual = parameters.raw["response"]["control"]["acts"]
    names = [*RESPONSE_PARENTS, INTERACTION] if scenario.alike else usual
    return tuple(name for name in names if name not in scenario.removed and name != "drug_class")
