"""What a run prints at its end: a table of results, warnings, and where to go next."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from immunocast.report.summary import results_table
from immunocast.report.verdict import verdict
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder

#: Beginnings of the columns that a wide and a narrow terminal leave out.
_WIDE = ("Calibration intercept", "Net benefit")
_NARROW = (*_WIDE, "n", "Events", "Calibration")


def print_results(
    run: RunFolder,
    seconds: Mapping[str, float],
    published: str | None = None,
    next_steps: Mapping[str, str] | None = None,
    console: Console | None = None,
) -> None:
    """Print the results of a run.

    Parameters
    ----------
    run : a sealed run folder.
    seconds : stage -> seconds that it took.
    published : the line that says where it was published, None where it was not.
    next_steps : what -> command, printed last.
    console : where to; standard output by default.
    """
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    view = RunView(run)
    said = verdict(view)
    title = (
        f"{view.name}: {view.counts['n']:,} patients, {view.counts['n_events']:,} {view.words.events}, {view.scheme}"
    )
    table = Table(
        title=("SYNTHETIC  " if view.synthetic else "") + title, title_justify="left", box=None, pad_edge=False
    )
    results = results_table(run, recalibrated=False)
    # the table must be readable at 80 columns: what a narrow terminal leaves out stands in results.csv
    shown = [c for c in map(str, results.columns) if not c.startswith(_WIDE if console.width >= 110 else _NARROW)]
    for i, column in enumerate(shown):
        table.add_column(_short(column), justify="left" if i == 0 else "right", no_wrap=True)
    for row in results[shown].itertuples(index=False):
        cells = [str(cell).replace(" to ", ", ") for cell in row]
        # why there is no estimate is said once, under AUROC, and at length in the report
        words = [i for i, c in enumerate(cells) if i > 1 and c and c[0].isalpha() and c != "reference"]
        table.add_row(*("" if i in words[1:] else escape(c) for i, c in enumerate(cells)))
    console.print()
    console.print(table)
    console.print()
    for line in (said.answer, said.comparison, said.calibration):
        console.print(escape(line), soft_wrap=True)
    warnings = view.warnings
    if len(warnings):
        console.print(f"\n[yellow]{len(warnings)} warning{'s' if len(warnings) > 1 else ''}[/]", soft_wrap=True)
        for row in warnings.head(5).itertuples():
            where = f" {row.cohort_id}:" if isinstance(row.cohort_id, str) else ""
            console.print(escape(f"  {row.code}{where} {row.message}"), soft_wrap=True)
        if len(warnings) > 5:
            console.print(f"  ... {len(warnings) - 5} more in the report")
    console.print("\nSeconds: " + ", ".join(f"{name} {value:g}" for name, value in seconds.items()), soft_wrap=True)
    if published:
        console.print(escape(published), soft_wrap=True)
    for what, command in (next_steps or {}).items():
        console.print(f"{what + ':':<14} {escape(command)}", soft_wrap=True)


def _short(column: str) -> str:
    return column.replace("Calibration ", "Cal. ").replace("AUROC difference vs", "vs")
