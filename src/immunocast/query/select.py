"""Which runs a question is about: by id, by date, by cohort."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from immunocast.errors import ConfigError, NotFoundError
from immunocast.store.runfolder import RunFolder, find_run, list_runs

_STAMP = re.compile(r"^(\d{8}T\d{6})(\d{3})?Z")


def runs_folder(runs_dir: str | Path | None) -> Path:
    """The folder of the runs: as given, else IMMUNOCAST_RUNS, else `runs`."""
    return Path(runs_dir if runs_dir is not None else os.environ.get("IMMUNOCAST_RUNS", "runs"))


def select(
    runs_dir: str | Path | None = None,
    run: str | Sequence[str] | None = None,
    since: str | date | None = None,
    cohort: str | Sequence[str] | None = None,
) -> list[RunFolder]:
    """Choose finished runs; the conditions hold together.

    Parameters
    ----------
    runs_dir : folder of the runs; None for IMMUNOCAST_RUNS, else `runs`.
    run : id, its beginning, or "latest"; several of them; None for all.
    since : first day (or instant) of the runs, ISO 8601; without a zone: UTC.
    cohort : names of cohorts, or of datasets: runs that hold one of them.

    Returns
    -------
    Run folders, oldest first, at least one. Only the manifests of runs are read, and only where `cohort` asks for it.

    Raises
    ------
    NotFoundError
        Where there is no run, or none that meets the conditions.
    ConfigError
        For a date that is none.
    """
    folder = runs_folder(runs_dir)
    wanted = [run] if isinstance(run, str) else list(run or [])
    if wanted:
        named = {found.path: found for found in (find_run(folder, r) for r in wanted)}
        chosen = [named[path] for path in sorted(named)]
    else:
        find_run(folder)  # raises, and says what to do, where there is none
        chosen = list_runs(folder)
    if since is not None:
        chosen = _since(chosen, since)
    return _of_cohort(chosen, [cohort] if isinstance(cohort, str) else list(cohort)) if cohort else chosen


def run_time(run: RunFolder) -> datetime | None:
    """When a run began: from its id, else when it was written; None where neither says."""
    found = _STAMP.match(run.path.name)
    try:
        if found:
            return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        created = manifest_of(run).get("created")
        moment = datetime.fromisoformat(created) if created else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def manifest_of(run: RunFolder) -> dict[str, Any]:
    """A run's manifest, or a clear error where its files are damaged."""
    try:
        return run.manifest()
    except ValueError as error:
        raise NotFoundError(
            f"The manifest of run {run.path.name} can't be read ({error}). Restore {run.path}, move it away, or "
            "choose other runs with --run."
        ) from error


def cohorts_of(run: RunFolder) -> list[str]:
    """Name of the run's dataset and of the cohorts in it."""
    about = manifest_of(run)
    names = [
        about.get("provenance", {}).get("name"),
        *(c["cohort_id"] for c in about.get("flow", {}).get("cohorts", [])),
    ]
    return list(dict.fromkeys(str(n) for n in names if n))


def _since(runs: list[RunFolder], since: str | date) -> list[RunFolder]:
    moment = _instant(since)
    times = {run.path: run_time(run) for run in runs}
    chosen = [run for run in runs if (t := times[run.path]) is not None and t >= moment]
    if not chosen:
        newest = max((t for t in times.values() if t is not None), default=None)
        tells = f"the newest is of {newest:%Y-%m-%d %H:%M} UTC" if newest else "their dates are not known"
        raise NotFoundError(f"No run since {since}: of {len(runs)}, {tells}.")
    return chosen


def _instant(since: str | date) -> datetime:
    try:
        moment = datetime.fromisoformat(since) if isinstance(since, str) else since
    except ValueError:
        raise ConfigError(f"{since!r} is no date. Write it as 2026-01-31, or 2026-01-31T12:00.") from None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _of_cohort(runs: list[RunFolder], cohorts: list[str]) -> list[RunFolder]:
    known = {run.path: cohorts_of(run) for run in runs}
    chosen = [run for run in runs if set(known[run.path]) & set(cohorts)]
    absent = [c for c in cohorts if not any(c in names for names in known.values())]
    if absent:
        there = sorted({name for names in known.values() for name in names})
        raise NotFoundError(f"No run holds a cohort {absent[0]!r}. Cohorts: {', '.join(there) or 'none'}.")
    return chosen
