"""Labels are made here and nowhere else: a cohort table and an endpoint's name in, y and reasons out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from immunocast.errors import ConfigError, DataError, Problem

RESPONSE_OF_BOR = {"CR": 1, "PR": 1, "SD": 0, "PD": 0}


@dataclass(frozen=True)
class Labels:
    """Labels of one endpoint.

    Attributes
    ----------
    endpoint : its name.
    y : (n,) Int64, 1 where the patient has the endpoint, <NA> where unclassifiable.
    excluded_because : (n,) str, why a patient is unclassifiable, null where y is known.
    """

    endpoint: str
    y: pd.Series
    excluded_because: pd.Series


def _response(cohort: pd.DataFrame) -> Labels:
    """Objective response: best overall response CR/PR against SD/PD; NE is excluded, never a non-response.

    `bor` decides where it is known, else the source's own `responder` flag.
    """
    y = pd.Series(pd.NA, index=cohort.index, dtype="Int64")
    bor = cohort["bor"] if "bor" in cohort else pd.Series(None, index=cohort.index, dtype="str")
    from_bor = bor.map(RESPONSE_OF_BOR).astype("Int64")
    flag = cohort.get("responder", y)
    conflict = (from_bor.notna() & flag.notna() & (from_bor != flag)).fillna(False).astype(bool)
    if conflict.any():
        ids = cohort.loc[conflict, "patient_id"].head(5).tolist()
        raise DataError(
            Problem(
                f"best overall response and responder flag contradict each other for {int(conflict.sum())} "
                f"patients, e.g. {', '.join(ids)}",
                "Map one of the two columns, or mend the coding of the responder column.",
                column="responder",
            )
        )
    y = from_bor.fillna(flag)
    not_evaluable = (bor == "NE").fillna(False).astype(bool)
    y = y.mask(not_evaluable)
    why = pd.Series("no response recorded", index=cohort.index, dtype="str")
    why = why.mask(not_evaluable, "response not evaluable (NE)").mask(y.notna(), None)
    return Labels("response", y, why)


#: Endpoint name -> the rule that makes its labels.
ENDPOINTS: dict[str, Callable[[pd.DataFrame], Labels]] = {"response": _response}


def make_labels(cohort: pd.DataFrame, endpoint: str = "response") -> Labels:
    """Label every patient of a cohort table.

    Parameters
    ----------
    cohort : (n, columns) cohort table.
    endpoint : a key of `ENDPOINTS`.

    Raises
    ------
    ConfigError
        For an unknown endpoint.
    DataError
        Where two outcome columns contradict each other.
    """
    if endpoint not in ENDPOINTS:
        raise ConfigError(f"Unknown endpoint {endpoint!r}. Known: {', '.join(ENDPOINTS)}.")
    return ENDPOINTS[endpoint](cohort)


def participant_flow(cohort: pd.DataFrame, labels: Labels) -> dict[str, object]:
    """Count who was read, who was excluded and why, and who is analysed, in all and by cohort.

    Returns
    -------
    dict with `read`, `no_endpoint` {reason: n}, `analysed`, `events` and `cohorts`, a list of
    {cohort_id, read, excluded {reason: n}, analysed, events}.
    """

    def count(rows: pd.Series) -> dict[str, object]:
        y, why = labels.y[rows], labels.excluded_because[rows]
        excluded = {str(k): int(v) for k, v in why.value_counts().sort_index().items()}
        return {
            "read": int(rows.sum()),
            "excluded": excluded,
            "analysed": int(y.notna().sum()),
            "events": int(y.sum()),
        }

    total = count(pd.Series(True, index=cohort.index))
    return {
        "read": total["read"],
        "no_endpoint": total["excluded"],
        "analysed": total["analysed"],
        "events": total["events"],
        "cohorts": [{"cohort_id": c, **count(cohort["cohort_id"] == c)} for c in sorted(cohort["cohort_id"].unique())],
    }
