"""Options that choose among many runs."""

from __future__ import annotations

from typing import Annotated

import typer

RunsOption = Annotated[
    list[str] | None, typer.Option("--run", help="Run id, its beginning, or 'latest'; may be given several times.")
]
SinceOption = Annotated[str | None, typer.Option(help="Only runs from this day on, e.g. 2026-01-31 (UTC).")]
CohortOption = Annotated[
    list[str] | None, typer.Option(help="Only runs that hold this cohort or dataset; may be given several times.")
]
