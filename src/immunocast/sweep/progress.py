"""What the terminal shows while a sweep runs: a line a job that ended, and, live, what is running and for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from immunocast.sweep.folder import DONE, FAILED, JobState, SweepFolder
from immunocast.sweep.runner import tail


def time_left(done: Sequence[float], running: Sequence[float], waiting: int, workers: int) -> float | None:
    """Seconds until the last job will have ended, if jobs take as long as the mean of those before.

    Parameters
    ----------
    done : seconds that finished jobs took.
    running : seconds for which others have been running.
    waiting : jobs that have not begun.
    workers : jobs at a time.

    Returns
    -------
    None while no job has been finished.

    >>> time_left([20, 30], [5, 10], 2, 2), time_left([], [3], 2, 2), time_left([20], [30], 0, 2)
    (42.5, None, 0.0)
    """
    if not done:
        return None
    mean = sum(done) / len(done)
    rest = sum(max(0.0, mean - seconds) for seconds in running) + waiting * mean
    lanes = min(workers, len(running) + waiting) or 1
    longest = max([max(0.0, mean - seconds) for seconds in running], default=0.0) if not waiting else 0.0
    return max(rest / lanes, longest)


def shown_time(seconds: float | None) -> str:
    """A duration in words.

    >>> shown_time(42), shown_time(130), shown_time(5400), shown_time(None)
    ('42 s', '2 min 10 s', '1 h 30 min', 'not known before the first job ends')
    """
    if seconds is None:
        return "not known before the first job ends"
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class SweepProgress:
    """Told by the runner; prints plain lines, and where there is a terminal a live view below them.

    Parameters
    ----------
    console : where to.
    folder : of the sweep; the last line that a job printed is shown beside it.
    total : jobs of the sweep.
    workers : jobs at a time.
    before : states of an earlier call; those that are done count.
    """

    def __init__(self, console: Console, folder: SweepFolder, total: int, workers: int, before: Sequence[JobState]):
        self.console, self.folder, self.total, self.workers = console, folder, total, workers
        self.finished = sum(state.status == DONE for state in before)
        self.failed = 0
        self.seconds = [s.seconds for s in before if s.status == DONE and s.seconds]
        self.titles: dict[int, str] = {}
        self.running: Mapping[int, float] = {}
        self._live = Live(console=console, get_renderable=self._view, refresh_per_second=2, transient=True)

    def __enter__(self) -> SweepProgress:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def started(self, state: JobState) -> None:
        """A job's process was started."""
        self.titles[state.number] = state.title
        self.running = {**self.running, state.number: 0.0}

    def ended(self, state: JobState) -> None:
        """A job is done, or failed: one line."""
        self.running = {n: s for n, s in self.running.items() if n != state.number}
        failed = state.status == FAILED
        self.failed += failed
        self.finished += 1
        if state.seconds and not failed:
            self.seconds.append(state.seconds)
        took = f"{state.seconds:g} s" if state.seconds else "was done already"
        line = f"[{self.finished}/{self.total}] job {state.number} {state.status:<6} {state.title}  {took}"
        left = self.left()
        if self.finished < self.total and left is not None:
            line += f"; {shown_time(left)} left"
        self.console.print(escape(line), style="red" if failed else None, soft_wrap=True)
        if state.error:
            self.console.print(escape(f"  {state.error}"), soft_wrap=True)

    def look(self, running: Mapping[int, float]) -> None:
        """Time passes: seconds of each running job."""
        self.running = dict(running)

    def left(self) -> float | None:
        """Seconds until the end, as far as one can tell."""
        waiting = self.total - self.finished - len(self.running)
        return time_left(self.seconds, list(self.running.values()), max(0, waiting), self.workers)

    def _view(self) -> Table:
        view = Table.grid(padding=(0, 1))
        head = Table.grid(padding=(0, 1))
        failed = f", {self.failed} failed" if self.failed else ""
        head.add_row(
            f"{self.finished} of {self.total} jobs{failed}",
            ProgressBar(total=self.total, completed=self.finished, width=30),
            f"time left: {shown_time(self.left())}",
        )
        view.add_row(head)
        for number, seconds in sorted(self.running.items()):
            said = tail(self.folder.log_path(number), 1)
            doing = said[0][: max(20, self.console.width // 2)] if said else "starting"
            line = f"  job {number} {self.titles.get(number, '')}  {seconds:.0f} s  {doing}"
            view.add_row(escape(line[: self.console.width - 1]))
        return view
