"""How a job of a sweep is named and labelled among runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from immunocast.store.runfolder import RunFolder
from immunocast.tracking.labels import display_name
from immunocast.tracking.record_types import Param, Tag

#: Tags of a sweep's run and of those of its jobs: the sweep's id, which job it is, and what kind of run it is
#: ("sweep", "pipeline", and of a model "learned" or "published").
SWEEP, SWEEP_JOB, KIND = "immunocast.sweep", "immunocast.sweep_job", "kind"


def run_name(run: RunFolder) -> str:
    """The name of a run: its id; a job of a sweep is told from the others by what it sets."""
    return display_name(run, job_name(run.manifest().get("sweep")) or run.run_id)


def job_name(sweep: dict[str, Any] | None) -> str:
    """What a job of a sweep is called; "" for a run that is none.

    >>> job_name({"job": 3, "settings": {"features": "linear_tmb", "models.ridge.estimator.C": "0.1"}})
    '3: features=linear_tmb, estimator.C=0.1'
    """
    if not sweep:
        return ""
    parts = (f"{'.'.join(key.split('.')[-2:])}={value}" for key, value in sweep.get("settings", {}).items())
    return f"{sweep['job']}: {', '.join(parts) or 'as configured'}"[:200]


def clean_key(name: str) -> str:
    """A setting's name with what trackers refuse in names replaced.

    >>> clean_key("model@models.x")
    'model_models.x'
    """
    return re.sub(r"[^\w\-. :/]", "_", name).strip() or "_"


def sweep_records(run: RunFolder) -> Iterator[Param | Tag]:
    """A job of a sweep: which one, and what it sets, as parameters that runs are compared by."""
    sweep = run.manifest().get("sweep")
    if not sweep:
        return
    yield Tag(SWEEP, str(sweep["sweep_id"]))
    yield Tag(SWEEP_JOB, str(sweep["job"]))
    yield from (Param(f"sweep.{clean_key(key)}", str(value)) for key, value in sweep["settings"].items())
