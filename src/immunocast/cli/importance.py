"""The command `importance`: which features drive the predictions, for whom, and what changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.cli._common import Format, FormatOption, RunsDir, app, find_run, print_table
from immunocast.cli._fetch import TrackingUri, fetch_named, find_or_fetch
from immunocast.cli._runs import CohortOption, RunsOption, SinceOption
from immunocast.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


@app.command()
def importance(
    run: RunsOption = None,
    since: SinceOption = None,
    cohort: CohortOption = None,
    model: Annotated[str | None, typer.Option(help="Model; the run's headline model by default.")] = None,
    by: Annotated[str | None, typer.Option(help="Subgroups, e.g. tumor_type or cohort_id.")] = None,
    group: Annotated[
        str | None,
        typer.Option(help="'block' or 'cluster' for groups of features; or one block's features, e.g. blood."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(metavar="RUN_A RUN_B", help="Two runs side by side.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Features to show, in each subgroup.")] = 10,
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Show which features drive the predictions: mean |SHAP| with interval and rank interval."""
    if compare is not None:
        if run or since or cohort:
            raise ConfigError("--compare names its two runs itself: leave out --run, --since and --cohort.")
        compare = tuple(find_or_fetch(r, runs_dir, tracking_uri).path.name for r in compare)  # type: ignore[assignment]
        _compare(compare, model, by, group, top, output, runs_dir)
        return
    from immunocast.query import importance as found_importance

    run = fetch_named(run, runs_dir, tracking_uri)
    table = found_importance(model, by, group, since, run, cohort=cohort, runs_dir=runs_dir)
    table = table.groupby(["run_id", "level"], sort=False).head(top)
    if output is not Format.TABLE:
        print_table(table, output)
        return
    for i, (run_id, of_run) in enumerate(table.groupby("run_id", sort=True)):
        if i:
            print()
        _print_run(of_run, str(run_id), by, output, runs_dir)


def _print_run(table: pd.DataFrame, run_id: str, by: str | None, output: Format, runs_dir: Path) -> None:
    synthetic = _synthetic(run_id, runs_dir)
    print(f"{table['model'].iloc[0]}, run {run_id}{'  SYNTHETIC COHORT' if synthetic else ''}")
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
            "feature": [label(f) if k == "feature" else f for f, k in zip(part["feature"], part["kind"], strict=True)],
            "mean |SHAP|": part["mean_abs_shap"].map("{:.3f}".format),
            "95 % interval": [f"{a:.3f} to {b:.3f}" for a, b in zip(part["ci_low"], part["ci_high"], strict=True)],
            "direction": part["sign"].map(direction),
            "measured": [f"{m}/{n}" for m, n in zip(part["n_measured"], part["n"], strict=True)],
        }
    )


def _compare(
    runs: tuple[str, str],
    model: str | None,
    by: str | None,
    group: str | None,
    top: int,
    output: Format,
    runs_dir: Path,
) -> None:
    from immunocast.query import compare

    table = compare(*runs, model, by=by, group=group, runs_dir=runs_dir)
    notes, names = table.attrs["notes"], zip("AB", table.attrs["runs"], table.attrs["models"], strict=True)
    best = table[["rank_a", "rank_b"]].min(axis=1)
    table = table[best.groupby(table["level"]).rank(method="min") <= top]
    if output is not Format.TABLE:
        print_table(table, output)
        return
    for name, run_id, which in names:
        print(f"{name}: {which}, run {run_id}{'  SYNTHETIC COHORT' if _synthetic(run_id, runs_dir) else ''}")
    print("rank by mean |SHAP| with its 95 % interval over patients (models fixed); share of all importance.")
    print(
        "Intervals of ranks that meet are no proof that nothing changed. Associated with the endpoint, not its cause."
    )
    for note in notes or ["The same patients, model, scale, endpoint, scheme and parameters."]:
        print(f"- {note}")
    for level, part in table.groupby("level", sort=True):
        print_table(_compared_lines(part), output, title="" if by is None else f"{by} = {level}")


def _compared_lines(part: pd.DataFrame) -> pd.DataFrame:
    """The comparison as a person reads it."""
    import pandas as pd

    from immunocast.cohort.vocabulary import FEATURES, label

    def ranks(suffix: str) -> list[str]:
        columns = (part[f"{c}_{suffix}"] for c in ("rank", "rank_low", "rank_high"))
        return [
            "" if pd.isna(r) else f"{r}" if pd.isna(low) else f"{r} ({low}-{high})"
            for r, low, high in zip(*columns, strict=True)
        ]

    def meets(value: object) -> str:
        return "" if value is pd.NA else "yes" if value else "NO"

    return pd.DataFrame(
        {
            "feature": [label(f) if f in FEATURES else f for f in part["feature"]],
            "rank A": ranks("a"),
            "rank B": ranks("b"),
            "ranks meet": [meets(v) for v in part["ranks_overlap"]],
            "share A": part["share_a"].map("{:.1%}".format, na_action="ignore"),
            "share B": part["share_b"].map("{:.1%}".format, na_action="ignore"),
            "difference": part["difference"].map("{:+.3f}".format, na_action="ignore"),
            "direction": ["turned" if v is True else "" for v in part["direction_changed"].astype(object)],
            "note": part["note"],
        }
    )


def _synthetic(run_id: str, runs_dir: Path) -> bool:
    return bool(find_run(run_id, runs_dir).manifest().get("provenance", {}).get("synthetic"))
