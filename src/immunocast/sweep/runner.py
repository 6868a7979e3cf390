"""Jobs as processes: started, watched, stopped, and told apart by how they ended.

Each job is a process of its own, not a task in a pool of workers: one that the system kills for its memory takes no
other job along, its output and its exit code are its own, and a signal reaches it as it reaches any run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from immunocast.errors import ConfigError
from immunocast.sweep.folder import DONE, FAILED, STOPPED, WAITING, JobState, SweepFolder
from immunocast.sweep.worker import SweepJob
from immunocast.tracking.process import Terminated

#: Seconds between two looks at the running jobs.
_PAUSE = 0.2
#: Seconds that a job has to clean up after a signal.
_PATIENCE = 60.0
_STOPS = (signal.SIGINT, signal.SIGTERM)
#: Libraries that would each start a thread a core.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    # what `n_jobs: -1` means to joblib
    "LOKY_MAX_CPU_COUNT",
)


class Watcher(Protocol):
    """Who is told how the jobs go."""

    def started(self, state: JobState) -> None:
        """A job's process was started."""

    def ended(self, state: JobState) -> None:
        """A job is done, or failed."""

    def look(self, running: Mapping[int, float]) -> None:
        """Time passes: seconds of each running job."""


@dataclass(frozen=True)
class Launch:
    """How a job's process is started.

    Attributes
    ----------
    command : interpreter, script and the words that all jobs share.
    workers : jobs at a time.
    cores : of this machine, shared out among the workers.
    parent : MLflow's id of the sweep's run.
    """

    command: tuple[str, ...]
    workers: int
    cores: int
    parent: str | None = None

    def environment(self, folder: SweepFolder, state: JobState) -> dict[str, str]:
        """The job's environment: as ours, with its share of the cores."""
        own = dict(os.environ)
        if self.workers > 1:
            for name in _THREADS:
                share = max(1, self.cores // self.workers)
                asked = own.get(name, "")
                own[name] = str(min(share, int(asked)) if asked.isdecimal() and int(asked) else share)
        own["PYTHONUNBUFFERED"] = "1"
        return own | SweepJob(str(folder.path), state.number, state.settings, self.parent).environment()


@dataclass
class _Running:
    state: JobState
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float


def run_jobs(states: Sequence[JobState], folder: SweepFolder, launch: Launch, watcher: Watcher) -> list[JobState]:
    """Run the jobs that wait, and those that failed before, so many at a time.

    Each state is written when its job ends. An interrupt or a SIGTERM is handed on to the running jobs; when they have
    cleaned up, their states are written as stopped, and the exception goes on.

    Returns
    -------
    The states of all jobs, in order.
    """
    known = {state.number: state for state in states}
    queue = [state for state in states if state.status != DONE]
    running: dict[int, _Running] = {}
    with _signals_noted() as asked:
        try:
            while queue or running:
                _raise(asked)
                while queue and len(running) < launch.workers:
                    state = queue.pop(0)
                    wait_for_former(folder, state)
                    settled = folder.settle(state)
                    if settled.status == DONE:
                        _keep(folder, known, settled, watcher)
                        continue
                    running[state.number] = _start(state, folder, launch)
                    watcher.started(state)
                for number, job in list(running.items()):
                    if job.process.poll() is not None:
                        del running[number]
                        _keep(folder, known, _ended(job, folder), watcher)
                watcher.look({n: time.monotonic() - job.began for n, job in running.items()})
                if running:
                    time.sleep(_PAUSE)
            _raise(asked)
        except BaseException:
            for state in _stop(running.values(), folder, asked):
                folder.write_state(state)
            raise
    return [known[number] for number in sorted(known)]


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM, so that they are not raised where a job is just being started and not known yet."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {sign: signal.signal(sign, lambda number, _: asked.append(number)) for sign in _STOPS}
    try:
        yield asked
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _raise(asked: Sequence[int]) -> None:
    if asked:
        raise Terminated if asked[0] == signal.SIGTERM else KeyboardInterrupt


def _keep(folder: SweepFolder, known: dict[int, JobState], state: JobState, watcher: Watcher) -> None:
    folder.write_state(state)
    known[state.number] = state
    watcher.ended(state)


def wait_for_former(folder: SweepFolder, state: JobState) -> None:
    """Wait until the process that a killed sweep left behind has cleaned up.

    Raises
    ------
    ConfigError
        Where it goes on.
    """
    deadline = time.monotonic() + _PATIENCE
    while who := folder.still_running(state.number):
        if time.monotonic() > deadline:
            raise ConfigError(
                f"Job {state.number} of this sweep is still running in process {who.split()[1]}, which an earlier "
                "call left behind. End it, then start the sweep again."
            )
        time.sleep(_PAUSE)


def _start(state: JobState, folder: SweepFolder, launch: Launch) -> _Running:
    for path in (folder.started_path(state.number), folder.error_path(state.number)):
        path.unlink(missing_ok=True)
    path = folder.log_path(state.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    log = path.open("wb")
    job = subprocess.Popen(
        [*launch.command, *state.words],
        stdin=subprocess.PIPE,  # never written to: its end tells the job that the sweep is gone
        stdout=log,
        stderr=subprocess.STDOUT,
        env=launch.environment(folder, state),
        start_new_session=True,  # Ctrl-C reaches the sweep alone, which hands it on once
    )
    return _Running(state, job, log, time.monotonic())


def _ended(job: _Running, folder: SweepFolder) -> JobState:
    """The state of a job whose process is over."""
    code = job.process.returncode
    _close(job)
    seconds = round(time.monotonic() - job.began, 1)
    state = replace(job.state, status=WAITING, run=None, error="")
    found = folder.settle(state)
    if found.status == DONE:
        # a run that is sealed is whole; what failed after that is told, and may be mended by publishing again
        error = "" if code == 0 else f"its results are whole, but {_why(folder, state.number, code)}"
        return replace(found, seconds=seconds, exit_code=code, error=error)
    why = _why(folder, state.number, code) if code else "it ended without a run folder"
    _write_error(folder, state, code, why)
    return replace(state, status=FAILED, seconds=seconds, exit_code=code, error=why)


def _why(folder: SweepFolder, number: int, code: int) -> str:
    """Why a job failed, in its first lines."""
    path = folder.error_path(number)
    if path.is_file():
        return _first_lines(path.read_text(encoding="utf-8").partition("\n\nSettings of the job:")[0])
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = "; the system kills for want of memory, fewer workers need less" if name == "SIGKILL" else ""
        return f"killed by {name}{memory}"
    said = tail(folder.log_path(number), 3)
    return _first_lines("\n".join(said)) if said else f"it ended with exit code {code}"


def _first_lines(text: str, n: int = 3, width: int = 400) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    whole = " ".join(lines[:n])
    return whole if len(whole) <= width else whole[:width].rstrip() + " ..."


def _write_error(folder: SweepFolder, state: JobState, code: int, why: str) -> None:
    """The error file of a job that could not write one itself."""
    path = folder.error_path(state.number)
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    said = f"{why}\n\nSettings of the job: {' '.join(state.words)}\nExit code: {code}\n\nLast lines of its output:\n"
    path.write_text(said + "\n".join(tail(folder.log_path(state.number), 40)) + "\n", encoding="utf-8")


def tail(path: Path, n: int) -> list[str]:
    """The last lines of a file that are not empty; [] where it is absent."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 20_000))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-n:]


def _stop(running: Iterable[_Running], folder: SweepFolder, asked: Sequence[int]) -> list[JobState]:
    """Hand a signal on, wait until the jobs have cleaned up, and say what became of them.

    Who is asked a second time kills: a job that cannot clean up leaves a folder that the next call removes.
    """
    jobs = list(running)
    once = len(asked)
    for sign, patience in ((asked[0] if asked else signal.SIGTERM, 15.0), (signal.SIGTERM, _PATIENCE)):
        for job in jobs:
            job.process.send_signal(sign)
        deadline = time.monotonic() + patience
        while any(job.process.poll() is None for job in jobs) and time.monotonic() < deadline and len(asked) <= once:
            time.sleep(_PAUSE / 2)
    states = []
    for job in jobs:
        job.process.kill()
        job.process.wait()
        _close(job)
        seconds = round(time.monotonic() - job.began, 1)
        settled = folder.settle(replace(job.state, status=STOPPED, error=""))
        states.append(replace(settled, seconds=seconds, exit_code=job.process.returncode))
    return states


def _close(job: _Running) -> None:
    if job.process.stdin:
        job.process.stdin.close()
    job.log.close()


def job_command(script: str, words: Sequence[str]) -> tuple[str, ...]:
    """Interpreter, script and the words that all jobs share."""
    return (sys.executable, script, *words)
