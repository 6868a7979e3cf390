"""What the report picks of the tables on explanations, for figures and printed tables alike."""

from __future__ import annotations

import pandas as pd

from immunocast.cohort.outcomes import ENDPOINTS
from immunocast.report import text
from immunocast.report.view import RunView

#: Measures of recovered truth in reading order, in words. Those with an ideal of 1 share an axis.
TRUTH_METRICS = {
    "importance_rank_correlation": "Order of importances",
    "parent_precision": "Causes among the first",
    "parent_average_precision": "Causes first, average precision",
    "parent_auroc": "Causes first, AUROC",
    "feature_correlation": "Values of a cause over patients",
    "sign_agreement": "Direction for a patient",
    "patient_correlation": "Order within a patient",
    "patient_correlation_measured": "Order within a patient, measured only",
    "first_reason": "First reason of a patient",
    "first_reason_measured": "First reason of a patient, measured only",
    "predictive_share": "Share of predictive features",
    "prognostic_share": "Share of prognostic features",
    "proxy_share": "Share of proxies",
    "noise_share": "Share of noise",
    "attribution_unmeasured": "Share of values not measured",
    "cause_unmeasured": "True share not measured",
    "total_attribution": "Everything attributed",
}
#: Stratum of the table discordant -> whether it is of those who did well, and what both sides have in common.
STRATA = {
    "pdl1_low_responders": (True, "PD-L1 TPS below 1 %"),
    "pdl1_high_non_responders": (False, "PD-L1 TPS of 50 % or more"),
}
_SOURCES = ("refits", "cohorts", "folds", "repeats")
METHODS = {"shap": "SHAP", "permutation": "Permutation", "drop_column": "Drop-column"}


def _first_model(view: RunView, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the explained model, or of the first model that has some."""
    present = set(frame["model"])
    chosen = next((m for m in (view.explained_model, *view.order) if m in present), None)
    return frame[frame["model"] == chosen]


def stability_rows(view: RunView) -> pd.DataFrame:
    """Rows of importance_stability that are shown: of one model."""
    return _first_model(view, view.table("importance_stability"))


def stability_sources(frame: pd.DataFrame) -> list[str]:
    """Sources of draws in reading order."""
    return [s for s in _SOURCES if (frame["source"] == s).any()]


def agreement_rows(view: RunView) -> pd.DataFrame:
    """Rows of agreement that are shown: between models, and of one model between cohorts and between methods."""
    frame = view.table("agreement")
    parts = [frame[frame["between"] == "models"]]
    parts += [_first_model(view, frame[frame["between"] == kind]) for kind in ("cohorts", "methods")]
    return pd.concat(parts, ignore_index=True)


def agreement_name(view: RunView, between: str, name: str) -> str:
    """What one of the two that are compared is called."""
    if between == "models":
        return view.label(name)
    return str(name) if between == "cohorts" else METHODS.get(name, text.sentence(text.humanise(name)))


def truth_name(metric: str) -> str:
    """What a measure of recovered truth is called."""
    return TRUTH_METRICS.get(metric, text.sentence(text.humanise(metric)))


def interacting_model(view: RunView) -> str | None:
    """The model whose interactions are shown: the explained one where it has any, else the first that has."""
    frame = view.table("interactions")
    present = set(frame.loc[frame["mean_abs_interaction"] > 0, "model"])
    return next((m for m in (view.explained_model, *view.order) if m in present), None)


def discordant_rows(view: RunView, stratum: str) -> pd.DataFrame:
    """Rows of a stratum under the explained model, strongest first."""
    frame = _first_model(view, view.table("discordant"))
    return frame[frame["stratum"] == stratum].sort_values(["rank", "feature"])


def discordant_words(view: RunView, stratum: str, n: int, n_reference: int) -> str:
    """Whom a stratum compares, in words of the endpoint."""
    words, found = view.words, ENDPOINTS.get(view.endpoint)
    of_well, band = STRATA[stratum]
    # where the event is bad, those without it did well
    whom, against = (words.events, words.others)[:: 1 if of_well else -1]
    if found is not None and found.markers == "reversed":
        whom, against = against, whom
    return f"{text.sentence(whom)} ({_n(n)}) against {against} ({_n(n_reference)}), all with {band}"


def _n(n: int) -> str:
    """A count that stays on one line."""
    return f"n = {n:,}".replace(" ", "\N{NO-BREAK SPACE}")


def why_no_discordant(view: RunView) -> str:
    """Reason why discordant patients are not compared, "" where they are."""
    if len(view.table("discordant")):
        return ""
    found = ENDPOINTS.get(view.endpoint)
    if found is None or found.markers == "unknown":
        return "What PD-L1 says of response does not carry over to this endpoint: nobody is called discordant."
    return "PD-L1 TPS is known for nobody, or no model was explained."
