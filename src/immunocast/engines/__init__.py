"""Engines: map a function over items. Results never depend on the engine or on its number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from immunocast.errors import ConfigError


class Engine(Protocol):
    """Anything with an ordered `map`."""

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Apply `fn` to each item; results in the order of the items."""
        ...


class SerialEngine:
    """One after the other, in this process."""

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Apply `fn` to each item; results in the order of the items."""
        # one BLAS thread everywhere: sums then have one order, whatever the number of workers
        with threadpool_limits(limits=1):
            return [fn(item) for item in items]


class JoblibEngine:
    """Threads or processes by joblib.

    Parameters
    ----------
    n_jobs : workers, -1 for all cores.
    backend : "threading" (boosters and forests release the interpreter's lock, and nothing has to be
        imported again) or "loky" (processes).
    """

    def __init__(self, n_jobs: int = -1, backend: str = "threading"):
        if backend not in ("threading", "loky"):
            raise ConfigError(f"engine.backend is {backend!r}; it must be threading or loky.")
        if n_jobs == 0:
            raise ConfigError("engine.n_jobs is 0; give a number of workers, or -1 for all cores.")
        self.n_jobs = n_jobs
        self.backend = backend

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Apply `fn` to each item; results in the order of the items."""
        with threadpool_limits(limits=1):
            return Parallel(n_jobs=self.n_jobs, backend=self.backend)(delayed(_limited)(fn, i) for i in items)


def _limited(fn: Callable[[Any], Any], item: Any) -> Any:
    with threadpool_limits(limits=1):
        return fn(item)
