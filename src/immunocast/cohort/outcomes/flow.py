"""Participant flow, as STROBE and TRIPOD ask for it: who was there, who was left out and why, who is analysed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.outcomes.follow_up import median_follow_up
from immunocast.cohort.outcomes.labels import Labels

#: Code of the findings (of severity info) that stand for rows which did not enter the cohort table, `n` of them.
DROPPED_ROWS = "IC-FILE-005"

#: Times whose median follow-up is given.
TIMES = ("os", "pfs")


def participant_flow(cohort: pd.DataFrame, labels: Labels, found: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Count who was in the source, who was left out and why, and who is analysed, in all and by cohort.

    Parameters
    ----------
    cohort : cohort table, persons linked.
    labels : of the endpoint.
    found : findings of the reader, rows of the checks table; those with `DROPPED_ROWS` count what it dropped.

    Returns
    -------
    JSON-ready dict: `source` (rows of the source), `dropped` {why the reader dropped rows: n}, `read` (patients in
    the table), `linked` (patients who are also, under another id, in another cohort), `no_endpoint` {reason: n},
    `analysed`, `events`, `flags` {what is to be told of patients: n}, `follow_up` {"os" or "pfs": {n, median_months}}
    of all patients of the endpoint's arms, and `cohorts`, a list of the same by cohort, with `cohort_id`, and
    `excluded` for `no_endpoint`.
    """
    rows = [dict(row) for row in found if (row["code"], row["severity"]) == (DROPPED_ROWS, "info") and row["n"]]
    elsewhere = _in_several_cohorts(cohort)
    of_arms = np.ones(len(cohort), dtype=bool) if labels.of_arms is None else labels.of_arms.to_numpy()

    def count(inside: np.ndarray, dropped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        y, why = labels.y[inside], labels.excluded_because[inside]
        lost: dict[str, int] = {}
        for row in dropped:
            reason = re.sub(r"^[\d,]+ rows are not read, ", "", str(row["message"]))
            lost[reason] = lost.get(reason, 0) + int(row["n"])
        return {
            "source": int(inside.sum()) + sum(lost.values()),
            "dropped": lost,
            "read": int(inside.sum()),
            "linked": int(elsewhere[inside].sum()),
            "excluded": {str(k): int(v) for k, v in why.value_counts().sort_index().items()},
            "analysed": int(y.notna().sum()),
            "events": int(y.sum()),
            "flags": {words: n for words, who in labels.flags.items() if (n := int(who[inside].sum()))},
            "follow_up": _follow_up(cohort[inside & of_arms]),
        }

    total = count(np.ones(len(cohort), dtype=bool), rows)
    names = sorted({*cohort["cohort_id"], *(str(r["cohort_id"]) for r in rows if isinstance(r["cohort_id"], str))})
    return {
        **{("no_endpoint" if key == "excluded" else key): value for key, value in total.items()},
        "cohorts": [
            {
                "cohort_id": name,
                **count((cohort["cohort_id"] == name).to_numpy(), [r for r in rows if r["cohort_id"] == name]),
            }
            for name in names
        ],
    }


def _in_several_cohorts(cohort: pd.DataFrame) -> np.ndarray:
    """(n,) bool, patients whose person is in another cohort, too."""
    return cohort.groupby("person_id")["cohort_id"].transform("nunique").gt(1).to_numpy(dtype=bool)


def _follow_up(part: pd.DataFrame) -> dict[str, dict[str, Any]]:
    found = {}
    for name in TIMES:
        if {f"{name}_months", f"{name}_event"} <= set(part):
            time = part[f"{name}_months"].to_numpy(dtype="float64")
            event = part[f"{name}_event"].to_numpy(dtype="float64", na_value=np.nan)
            if n := int((~np.isnan(time) & ~np.isnan(event)).sum()):
                found[name] = {"n": n, "median_months": median_follow_up(time, event)}
    return found


def flow_table(flow: Mapping[str, Any]) -> pd.DataFrame:
    """The flow as a table, a row a count.

    Parameters
    ----------
    flow : what `participant_flow` returns.

    Returns
    -------
    Frame with cohort_id ("all" first), step (source, not_read, read, linked, left_out, analysed, events, told,
    follow_up), reason ("" where there is none; os or pfs for follow_up), n (patients), median_months (follow_up).
    """
    rows: list[tuple[str, str, str, int, float | None]] = []

    def add(cohort_id: str, part: Mapping[str, Any], excluded: Mapping[str, int]) -> None:
        def several(step: str, counts: Mapping[str, int]) -> None:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            rows.extend((cohort_id, step, reason, n, None) for reason, n in ordered)

        rows.append((cohort_id, "source", "", part["source"], None))
        several("not_read", part["dropped"])
        rows.append((cohort_id, "read", "", part["read"], None))
        rows.append((cohort_id, "linked", "", part["linked"], None))
        several("left_out", excluded)
        rows.append((cohort_id, "analysed", "", part["analysed"], None))
        rows.append((cohort_id, "events", "", part["events"], None))
        several("told", part["flags"])
        rows.extend(
            (cohort_id, "follow_up", name, about["n"], about["median_months"])
            for name, about in part["follow_up"].items()
        )

    add("all", flow, flow["no_endpoint"])
    for part in flow["cohorts"]:
        add(str(part["cohort_id"]), part, part["excluded"])
    frame = pd.DataFrame(rows, columns=["cohort_id", "step", "reason", "n", "median_months"])
    return frame.astype({"median_months": "float64"})
