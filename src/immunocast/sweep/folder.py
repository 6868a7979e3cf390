"""The folder of a sweep: a state file a job, so that a sweep that was stopped goes on.

    sweeps/<id>/sweep.json            what the sweep is
    sweeps/<id>/jobs/003.json         what became of a job (`JobState`)
    sweeps/<id>/jobs/003.started.json written by the job's process: its run id, and who it is
    sweeps/<id>/jobs/003.log          what it printed
    sweeps/<id>/errors/003.txt        why it failed: message, settings, traceback
    sweeps/<id>/optuna.log            the trials in Optuna's journal (Optuna sweeps)
    sweeps/<id>/results.csv, results.parquet, summary.md

The folder is where the truth about a sweep lies; MLflow holds the published copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from immunocast.errors import ConfigError
from immunocast.store.runfolder import RunFolder
from immunocast.sweep.jobs import title_of
from immunocast.tracking import process

WAITING, DONE, FAILED, STOPPED = "waiting", "done", "failed", "stopped"


@dataclass(frozen=True)
class JobState:
    """What became of a job.

    Attributes
    ----------
    number, digest, words, settings, params : see `jobs.Job`.
    status : waiting, done, failed, or stopped (the sweep ended before the job did).
    run : path of its run folder, absolute; None where there is none.
    same_as : number of the earlier job that was the same run (Optuna may propose settings twice).
    seconds : wall time of the job's process.
    exit_code : of the process; negative: the signal that ended it.
    error : the first lines of why it failed.
    source_digest : of the code that ran.
    """

    number: int
    digest: str
    words: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    status: str = WAITING
    run: str | None = None
    same_as: int | None = None
    seconds: float | None = None
    exit_code: int | None = None
    error: str = ""
    source_digest: str | None = None

    @property
    def title(self) -> str:
        """What the job sets, in a line."""
        return title_of(self.settings)

    @property
    def run_folder(self) -> RunFolder | None:
        """The run folder, None where it is not there."""
        if self.run is None or not (Path(self.run) / "manifest.json").is_file():
            return None
        return RunFolder(Path(self.run))


@dataclass(frozen=True)
class SweepFolder:
    """A sweep's folder on disk."""

    path: Path

    @property
    def sweep_id(self) -> str:
        """The sweep's id: the folder's name."""
        return self.path.name

    def about(self) -> dict[str, Any]:
        """What the sweep is; {} before it began."""
        return _read(self.path / "sweep.json")

    def write_about(self, **content: Any) -> None:
        """Keep what the sweep is."""
        write_json(self.path / "sweep.json", content)

    def log_path(self, number: int) -> Path:
        """Where a job's output goes."""
        return self.path / "jobs" / f"{number:03d}.log"

    def error_path(self, number: int) -> Path:
        """Where a job says why it failed."""
        return self.path / "errors" / f"{number:03d}.txt"

    def started_path(self, number: int) -> Path:
        """Where a job's process says who it is."""
        return self.path / "jobs" / f"{number:03d}.started.json"

    def write_state(self, state: JobState) -> None:
        """Keep what became of a job: the whole file or none of it."""
        write_json(self.path / "jobs" / f"{state.number:03d}.json", asdict(state))

    def states(self) -> list[JobState]:
        """What became of the jobs, in order."""
        known = {f.name for f in fields(JobState)}
        found = []
        for path in sorted((self.path / "jobs").glob("*.json")):
            if path.stem.isdecimal():
                plain = {k: v for k, v in _read(path).items() if k in known}
                found.append(JobState(**{**plain, "words": tuple(plain.get("words", ()))}))
        return sorted(found, key=lambda state: state.number)

    def settle(self, state: JobState, *, adopt: bool = True) -> JobState:
        """What is true of a job whose state says something else, after a sweep was killed.

        A run that was sealed counts, also where nobody noted it; a run folder that was left half made is removed.
        A done job whose run folder is gone is to be done again.
        """
        if state.status == DONE and state.same_as is None and state.run_folder is None:
            state = replace(state, status=WAITING, run=None, seconds=None, exit_code=None)
        if state.status == DONE:
            return state
        started = _read(self.started_path(state.number))
        if not started:
            return state
        run = RunFolder(Path(started["runs"]) / started["run_id"])
        if (run.path / "manifest.json").is_file() and adopt:
            return replace(
                state,
                status=DONE,
                run=str(run.path),
                error="",
                source_digest=(run.manifest().get("code") or {}).get("source_digest"),
            )
        shutil.rmtree(run.path.with_name(f".{run.path.name}.unfinished"), ignore_errors=True)
        return state

    def still_running(self, number: int) -> str | None:
        """Identity of the process that still works on a job, None where there is none."""
        who = _read(self.started_path(number)).get("process")
        return who if who and process.is_alive(who) else None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the sweep for this process.

        Raises
        ------
        ConfigError
            Where another process holds it.
        """
        with process.try_lock(self.path / ".lock") as held:
            if not held:
                raise ConfigError(
                    f"This sweep is being run by another process: {self.path} is held. Wait for it, or end it; the "
                    "same command then goes on where it stopped."
                )
            yield


def find_folder(sweeps: Path, name: str, digest: str, *, fresh: bool) -> SweepFolder:
    """The folder of a sweep: the latest of its kind, or the next one where it is to begin anew.

    >>> find_folder(Path("/nowhere"), "features x seed", "12ab34cd", fresh=False).sweep_id
    'features_x_seed-12ab34cd'
    """
    safe = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40] or "sweep"
    first = f"{safe}-{digest}"
    taken = {1} if (sweeps / first).is_dir() else set()
    for path in sweeps.glob(f"{first}-*"):
        end = path.name.removeprefix(f"{first}-")
        if end.isdecimal():
            taken.add(int(end))
    latest = max(taken, default=0)
    number = latest + 1 if fresh or not latest else latest
    return SweepFolder((sweeps / (first if number == 1 else f"{first}-{number}")).absolute())


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ConfigError(f"{path} cannot be read. Remove it: its job is then done again.") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or not at all, whatever ends the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(path)
