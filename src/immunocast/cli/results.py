"""Commands over the tables of a run: runs, importance, tables, sql."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.cli._common import Format, FormatOption, RunOption, RunsDir, app, find_run, print_table
from immunocast.errors import NotFoundError

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def runs(runs_dir: RunsDir = Path("runs"), output: FormatOption = Format.TABLE) -> None:
    """List the finished runs, newest last."""
    import pandas as pd

    from immunocast.store.runfolder import list_runs

    found = list_runs(runs_dir)
    if not found:
        find_run("latest", runs_dir)  # raises, and says what to do
    rows = []
    for folder in found:
        about = folder.manifest()
        flow, provenance = about.get("flow", {}), about.get("provenance", {})
        rows.append(
            {
                "run": folder.path.name,
                "cohort": provenance.get("name"),
                "synthetic": provenance.get("synthetic"),
                "endpoint": about.get("endpoint"),
                "scheme": about.get("scheme"),
                "analysed": flow.get("analysed"),
                "events": flow.get("events"),
            }
        )
    print_table(pd.DataFrame(rows), output)


@app.command()
def importance(
    run: RunOption = "latest",
    model: Annotated[str | None, typer.Option(help="Model; the run's headline model by default.")] = None,
    by: Annotated[str | None, typer.Option(help="Subgroups, e.g. tumor_type.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Features to show, in each subgroup.")] = 10,
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Show which features drive the predictions: mean |SHAP| with interval and rank interval."""
    folder = find_run(run, runs_dir)
    table = folder.table("importance")
    about = folder.manifest()
    names = sorted(table["model"].unique())
    chosen = model or (about["headline_model"] if about.get("headline_model") in names else (names or [""])[0])
    if chosen not in names:
        known = f"Explained models: {', '.join(names)}." if names else "This run explains no model."
        raise NotFoundError(f"Run {folder.path.name} has no importance of a model {chosen!r}. {known}")
    table = table[(table["model"] == chosen) & (table["kind"] == "feature")]
    groups = [g for g in table["subgroup"].unique() if g != "all"]
    if by is not None and by not in groups:
        raise NotFoundError(
            f"This run has no importance by {by!r}. It has: {', '.join(groups) or 'none'}. "
            "Run again with explain.by=[...] for other subgroups."
        )
    table = table[table["subgroup"] == (by or "all")]
    table = table.sort_values(["level", "rank", "feature"]).groupby("level", sort=False).head(top)
    if output is not Format.TABLE:
        print_table(table, output)
        return
    synthetic = "  SYNTHETIC COHORT" if about["provenance"]["synthetic"] else ""
    print(f"{chosen}, run {folder.path.name}{synthetic}")
    print(
        f"mean |SHAP| on {table['output_scale'].iloc[0]}, 95 % interval over patients (models fixed); "
        f"{table['scheme'].iloc[0]}. Associated with the endpoint, not its cause."
    )
    for level, part in table.groupby("level", sort=True):
        print_table(
            _importance_lines(part), output, title="" if by is None else f"{by} = {level}, n = {part['n'].iloc[0]}"
        )


def _importance_lines(part: pd.DataFrame) -> pd.DataFrame:
    """The importance table as a person reads it."""
    import pandas as pd

    from immunocast.cohort.vocabulary import label

    hazard = part["output_scale"].iloc[0] == "log-hazard"
    rising, falling = ("earlier event", "later event") if hazard else ("higher p", "lower p")

    def direction(sign: float) -> str:
        if pd.isna(sign):
            return ""
        return f"higher value, {rising if sign > 0 else falling}"

    return pd.DataFrame(
        {
            "rank": part["rank"],
            "rank 95 %": [f"{a}-{b}" for a, b in zip(part["rank_low"], part["rank_high"], strict=True)],
            "feature": [label(f) for f in part["feature"]],
            "mean |SHAP|": part["mean_abs_shap"].map("{:.3f}".format),
            "95 % interval": [f"{a:.3f} to {b:.3f}" for a, b in zip(part["ci_low"], part["ci_high"], strict=True)],
            "direction": part["sign"].map(direction),
            "measured": [f"{m}/{n}" for m, n in zip(part["n_measured"], part["n"], strict=True)],
        }
    )


@app.command()
def tables(
    table: Annotated[str | None, typer.Argument(help="A table, to see its columns.")] = None,
    run: RunOption = "latest",
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """List the tables of a run, or the columns of one."""
    import pandas as pd

    from immunocast.store.query import describe

    folder = find_run(run, runs_dir)
    if table is not None or output is not Format.TABLE:
        print_table(describe(folder, table), output)
        return
    listed = describe(folder)
    listed["columns"] = [", ".join(describe(folder, name)["column"]) for name in listed["table"]]
    print_table(pd.DataFrame(listed), output)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help='E.g. "select metric, estimate from metrics".')],
    run: RunOption = "latest",
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Answer a SELECT over the tables of a run (DuckDB, read-only)."""
    from immunocast.store.query import run_sql

    print_table(run_sql(find_run(run, runs_dir), statement), output)
