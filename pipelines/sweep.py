"""Sweep: the pipeline over many settings, by a grid or by Optuna; goes on where it was stopped (docs/sweeps.md).

`python pipelines/sweep.py sweep=optuna ...` is `python pipelines/run.py -m sweep=optuna ...`.
"""

import sys
from pathlib import Path

from _stage import console, errors_as_exit_codes
from immunocast.sweep.command import run_sweep

if __name__ == "__main__":
    with errors_as_exit_codes():
        run_sweep(sys.argv[1:], str(Path(__file__).with_name("run.py")), console)
