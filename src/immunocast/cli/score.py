"""The command `score`: probabilities for new patients."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from immunocast.cli._common import RunOption, RunsDir, app, check_target, find_run
from immunocast.cli._fetch import TrackingUri, with_final_bundle
from immunocast.cli._tracking import open_tracker
from immunocast.errors import ConfigError


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="Table of new patients: CSV, Parquet or XLSX.")],
    mapping: Annotated[
        str, typer.Option(help="Cohort configuration (name or YAML file) that maps the columns.")
    ] = "csv",
    run: RunOption = "latest",
    model: Annotated[str | None, typer.Option(help="Model; the run's headline model by default.")] = None,
    model_alias: Annotated[
        str | None,
        typer.Option(help="Model by the registry, in place of --run and --model: immunocast-ridge@champion."),
    ] = None,
    recalibration: Annotated[
        str, typer.Option(help="Recalibrator of the run, e.g. platt; none for the model's own output.")
    ] = "none",
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook with several.")] = None,
    expression: Annotated[
        Path | None, typer.Option(help="Matrix of the patients' expression; --mapping says how it is read.")
    ] = None,
    cohort_id: Annotated[
        str | None, typer.Option(help="Cohort of the patients, for a model that standardises by cohort.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write; beside FILE, as NAME.scores.csv, by default.")] = None,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Score new patients: p_response (for the run's endpoint), the assays that it rested on, who was refused and why.

    Exit code 0 where every row was scored, 4 where some were refused or abstained (the file says which).
    """
    from immunocast.cohort.mapping_files import load_mapping
    from immunocast.cohort.outcomes import words_of
    from immunocast.config import conf_dir
    from immunocast.serve.files import merged, score_file

    if model_alias is not None and (run != "latest" or model is not None):
        raise ConfigError("--model-alias names run and model: give it without --run and --model.")
    target = out or file.with_name(f"{file.stem}.scores.csv")
    check_target(target, file, "the file of the patients", "scores.csv")
    with tempfile.TemporaryDirectory(prefix="immunocast-") as scratch:
        if model_alias is None:
            folder = find_run(run, runs_dir, tracking_uri)
        else:
            from immunocast.tracking.run_folders import aliased_model

            folder, version = aliased_model(open_tracker(tracking_uri), model_alias, runs_dir, Path(scratch))
            model = version.model
            print(f"{model_alias} is {version.title}")
        with_final_bundle(folder, model, tracking_uri)
        about = folder.manifest()
        result = score_file(
            file,
            load_mapping(mapping, conf_dir() / "cohort"),
            folder,
            model,
            sheet=sheet,
            expression=expression,
            cohort_id=cohort_id,
            recalibration=recalibration,
        )
    result.scores.to_csv(target, index=False)
    counts = result.scores["status"].value_counts()
    title = words_of(about["endpoint"], about.get("endpoint_settings")).title
    name = result.model if recalibration == "none" else f"{result.model}, recalibrated ({recalibration}),"
    print(
        f"{name} of run {folder.path.name}{'  SYNTHETIC COHORT' if result.synthetic else ''}\n"
        + f"p_response is the probability of {title}\n"
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
