"""Rows spread over threads; the compiled loops release the interpreter's lock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from immunocast.errors import ConfigError


def over_rows(function: Callable[[int, int], None], n: int, block: int, threads: int) -> None:
    """Call `function(first, last)` until all of n rows are done.

    A row's values depend on neither its block nor its thread, so that the result is the same bit for bit.

    Parameters
    ----------
    function : writes the rows from `first` to `last`.
    n : rows.
    block : rows that belong together; a thread gets whole blocks.
    threads : at most as many are used as there are blocks.

    Raises
    ------
    ConfigError
        Where `threads` is below 1.
    """
    if threads < 1:
        raise ConfigError(f"threads is {threads}: at least 1 is needed.")
    blocks = -(-n // block)
    threads = min(threads, blocks)
    if threads <= 1:
        if n:
            function(0, n)
        return
    cuts = [min(n, block * (blocks * i // threads)) for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(function, a, b) for a, b in itertools.pairwise(cuts)]:
            done.result()
