"""The analyst's command: which features matter, any SQL over a run, and scores for new patients."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast import __version__
from immunocast.errors import ConfigError, ImmunocastError, NotFoundError

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


def _version(show: bool) -> None:
    if show:
        print(f"immunocast {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def _find(run: str, runs_dir: Path) -> RunFolder:
    from immunocast.store.runfolder import find_run

    return find_run(runs_dir, run)


@app.command()
def runs(runs_dir: RunsDir = Path("runs"), output: FormatOption = Format.TABLE) -> None:
    """List the finished runs, newest last."""
    import pandas as pd

    from immunocast.store.runfolder import list_runs

    found = list_runs(runs_dir)
    if not found:
        _find("latest", runs_dir)  # raises, and says what to do
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
    _print(pd.DataFrame(rows), output)


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
    folder = _find(run, runs_dir)
    table = folder.table("importance")
    about = folder.manifest()
    names = sorted(table["model"].unique())
    chosen = model or (about["headline_model"] if about.get("headline_model") in names else (names or [""])[0])
    if chosen not in names:
        known = f"Explained models: {', '.join(names)}." if names else "This run explains no model."
        raise NotFoundError(f"Run {folder.path.name} has no importance of a model {chosen!r}. {known}")
    table = table[table["model"] == chosen]
    groups = [g for g in table["subgroup"].unique() if g != "all"]
    if by is not None and by not in groups:
        raise NotFoundError(
            f"This run has no importance by {by!r}. It has: {', '.join(groups) or 'none'}. "
            "Run again with explain.by=[...] for other subgroups."
        )
    table = table[table["subgroup"] == (by or "all")]
    table = table.sort_values(["level", "rank", "feature"]).groupby("level", sort=False).head(top)
    if output is not Format.TABLE:
        _print(table, output)
        return
    synthetic = "  SYNTHETIC COHORT" if about["provenance"]["synthetic"] else ""
    print(f"{chosen}, run {folder.path.name}{synthetic}")
    print(
        f"mean |SHAP| on {table['output_scale'].iloc[0]}, 95 % interval over patients (models fixed); "
        f"{table['scheme'].iloc[0]}. Associated with response, not its cause."
    )
    for level, part in table.groupby("level", sort=True):
        _print(_importance_lines(part), output, title="" if by is None else f"{by} = {level}, n = {part['n'].iloc[0]}")


def _importance_lines(part: pd.DataFrame) -> pd.DataFrame:
    """The importance table as a person reads it."""
    import pandas as pd

    from immunocast.cohort.vocabulary import label

    def direction(sign: float) -> str:
        if pd.isna(sign):
            return ""
        return "higher value, higher p" if sign > 0 else "higher value, lower p"

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

    folder = _find(run, runs_dir)
    if table is not None or output is not Format.TABLE:
        _print(describe(folder, table), output)
        return
    listed = describe(folder)
    listed["columns"] = [", ".join(describe(folder, name)["column"]) for name in listed["table"]]
    _print(pd.DataFrame(listed), output)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help='E.g. "select metric, estimate from metrics".')],
    run: RunOption = "latest",
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Answer a SELECT over the tables of a run (DuckDB, read-only)."""
    from immunocast.store.query import run_sql

    _print(run_sql(_find(run, runs_dir), statement), output)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="Table of new patients: CSV, Parquet or XLSX.")],
    mapping: Annotated[
        str, typer.Option(help="Cohort configuration (name or YAML file) that maps the columns.")
    ] = "csv",
    run: RunOption = "latest",
    model: Annotated[str | None, typer.Option(help="Model; the run's headline model by default.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook with several.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write; beside FILE, as NAME.scores.csv, by default.")] = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Score new patients: p_response, the assays that it rested on, and who was refused and why.

    Exit code 0 where every row was scored, 4 where some were refused or abstained (the file says which).
    """
    from immunocast.cohort.mapping_files import load_mapping
    from immunocast.config import conf_dir
    from immunocast.serve.files import merged, score_file

    folder = _find(run, runs_dir)
    target = out or file.with_name(f"{file.stem}.scores.csv")
    _check_target(target, file)
    result = score_file(file, load_mapping(mapping, conf_dir() / "cohort"), folder, model, sheet=sheet)
    result.scores.to_csv(target, index=False)
    counts = result.scores["status"].value_counts()
    print(
        f"{result.model} of run {folder.path.name}{'  SYNTHETIC COHORT' if result.synthetic else ''}\n"
        + ", ".join(f"{counts.get(s, 0)} {s}" for s in ("scored", "abstained", "refused"))
        + f": {target}"
    )
    reasons = result.scores.loc[result.scores["status"] == "abstained", "reason"].value_counts()
    for line in (*(f"abstained on {n}: {reason}" for reason, n in reasons.items()), *result.warnings):
        print(f"  {line}", file=sys.stderr)
    for problem in merged(result.refused):
        print(f"  refused: {problem}", file=sys.stderr)
    if counts.get("scored", 0) < len(result.scores):
        raise typer.Exit(4)


def _check_target(target: Path, file: Path) -> None:
    """Refuse a place where scores cannot or must not be written, before any work is done."""
    if target.exists() and file.exists() and target.samefile(file):
        raise ConfigError(f"--out {target} is the file of the patients: it would be overwritten. Name another file.")
    if target.is_dir():
        raise ConfigError(f"--out {target} is a folder. Name a file in it, e.g. {target / 'scores.csv'}.")
    if not target.parent.is_dir():
        raise NotFoundError(f"--out {target}: there is no folder {target.parent}. Make it first.")


def _print(frame: pd.DataFrame, output: Format, title: str = "") -> None:
    """Print a frame for people (table) or for programs (csv, json)."""
    if output is Format.CSV:
        print(frame.to_csv(index=False), end="")
    elif output is Format.JSON:
        print(frame.to_json(orient="records", indent=1, force_ascii=False))
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


if __name__ == "__main__":
    main()
