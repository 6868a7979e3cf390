"""What is true of the features by construction: who causes which outcome, and who is prognostic or predictive."""

from __future__ import annotations

import pandas as pd

from immunocast.cohort.synthetic.parameters import Parameters
from immunocast.cohort.synthetic.response import RESPONSE_PARENTS, Scenario, acts_without_ici

#: Feature -> the latent mechanism that it measures, or that it is; None for none.
MECHANISM: dict[str, str | None] = {
    "tmb_mut_mb": "antigenicity",
    "pdl1_tps": "t_cell_inflammation",
    "gep_score": "t_cell_inflammation",
    "immune_phenotype": "t_cell_inflammation",
    "pdl1_ic": "t_cell_inflammation",
    "pdl1_tc": "t_cell_inflammation",
    "tgfb_score": "tgfb_exclusion",
    "exhaustion_score": "exhaustion",
    "ap_loss": "antigen_presentation_loss",
    "hla_loh": "antigen_presentation_loss",
    "albumin_g_dl": "host_inflammation",
    "nlr": "host_inflammation",
    "hemoglobin_g_dl": "host_inflammation",
    "platelets_10e9_l": "host_inflammation",
    "prior_systemic_therapy": "prior_treatment",
    "drug_class": "combination_therapy",
    "msi_status": "antigenicity",
    "fcna": None,
    "stk11_mut": None,
    "age_years": None,
    "sex": None,
    "tumor_type": None,
    "antibiotics_60d": None,
    "treatment_start_year": None,
}
OUTCOMES = ("response", "pfs", "os", "acquired_resistance", "irae", "irae_grade3")
_BLOOD = ("albumin_g_dl", "nlr", "antibiotics_60d", "stk11_mut")


def _parents(outcome: str, ici: bool, scenario: Scenario, parameters: Parameters) -> set[str]:
    """Features whose true value is an argument of the outcome's equation, beside other outcomes."""
    if outcome == "response":
        named = set(RESPONSE_PARENTS) if ici else set(acts_without_ici(scenario, parameters))
        kept = named - set(scenario.removed)
        return kept | (set() if "type_orr" in scenario.removed else {"tumor_type"})
    counts = ici or scenario.alike
    if outcome in ("irae", "irae_grade3"):
        return {"drug_class"} if ici else set()
    parents = {*_BLOOD, "tumor_type"}
    if counts:
        parents |= {"tmb_mut_mb"} if "hazard_tmb" not in scenario.removed else set()
        parents |= {"gep_score"} if "hazard_t_cells" not in scenario.removed else set()
        parents |= {"exhaustion_score", "ap_loss"}
    return parents


def truth_features(scenario: Scenario, parameters: Parameters) -> pd.DataFrame:
    """The table `truth_features`: a row an outcome and a feature.

    Returns
    -------
    outcome, feature, mechanism, parent_with_ici and parent_without_ici (the true value is an argument of the
    outcome's equation in that arm; for times: of the hazard, beside what response does), role:

    - "prognostic": acts in both arms alike (on the scale of the equation);
    - "predictive": acts with ICI only, so it tells who gains from ICI;
    - "both": acts in both arms, but not alike;
    - "none": no arrow to this outcome; it may still go with it through a mechanism.
    """
    rows = []
    for outcome in OUTCOMES:
        treated, untreated = (_parents(outcome, ici, scenario, parameters) for ici in (True, False))
        for feature, mechanism in MECHANISM.items():
            with_ici, without = feature in treated, feature in untreated
            if outcome == "response" and feature == "tumor_type" and with_ici and not scenario.alike:
                role = "both"  # what ICI adds differs between types
            else:
                role = "prognostic" if without else "predictive" if with_ici else "none"
            rows.append((outcome, feature, mechanism, int(with_ici), int(without), role))
    names = ["outcome", "feature", "mechanism", "parent_with_ici", "parent_without_ici", "role"]
    return pd.DataFrame(rows, columns=names).astype({"mechanism": "str"})
