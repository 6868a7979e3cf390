"""Commands over what runs there are, and what is in one: runs, tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immunocast.cli._common import Format, FormatOption, RunOption, RunsDir, app, find_run, print_table
from immunocast.cli._fetch import TrackingUri
from immunocast.cli._runs import CohortOption, SinceOption


@app.command()
def runs(
    since: SinceOption = None,
    cohort: CohortOption = None,
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """List the finished runs with their headline result, newest last."""
    from immunocast.query import runs as all_runs

    found = all_runs(runs_dir, since=since, cohort=cohort)
    if output is not Format.TABLE:
        print_table(found, output)
        return
    interval = [
        "" if a != a else f"{a:.3f} ({low:.3f}, {high:.3f})"
        for a, low, high in zip(found["auroc"], found["auroc_low"], found["auroc_high"], strict=True)
    ]
    shown = found[["run_id", "created", "cohort", "synthetic", "endpoint", "scheme", "n_patients", "events"]].assign(
        created=found["created"].dt.strftime("%Y-%m-%d %H:%M"),
        model=found["headline_model"],
        **{"AUROC (95 % CI)": interval},
    )
    print_table(shown.rename(columns={"run_id": "run", "created": "UTC", "n_patients": "n"}), output)


@app.command()
def tables(
    table: Annotated[str | None, typer.Argument(help="A table, to see its columns.")] = None,
    run: RunOption = "latest",
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """List the tables of a run, or the columns of one."""
    import pandas as pd

    from immunocast.store.describe import describe

    folder = find_run(run, runs_dir, tracking_uri)
    if table is not None or output is not Format.TABLE:
        print_table(describe(folder, table), output)
        return
    listed = describe(folder)
    listed["columns"] = [", ".join(describe(folder, name)["column"]) for name in listed["table"]]
    print_table(pd.DataFrame(listed), output)
