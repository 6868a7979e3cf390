"""Limits of a query: time, memory, and the user's Ctrl-C, also where DuckDB does not look up from its work.

DuckDB's memory limit does not count what one function makes of one row (`repeat('x', 4000000000)`), and nothing
interrupts such a function. The query therefore runs beside the thread that waits for it, which gives up at a limit.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immunocast.errors import ConfigError, ImmunocastError

if TYPE_CHECKING:
    import duckdb

_GRACE_S = 2.0  # an interrupted query may take so long to notice
_STEP_S = 0.05


class QueryLimitError(ImmunocastError):
    """A query that was stopped at a limit. `running` is True where it would not stop and still runs in its thread."""

    def __init__(self, message: str, running: bool = False):
        super().__init__(message)
        self.running = running


class QueryInterrupted(KeyboardInterrupt):
    """Ctrl-C while a query ran; `running` as above."""

    def __init__(self, running: bool):
        super().__init__()
        self.running = running


@dataclass(frozen=True)
class Limits:
    """Most that a query may take.

    Attributes
    ----------
    seconds : time on the clock.
    memory_mb : MiB for DuckDB; half as much again for the process together with the answer (on Linux).
    """

    seconds: float = 60.0
    memory_mb: int = 2048

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 86_400:
            raise ConfigError(f"A time limit of {self.seconds:g} s is not possible: more than 0, at most 86400.")
        if not 64 <= self.memory_mb <= 1_048_576:
            raise ConfigError(f"A memory limit of {self.memory_mb} MiB is not possible: at least 64, at most 1048576.")


def run_watched[T](connection: duckdb.DuckDBPyConnection, work: Callable[[], T], limits: Limits) -> T:
    """Run `work`, which queries `connection`, within limits.

    Raises
    ------
    QueryLimitError
        At a limit, with what to do.
    QueryInterrupted
        On Ctrl-C.
    Exception
        Whatever `work` raises.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the thread that waits
            failures.append(error)
        finally:
            done.set()

    before, start = _resident_mb(), time.monotonic()
    threading.Thread(target=target, name="immunocast-query", daemon=True).start()
    reason = ""
    try:
        while not done.wait(_STEP_S):
            if time.monotonic() - start > limits.seconds:
                reason = f"The query took longer than {limits.seconds:g} s (--timeout)."
            elif _resident_mb() - before > 1.5 * limits.memory_mb:
                reason = f"The query and its answer took more than {limits.memory_mb} MiB (--memory)."
            if reason:
                break
    except KeyboardInterrupt:
        connection.interrupt()
        raise QueryInterrupted(running=not done.wait(_GRACE_S)) from None
    if reason:
        connection.interrupt()
        finished = done.wait(_GRACE_S)
        raise QueryLimitError(
            f"{reason} Ask for less: fewer runs (--run, --since), a condition, a limit; or raise it.", not finished
        )
    if failures:
        raise failures[0]
    return results[0]


def _resident_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return 0.0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
