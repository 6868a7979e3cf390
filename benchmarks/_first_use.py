"""What compiled loops cost before they run."""

import os
import subprocess
import sys
import tempfile


def first_use(before: str, loops: str) -> tuple[float, float]:
    """Processor seconds until compiled loops are ready, in a fresh process: nothing kept on disk, and kept.

    `before` and `loops` are modules: what has been imported already, and the one that compiles.
    """
    code = f"import time, {before}; start = time.process_time(); import {loops}; print(time.process_time() - start)"
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "NUMBA_CACHE_DIR": folder}
        runs = [
            subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
            for _ in "12"
        ]
    return float(runs[0].stdout), float(runs[1].stdout)
