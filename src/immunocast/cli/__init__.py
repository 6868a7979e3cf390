"""The analyst's command: which features matter, any SQL over a run, scores for new patients, and cohorts.

Each module of this package holds one group of commands, which register themselves on `app` when imported.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from immunocast import __version__

# each registers its commands
from immunocast.cli import card, check, cohorts, explain, flow, importance, map, results, score, sql  # noqa: F401
from immunocast.cli import promote as _promote  # noqa: F401
from immunocast.cli import publish as _publish  # noqa: F401
from immunocast.cli import reproduce as _reproduce  # noqa: F401
from immunocast.cli import sweeps as _sweeps  # noqa: F401
from immunocast.cli._common import app
from immunocast.errors import ImmunocastError


def _version(show: bool) -> None:
    if show:
        print(f"immunocast {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: users' mistakes become a message and an exit code."""
    try:
        app()
    except ImmunocastError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `immunocast sql ... | head`
        sys.stderr.close()
        sys.exit(0)
