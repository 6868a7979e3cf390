"""The model card: of a run's model, or of a version in MLflow; its checklist judged by the files that are there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immunocast.cli._common import Format, FormatOption, RunsDir, app, find_run, print_table
from immunocast.cli._tracking import TrackingUri, open_tracker
from immunocast.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from immunocast.report.card import Statements
    from immunocast.store.runfolder import RunFolder


@app.command()
def card(
    run: Annotated[str, typer.Argument(help="Run id, its beginning, or 'latest'.")] = "latest",
    model: Annotated[str | None, typer.Option(help="Model of the run; default: each that has a card.")] = None,
    version: Annotated[str | None, typer.Option(help="A version in MLflow instead of a run, e.g. NAME/3.")] = None,
    author: Annotated[Path | None, typer.Option(help="YAML file with the author's statements, by item.")] = None,
    rebuild: Annotated[bool, typer.Option(help="Write the card anew from the run's tables.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the downloaded card of a version.")] = None,
    tracking_uri: TrackingUri = None,
    output: FormatOption = Format.TABLE,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Show which items of TRIPOD+AI a model card evidences, by the files that are really there."""
    from immunocast.report.card import read_statements

    statements = read_statements(author) if author else None
    if version is not None:
        if model or rebuild or run != "latest":
            raise ConfigError("--version names a version in MLflow: leave out the run, --model and --rebuild.")
        _show_version(version, tracking_uri, out, statements, output)
        return
    if out is not None:
        raise ConfigError("--out is for --version. The card of a run lies in its folder, under cards/.")
    _show_run(find_run(run, runs_dir), model, rebuild, statements, output)


def _show_run(
    folder: RunFolder, model: str | None, rebuild: bool, statements: Statements | None, output: Format
) -> None:
    from immunocast.report.card.facts import RunFacts
    from immunocast.report.card.write import CARDS, write_card

    models = RunFacts(folder).learned if model is None else [model]
    if not models:
        raise NotFoundError(f"Run {folder.run_id} has no learned model with a final bundle, so it has no card.")
    for name in models:
        place = folder.path / CARDS / name
        if rebuild or statements is not None or not place.is_dir():
            # without --author the statements that the card has stay
            place = write_card(folder, name, statements or _kept(place))
        _show(place, None, output, f"{name} of run {folder.run_id}")


def _kept(place: Path) -> Statements | None:
    """The author's statements of the card that is there, None where it has none that can be read."""
    from immunocast.report.card import Statements, read_index

    try:
        return Statements.from_dict(read_index(place).get("statements"))
    except NotFoundError:
        return None


def _show_version(
    version: str, tracking_uri: str | None, out: Path | None, statements: Statements | None, output: Format
) -> None:
    from immunocast.tracking.mlflow.cards import fetch_card

    tracker = open_tracker(tracking_uri)
    if out is not None:
        _show(fetch_card(tracker, version, out), statements, output, version)
        return
    with tempfile.TemporaryDirectory(prefix="immunocast-") as folder:
        _show(fetch_card(tracker, version, Path(folder)), statements, output, version, keep=False)


def _show(place: Path, statements: Statements | None, output: Format, name: str, *, keep: bool = True) -> None:
    from immunocast.report.card import checklist, read_index
    from immunocast.report.card.checklist import lost_files, told
    from immunocast.report.card.write import HTML, tripod_frame

    index = read_index(place)
    rows = checklist(place, statements)
    frame = tripod_frame(rows)
    if output is not Format.TABLE:
        print_table(frame.assign(model=index["model"], run_id=index["run_id"]), output)
        return
    first = "SYNTHETIC DATA, no patient exists. " if index.get("synthetic") else ""
    shown = frame.assign(needs=frame["needs_author"].where(frame["missing"] == "", frame["missing"]))
    print_table(shown[["item", "asks", "status", "needs"]], output, f"{first}TRIPOD+AI of {name}")
    print(f"{len(rows)} items: {told(rows)}.")
    lost = lost_files(rows)
    if lost:
        print(f"Missing: {'; '.join(lost)}")
    if keep:
        print(f"Card: {place / HTML}")
