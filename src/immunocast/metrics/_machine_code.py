"""Functions compiled as they are defined, their machine code kept on disk where a place for it is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def keep(*signatures: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile for the signatures and keep the machine code on disk, where a place for it is found.

    numba keeps it in `__pycache__` beside the function's file; where that can't be written, in the user's cache folder,
    or in NUMBA_CACHE_DIR if set. Where none can be written or what lies there is broken, it is compiled without.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit(list(signatures), cache=True, nogil=True)(function)
        except Exception:  # of many kinds: no place, a full disk, a broken file; compiling anew tells any real error
            return njit(list(signatures), nogil=True)(function)

    return compiled
