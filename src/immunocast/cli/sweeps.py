"""How sweeps stand: all of a folder, or the jobs of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immunocast.cli._common import Format, FormatOption, app, print_table


@app.command()
def sweeps(
    sweep: Annotated[str | None, typer.Argument(help="A sweep, to see its jobs: id, its beginning, or latest.")] = None,
    output: FormatOption = Format.TABLE,
    sweeps_dir: Annotated[
        Path, typer.Option("--sweeps-dir", envvar="IMMUNOCAST_SWEEPS", help="Folder of the sweeps.")
    ] = Path("sweeps"),
) -> None:
    """List the sweeps with how they stand, newest last, or the jobs of one."""
    from immunocast.sweep.overview import jobs_table, sweeps_table

    print_table(sweeps_table(sweeps_dir) if sweep is None else jobs_table(sweeps_dir, sweep), output)
