"""What the commands share: the application, the options that many take, and how a table is printed."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from immunocast.store.runfolder import RunFolder

app = typer.Typer(
    help="immunocast: who responds to immune checkpoint inhibitors, why, and how far to trust it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 110},
)

RunOption = Annotated[str, typer.Option("--run", help="Run id, its beginning, or 'latest'.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", envvar="IMMUNOCAST_RUNS", help="Folder of the runs.")]


class Format(StrEnum):
    """How to print a table."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


def find_run(run: str, runs_dir: Path, tracking_uri: str | None = None) -> RunFolder:
    """Find a finished run by its id, the id's beginning, or 'latest'; fetch it where only MLflow has it."""
    from immunocast.cli._fetch import find_or_fetch

    return find_or_fetch(run, runs_dir, tracking_uri)


def print_table(frame: pd.DataFrame, output: Format, title: str = "") -> None:
    """Print a frame for people (table) or for programs (csv, json)."""
    if output is Format.CSV:
        print(frame.to_csv(index=False), end="")
    elif output is Format.JSON:
        print(frame.to_json(orient="records", indent=1, force_ascii=False, date_format="iso"))
    else:
        import pandas as pd
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column in frame:
            numeric = pd.api.types.is_numeric_dtype(frame[column])
            table.add_column(str(column), justify="right" if numeric else "left", overflow="fold")
        for row in frame.itertuples(index=False):
            table.add_row(*(Text("" if pd.isna(v) is True else _cell(v)) for v in row))
        # in a pipe nothing is cut: the width of a terminal only binds a terminal
        Console(width=None if sys.stdout.isatty() else 240, highlight=False).print(table)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def check_target(target: Path, file: Path, file_is: str, example: str) -> None:
    """Refuse a place where --out cannot or must not be written, before any work is done.

    Raises
    ------
    ConfigError
        Where `target` is a folder, or the input `file` itself (in words: `file_is`).
    NotFoundError
        Where its folder is not there.
    """
    if target.exists() and file.exists() and target.samefile(file):
        raise ConfigError(f"--out {target} is {file_is}: it would be overwritten. Name another file.")
    if target.is_dir():
        raise ConfigError(f"--out {target} is a folder. Name a file in it, e.g. {target / example}.")
    if not target.parent.is_dir():
        raise NotFoundError(f"--out {target}: there is no folder {target.parent}. Make it first.")
