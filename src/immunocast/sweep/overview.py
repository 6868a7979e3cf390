"""The sweeps of a folder, and the jobs of one, as frames."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from immunocast.errors import NotFoundError
from immunocast.sweep.folder import DONE, FAILED, SweepFolder


def list_sweeps(sweeps: Path) -> list[SweepFolder]:
    """The sweeps of a folder, oldest first."""
    found = [SweepFolder(path.parent) for path in sweeps.glob("*/sweep.json")]
    return sorted(found, key=lambda sweep: (str(sweep.about().get("created")), sweep.sweep_id))


def sweeps_table(sweeps: Path) -> pd.DataFrame:
    """A row a sweep: id, when it began (UTC), kind, and how many of its jobs are done, failed, running or known."""
    rows = []
    for sweep in list_sweeps(sweeps):
        about, states = sweep.about(), sweep.states()
        rows.append(
            {
                "sweep": sweep.sweep_id,
                "created": str(about.get("created", ""))[:16].replace("T", " "),
                "kind": about.get("kind", ""),
                "jobs": len(states),
                "done": sum(s.status == DONE for s in states),
                "failed": sum(s.status == FAILED for s in states),
                "running": sum(sweep.still_running(s.number) is not None for s in states),
            }
        )
    return pd.DataFrame(rows, columns=["sweep", "created", "kind", "jobs", "done", "failed", "running"])


def jobs_table(sweeps: Path, name: str) -> pd.DataFrame:
    """A row a job of one sweep: number, status, settings, seconds, run id, error.

    Parameters
    ----------
    sweeps : the folder of sweeps.
    name : a sweep's id, an unambiguous beginning of it, or "latest".

    Raises
    ------
    NotFoundError
        Where there is no such sweep, or several.
    """
    known = {sweep.sweep_id: sweep for sweep in list_sweeps(sweeps)}
    if not known:
        raise NotFoundError(f"There is no sweep in {sweeps.absolute()}. Sweeps elsewhere: --sweeps-dir.")
    matching = [key for key in known if key.startswith(name)]
    found = [list(known)[-1]] if name == "latest" else [name] if name in known else matching
    if len(found) != 1:
        why = f"{len(found)} sweeps begin with" if found else "There is no sweep"
        raise NotFoundError(f"{why} {name!r}. The latest are: {', '.join(list(known)[-5:])}.")
    sweep = known[found[0]]
    rows = [
        {
            "job": state.number,
            "status": "running" if sweep.still_running(state.number) else state.status,
            "settings": state.title,
            "seconds": state.seconds,
            "run": Path(state.run).name if state.run else "",
            "error": state.error,
        }
        for state in sweep.states()
    ]
    return pd.DataFrame(rows, columns=["job", "status", "settings", "seconds", "run", "error"])
