"""Event flags: inverted, constant, or known for the deceased only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from scipy.stats import binom, norm

from immunocast.cohort.checks.findings import Part
from immunocast.cohort.checks.registry import Check, register
from immunocast.cohort.checks.stats import MIN_CLASS, auroc, difference_z
from immunocast.cohort.vocabulary import label

register(
    [
        Check(
            "IC-FLAG-001", "error", "an event flag is inverted",
            "0 seems to mean event and 1 censored: the longest followed have the events, responders have more of them "
            "than non-responders, or the patients with PD have none.",
            "Survival curves, hazards, durable benefit and resistance come out upside down.",
            "State the coding in the mapping: `pfs_event: {source: ..., coding: {0: 1, 1: 0}}`.",
            "Evidence is added up as signed z values, each limited to 6 either way: event by response; event by time "
            "(patients with events have shorter times); for PFS, the share of events among patients with PD, and "
            "among the "
            "deceased, against one half; for OS, the share of deaths among patients without a PFS event against one "
            "half. Fires at a sum "
            "of 6 against the flag with one piece of evidence of 4 or more; or where time alone says so with AUROC "
            ".65 and z of 4. Time is no evidence where the source spells the status in words like DECEASED or "
            "PROGRESSED: where entry is staggered and deaths are few, those who died were followed longer.",
        ),
        Check(
            "IC-FLAG-002", "warning", "patients with PD or deceased have no PFS event",
            "Progression as best response is an event of PFS, and so is death. These patients are flagged as "
            "censored.",
            "They count as free of progression.",
            "Look at the patients listed; mend the flag, or leave PFS out where it means something else.",
            "More of the patients with PD, or of the deceased, than 3 % (binomial, p < .001), three at least. Riaz "
            "2017 and Liu 2019 "
            "have up to 7 % of the deceased, censored for another therapy.",
        ),
        Check(
            "IC-FLAG-004", "info", "single patients who progressed or died without a PFS event",
            "PD as best response, or death at the end of PFS, is an event of PFS; these few patients are flagged as "
            "censored. Too few for IC-FLAG-002.",
            "They count as free of progression.",
            "Look at the patients listed in the source.",
            "One patient or more with PD and pfs_event 0, or dead at the time at which PFS ends (within 0.05 months) "
            "with pfs_event 0, where neither IC-FLAG-001 nor IC-FLAG-002 tells of such patients.",
        ),
        Check(
            "IC-FLAG-005", "warning", "best response is the same for everybody",
            "All patients have the same best overall response.",
            "Response can't be predicted, and no check of times and flags can lean on it.",
            "Look at the source column and its coding; leave `bor` out where it is a constant.",
            "20 patients or more with a known best response, NE apart.",
        ),
        Check(
            "IC-FLAG-003", "warning", "an event flag is the same for everybody",
            "All patients have the event, or nobody has.",
            "Without censored patients times are those of the dead; without events nothing can be estimated.",
            "Look at the source column; map the column of the status.",
            "20 patients or more known. Told of PFS only where not everybody is dead.",
        ),
        Check(
            "IC-SURV-002", "error", "overall survival is known for the deceased only",
            "Nobody alive has a follow-up time: OS is missing exactly where the patient lives.",
            "Every survival estimate made of it is far too short, by an unknown amount.",
            "Rebuild the times from dates of last contact, or leave the columns out.",
            "20 patients with known OS, all of them (98 %) dead, while OS is missing for at least 5 % of the "
            "patients, or 3; or OS "
            "missing for half of those alive and more often than for the dead (z of 5).",
        ),
        Check(
            "IC-SURV-005", "warning", "times are missing more often for patients without the event",
            "Follow-up was not recorded for part of the patients alive (or free of progression).",
            "Who is left is sicker than the cohort: survival estimates are too short.",
            "Rebuild the times from dates of last contact.",
            "Three patients or more without the event lack the time, more often than those with it (z of 4); 10 "
            "patients of each kind.",
        ),
        Check(
            "IC-SURV-006", "error", "progression-free survival is known for the progressed only",
            "Nobody who is free of progression has a follow-up time.",
            "Every estimate made of it is far too short; durable benefit can't be told.",
            "Fill in the time of last contact for the others (`coalesce:` in the mapping).",
            "As IC-SURV-002, for PFS.",
        ),
    ]
)  # fmt: skip

_LIMIT = 6.0


def check_flags(part: Part) -> Iterator[dict[str, Any]]:
    """Findings on the event flags of one cohort."""
    progressed = part.number("pfs_event")
    constant = _constant_response(part)
    if constant is not None:
        yield constant
    for flag, time, code in (("pfs_event", "pfs_months", "IC-SURV-006"), ("os_event", "os_months", "IC-SURV-002")):
        one_sided = _events_only(part, time, flag, code)
        if one_sided is not None:
            yield one_sided
        event = part.number(flag)
        known = ~np.isnan(event)
        if known.sum() >= 20 and len(np.unique(event[known])) == 1:
            what = "1 (event)" if event[known][0] == 1 else "0 (censored)"
            # death is an event of PFS: where all are dead, the flag of OS tells
            follows = flag == "pfs_event" and event[known][0] == 1 and (part.number("os_event")[known] == 1).all()
            if one_sided is None and not follows:
                words = f"{label(flag)} is {what} for all {int(known.sum())} patients."
                yield part.found("IC-FLAG-003", words, flag, n=int(known.sum()))
        evidence = _evidence(part, flag, time, progressed)
        if _is_inverted(evidence):
            progressed = 1 - progressed if flag == "pfs_event" else progressed
            words = (
                f"{label(flag)} seems inverted (0 = event): "
                + "; ".join(w for _, w in evidence if w)
                + f". If 1 means censored, map `{flag}: {{source: ..., coding: {{0: 1, 1: 0}}}}`."
            )
            yield part.found("IC-FLAG-001", words, flag, n=int(known.sum()))
        elif flag == "pfs_event":
            yield from _progressed_without_event(part, event)


def _evidence(part: Part, flag: str, time: str, progressed: np.ndarray) -> list[tuple[float, str]]:
    """Signed z (below 0: inverted) and words for what speaks for inversion; `progressed` is the right PFS flag."""
    event, times, response = part.number(flag), part.number(time), part.response
    known = ~np.isnan(event)
    found: list[tuple[float, str]] = []

    def compare(expected_more: np.ndarray, expected_fewer: np.ndarray, words: str) -> None:
        a, b = known & expected_more, known & expected_fewer
        z = difference_z(int(event[a].sum()), int(a.sum()), int(event[b].sum()), int(b.sum()))
        if min(a.sum(), b.sum()) >= 5:
            said = words.format(a=event[a].mean(), b=event[b].mean()) if z < -2 else ""
            found.append((float(np.clip(z, -_LIMIT, _LIMIT)), said))

    compare(response == 0, response == 1, "{b:.0%} of responders but {a:.0%} of non-responders have the event")
    timed = known & ~np.isnan(times)
    events, others = int(event[timed].sum()), int((1 - event[timed]).sum())
    # words like DECEASED can't be coded the wrong way round, and in a young cohort the deceased entered earlier
    if min(events, others) >= 5 and flag not in part.spelled:
        area = auroc(times[timed], event[timed])
        z = (0.5 - area) * np.sqrt(12 * events * others / (events + others + 1))
        # AUROC alone is strong enough when it is far off; time_alone below needs it
        said = f"patients with the event were followed longer (AUROC {area:.2f})" if z < -2 else ""
        found.append((float(np.clip(z, -_LIMIT, _LIMIT)), said))
        if area >= 0.65 and z <= -4:
            found.append((-_LIMIT / 3, ""))
    if flag == "pfs_event":
        for who, group in (
            ("patients with PD", part.with_pd()),
            ("deceased", part.number("os_event") == 1),
        ):
            inside = known & group
            if inside.sum() >= 5:
                z = _against_half(int(event[inside].sum()), int(inside.sum()))
                found.append((z, f"only {event[inside].mean():.0%} of the {who} have the event" if z < -2 else ""))
    else:
        free = known & (progressed == 0)
        if free.sum() >= 5:
            z = -_against_half(int(event[free].sum()), int(free.sum()))
            found.append((z, f"{event[free].mean():.0%} of those without a PFS event died" if z < -2 else ""))
    return found


def _against_half(events: int, n: int) -> float:
    """Signed z of a share against one half, exact; PD as best response is an event of PFS by definition."""
    if events * 2 >= n:
        return float(np.clip(norm.isf(binom.sf(events - 1, n, 0.5)), 0, _LIMIT))
    return float(-np.clip(norm.isf(binom.cdf(events, n, 0.5)), 0, _LIMIT))


def _is_inverted(evidence: list[tuple[float, str]]) -> bool:
    z = [e for e, _ in evidence]
    return bool(z) and sum(z) <= -6 and min(z) <= -4 and max(z) < 3.5


def _constant_response(part: Part) -> dict[str, Any] | None:
    only = part.only_response()
    if only is None:
        return None
    words = f"{label('bor')} is {only} for all patients in whom it is known."
    return part.found("IC-FLAG-005", words, "bor", mask=part.text("bor").notna().to_numpy(dtype=bool))


def _progressed_without_event(part: Part, event: np.ndarray) -> Iterator[dict[str, Any]]:
    dead = part.number("os_event") == 1
    at_once = dead & (np.abs(part.number("pfs_months") - part.number("os_months")) <= 0.05)
    groups = {"patients with PD as best response": part.with_pd(), "deceased patients": dead}
    told = np.zeros(len(event), dtype=bool)
    for name, group in groups.items():
        all_ = group & ~np.isnan(event)
        without = all_ & (event == 0)
        k, n = int(without.sum()), int(all_.sum())
        if k >= 3 and binom.sf(k - 1, n, 0.03) < 1e-3:
            words = f"{k} of {n} {name} have no PFS event ({label('pfs_event')} is 0)."
            yield part.found("IC-FLAG-002", words, "pfs_event", mask=without)
            told |= without
    with_pd = groups["patients with PD as best response"] & (event == 0) & ~told
    died = at_once & (event == 0) & ~told & ~with_pd
    if with_pd.any() or died.any():
        counts = ((with_pd, "with PD as best response"), (died, "dead at the time at which PFS ends"))
        who = " and ".join(f"{int(mask.sum())} {what}" for mask, what in counts if mask.any())
        words = f"Patients without a PFS event ({label('pfs_event')} is 0): {who}."
        yield part.found("IC-FLAG-004", words, "pfs_event", mask=with_pd | died)


def _events_only(part: Part, time: str, flag: str, code: str) -> dict[str, Any] | None:
    """Whether a time is given for patients with the event only."""
    if time not in part.frame or flag not in part.frame:
        return None
    times, event = part.number(time), part.number(flag)
    kind = known_for_events_only(times, event)
    if kind is None:
        return None
    who, rest = ("the deceased", "those alive") if flag == "os_event" else ("the progressed", "those censored")
    timed = ~np.isnan(times)
    complete = timed & ~np.isnan(event)
    missing = int((~timed).sum())
    if kind == "all":
        words = (
            f"{label(time)} is known for {int(complete.sum())} patients, of whom {event[complete].mean():.0%} have the "
            f"event, and missing for {missing}: it is given for {who} only."
        )
        return part.found(code, words, time, n=missing)
    free, had = event == 0, event == 1
    gone_free, gone_had = int((free & ~timed).sum()), int((had & ~timed).sum())
    words = (
        f"{label(time)} is missing for {gone_free} of {int(free.sum())} patients without the event ({rest}) and "
        f"for {gone_had} of {int(had.sum())} with it."
    )
    return part.found(code if kind == "half" else "IC-SURV-005", words, time, n=gone_free)


def known_for_events_only(times: np.ndarray, event: np.ndarray) -> Literal["all", "half", "some"] | None:
    """Whether times are missing where there is no event.

    Parameters
    ----------
    times, event : (n,) of one cohort, NaN where unknown.

    Returns
    -------
    "all" where times are known for patients with the event only, "half" where they are missing for half of those
    without it or more, "some" where for part of them; None where they are not, or too few patients tell.
    """
    timed = ~np.isnan(times)
    complete = timed & ~np.isnan(event)
    n, missing = int(complete.sum()), int((~timed).sum())
    if n >= 20 and event[complete].mean() >= 0.98 and missing >= max(3, 0.05 * len(times)):
        return "all"
    free, had = event == 0, event == 1
    gone_free, gone_had = int((free & ~timed).sum()), int((had & ~timed).sum())
    if min(free.sum(), had.sum()) < MIN_CLASS or gone_free < 3:
        return None
    z = difference_z(gone_free, int(free.sum()), gone_had, int(had.sum()))
    half = gone_free >= free.sum() / 2
    if z < (5 if half else 4):
        return None
    return "half" if half else "some"
