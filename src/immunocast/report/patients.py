"""Which patients the waterfall pictures show: chosen by a stated rule, never by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from immunocast.explain.patient_parts import PatientExplanation
from immunocast.report.patient_words import PatientWords, patient_words
from immunocast.report.view import RunView

#: (patient id, model, repeat) -> explanation of a held-out patient.
ExplainOne = Callable[[str, str, int], PatientExplanation]

#: kind -> what the patient is, in words of the endpoint. The names are those of files and stay for all endpoints.
KINDS = {
    "responder": "{event}",
    "non_responder": "{other}",
    "pdl1_negative": "{event}, PD-L1-negative",
}
_GROUPS = {
    "responder": "patients with the event",
    "non_responder": "patients without the event",
    "pdl1_negative": "patients with the event and PD-L1 TPS below 1 %",
}


@dataclass(frozen=True)
class Choice:
    """A chosen patient, or the reason why there is none.

    Attributes
    ----------
    row : the patient's row of the SHAP table, None where there is no such patient.
    rule : how the patient was chosen, as a sentence.
    reason : why there is none, "" where there is one.
    """

    row: pd.Series | None
    rule: str
    reason: str


def in_words(view: RunView, kind: str) -> str:
    """What a patient of a kind is, e.g. "a responder" or "a patient without durable benefit"."""
    return KINDS[kind].format(event=view.words.event, other=view.words.other)


def choose(view: RunView, kind: str) -> Choice:
    """Choose the patient whose output is the median of the group; the lower of two, ties by patient id.

    Parameters
    ----------
    view : the run.
    kind : a key of `KINDS`.

    Notes
    -----
    The median patient is typical of how the model scores the group. It need not be scored well: a rule that
    picked correct predictions would flatter the model.
    """
    values = explained_values(view)
    model = view.explained_model
    if model is None or values.empty:
        return Choice(None, "", "The run holds no SHAP values.")
    group = values[values["y_true"] == (0 if kind == "non_responder" else 1)]
    if kind == "pdl1_negative":
        cohort = view.table("cohort")
        if "pdl1_tps" not in cohort:
            return Choice(None, "", "PD-L1 TPS is in none of the cohorts.")
        negative = set(cohort.loc[cohort["pdl1_tps"] < 1, "patient_id"])
        group = group[group["patient_id"].isin(negative)]
    if group.empty:
        return Choice(None, "", f"No explained patient is in the group: {_GROUPS[kind]}.")
    group = group.sort_values(["output", "patient_id"], ignore_index=True)
    rule = (
        f"Chosen by rule: of the {len(group):,} {_GROUPS[kind]}, the one at the median of "
        f"{view.label(model)}'s output (the lower of two)."
    )
    return Choice(group.iloc[(len(group) - 1) // 2], rule, "")


def explained_values(view: RunView) -> pd.DataFrame:
    """SHAP rows of the explained model's first repeat, with `y_true`; patients without an outcome are left out."""
    shap = view.table("shap")
    shap = shap[shap["model"] == view.explained_model]
    if shap.empty:
        return shap.assign(y_true=pd.Series(dtype="int64"))
    shap = shap[shap["repeat"] == shap["repeat"].min()]
    return shap.merge(view.analysed[["patient_id", "y_true"]], on="patient_id", how="inner")


def scale_of(values: pd.DataFrame) -> str:
    """Scale on which a model's SHAP values add up, in words."""
    return str(values["output_scale"].iloc[0]) if len(values) else "log-odds"


def in_depth(view: RunView, explain: ExplainOne | None) -> dict[str, PatientWords]:
    """The chosen patients in words, by kind; none where nobody can explain them."""
    if explain is None:
        return {}
    chosen = {kind: choose(view, kind).row for kind in KINDS}
    settings = view.manifest.get("endpoint_settings")
    return {
        kind: patient_words(
            explain(str(row["patient_id"]), str(view.explained_model), int(row["repeat"])),
            settings,
        )
        for kind, row in chosen.items()
        if row is not None
    }
