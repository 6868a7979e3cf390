"""Waivers: a finding that somebody has looked at, with the reason why it is no ground to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from immunocast.cohort.checks.findings import finding
from immunocast.cohort.checks.registry import CHECKS, Check, register
from immunocast.errors import ConfigError

register(
    [
        Check(
            "IC-WAIVE-001", "info", "a waiver concerns no finding",
            "A waiver of the configuration names a check that found nothing in this cohort.",
            "A waiver that outlives its finding hides the next one.",
            "Remove it, or see whether code, column and cohort are spelt as in the finding.",
            "A key of `waive` that matches no finding.",
        ),
    ]
)  # fmt: skip

Waive = Mapping[str, str]


def apply_waivers(
    found: Sequence[Mapping[str, Any]],
    waive: Waive | None,
    by_cohort: Mapping[str, Waive] | None = None,
    *,
    tell_unused: bool = False,
) -> list[dict[str, Any]]:
    """Mark findings as waived.

    Parameters
    ----------
    found : findings.
    waive : code, or "code:column", or "code:cohort", -> the reason, which is required; None waives nothing.
    by_cohort : cohort id -> such waivers, for findings of that cohort; a finding that concerns no single cohort is
        waived where all cohorts of `by_cohort` waive it.
    tell_unused : add a finding IC-WAIVE-001 for each waiver that concerns nothing.

    Raises
    ------
    ConfigError
        For an unknown code or an empty reason.
    """
    waive, by_cohort = waive or {}, {c: w or {} for c, w in (by_cohort or {}).items()}
    _check(waive, "checks.waive")
    for cohort_id, own in by_cohort.items():
        _check(own, f"cohort {cohort_id}: waive")
    used: set[str] = set()
    out = []
    for row in found:
        keys = (row["code"], f"{row['code']}:{row['column']}", f"{row['code']}:{row['cohort_id']}")
        reason = _first(waive, keys)
        if reason is None and row["cohort_id"] in by_cohort:
            reason = _first(by_cohort[row["cohort_id"]], keys)
        if reason is None and row["cohort_id"] is None and by_cohort:
            reasons = [_first(own, keys) for own in by_cohort.values()]
            reason = reasons[0] if all(reasons) else None
        if reason is not None:
            used.update(keys)
        out.append({**row, "waived_because": reason})
    if tell_unused:
        everywhere = dict.fromkeys([*waive, *(key for own in by_cohort.values() for key in own)])
        out += [
            finding("IC-WAIVE-001", "info", f"The waiver {key} concerns no finding.")
            for key in everywhere
            if key not in used
        ]
    return out


def _first(waive: Waive, keys: tuple[str, ...]) -> str | None:
    return next((str(waive[k]) for k in keys if k in waive), None)


def _check(waive: Waive, where: str) -> None:
    if not isinstance(waive, Mapping):
        raise ConfigError(f"{where} must be a mapping of check codes to reasons, not {waive!r}.")
    strange = [key for key in waive if str(key).split(":", 1)[0] not in CHECKS]
    if strange:
        raise ConfigError(f"{where}.{strange[0]}: there is no such check. Codes: {', '.join(sorted(CHECKS))}.")
    empty = [code for code, reason in waive.items() if not str(reason or "").strip()]
    if empty:
        raise ConfigError(f"{where}.{empty[0]} needs a reason: a waiver without one is not a waiver.")
