"""What all entry points share: Hydra, the environment, the run folder in work, and errors as exit codes.

Exit codes: 0 done, 1 an override that Hydra refuses or a defect of immunocast, 2 a mistake in settings or input,
3 stopped by a quality check, 4 computed but not (wholly) published, 8 jobs of a sweep failed, 130 interrupted,
143 ended by SIGTERM.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape

from immunocast.config import check, conf_dir
from immunocast.errors import ConfigError, ImmunocastError
from immunocast.overrides import expand_cohorts
from immunocast.store.runfolder import RunFolder
from immunocast.sweep.worker import current_job, end_with_the_sweep

console = Console(stderr=True, highlight=False)


def stage(run: Callable[[DictConfig, RunFolder], object]) -> None:
    """Run a stage from the command line on the fixed place that DVC knows, `paths.work`."""
    entry(lambda cfg: run(cfg, RunFolder(Path(cfg.paths.work))))


def entry(task: Callable[[DictConfig], object], *, sweeps: bool = False) -> None:
    """Compose the configuration from conf/ and the command line, check it, and run a task with it.

    Where `sweeps`, `-m` runs a sweep, whose jobs are calls of the same script.
    """
    if "-m" in sys.argv or "--multirun" in sys.argv:
        with errors_as_exit_codes():
            if not sweeps:
                raise ConfigError("A sweep runs whole pipelines: pipelines/run.py -m KEY=A,B (docs/sweeps.md).")
            from immunocast.sweep.command import run_sweep

            run_sweep(sys.argv[1:], sys.argv[0], console)
        return
    job = current_job()
    if job:
        end_with_the_sweep()

    @hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    def main(cfg: DictConfig) -> None:
        with errors_as_exit_codes(), job.reported(sys.argv[1:]) if job else contextlib.nullcontext():
            check(cfg)
            task(cfg)

    try:
        sys.argv[1:] = expand_cohorts(sys.argv[1:], conf_dir())
    except ImmunocastError as error:
        _stop(error)
    main()


@contextlib.contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """A user's mistake and an interrupt become a message and an exit code; a defect keeps its traceback."""
    try:
        yield
    except ImmunocastError as error:
        _stop(error)
    except OSError as error:
        if error.filename is None:
            raise
        console.print(
            f"[bold red]Cannot write or read[/] {escape(str(error.filename))}: {error.strerror}. Choose another "
            "place (paths.runs, paths.work), or make room.",
            soft_wrap=True,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("[bold red]Interrupted.[/] What was unfinished is thrown away.")
        sys.exit(130)


def _stop(error: ImmunocastError) -> NoReturn:
    console.print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}", soft_wrap=True)
    sys.exit(error.exit_code)
