"""The commands `cohorts list`, `cohorts describe` and `cohorts fetch`: public cohorts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immunocast.cli._common import Format, FormatOption, app, print_table
from immunocast.errors import ConfigError, FetchError, ImmunocastError

if TYPE_CHECKING:
    from immunocast.cohort.registry import CohortEntry, Registry

cohorts = typer.Typer(help="Public cohorts: what there is, where it comes from, and getting it.", no_args_is_help=True)
app.add_typer(cohorts, name="cohorts")

RegistryOption = Annotated[
    Path | None, typer.Option("--registry", envvar="IMMUNOCAST_REGISTRY", help="Another registry (YAML).")
]


@cohorts.command("list")
def list_cohorts(registry: RegistryOption = None, output: FormatOption = Format.TABLE) -> None:
    """List the public cohorts, what they hold, and whether they are here."""
    import pandas as pd

    known, data_dir = _registry(registry), _data_dir()
    rows = [
        {
            "id": e.id,
            "patients": e.patients,
            "tumour types": ", ".join(e.tumor_types),
            "holds": ", ".join(e.has),
            "licence": e.licence if output is not Format.TABLE else e.licence.split(" (")[0].split(";")[0],
            "where": e.where(data_dir),
        }
        for e in known.cohorts.values()
    ]
    print_table(pd.DataFrame(rows).astype({"patients": "Int64"}), output)
    if output is Format.TABLE:
        print(f"\nlocal: below {data_dir}. Also cbioportal:STUDY, any study of cBioPortal's datahub.")


@cohorts.command()
def describe(
    cohort: Annotated[str, typer.Argument(help="Id of a cohort, or cbioportal:STUDY.")],
    registry: RegistryOption = None,
) -> None:
    """Say what a cohort is: citation, licence, addresses, digests, columns, caveats, and n and ORR if it is here."""
    entry, data_dir = _registry(registry).entry(cohort), _data_dir()
    where = entry.where(data_dir)
    print(f"{entry.id}: {entry.title}")
    print(f"citation: {entry.citation or 'see the study'}")
    print(f"licence:  {entry.licence or 'not known'}")
    print(f"here:     {where}")
    if entry.config:
        print(f"load:     cohort={entry.config}")
    for line in _addresses(entry):
        print(line)
    for caveat in entry.caveats:
        print(f"  caveat: {caveat}")
    if entry.config:
        _describe_mapping(entry.config, where != "not here")


@cohorts.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="COHORT...", help="Ids, cbioportal:STUDY, or all.")],
    to: Annotated[
        Path | None,
        typer.Option(help="Folder to fetch into, laid out like the folder of the data; the cache by default."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds without bytes after which an attempt ends.")] = 30.0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts after failures that may pass.")] = 3,
    registry: RegistryOption = None,
) -> None:
    """Fetch cohorts that are not here; what is here is left alone.

    Exit code 0 where all is there, 4 where something is left to do by hand, 5 where a file could not be had.
    """
    from immunocast.cohort.download import Downloader
    from immunocast.cohort.fetch import Fetched, fetch_cohort
    from immunocast.cohort.registry import cache_dir

    known, data_dir = _registry(registry), _data_dir()
    entries = list(known.cohorts.values()) if names == ["all"] else [known.entry(n) for n in dict.fromkeys(names)]
    if to is not None and to.exists() and not to.is_dir():
        raise ConfigError(f"--to {to} is a file. Name a folder.")
    downloader = Downloader(timeout=timeout, retries=retries, bar=_RichBar() if sys.stderr.isatty() else None)
    outcomes = set()
    for entry in entries:
        try:
            done = fetch_cohort(entry, data_dir, downloader, to)
        except ImmunocastError as error:
            done = [Fetched(Path(entry.id), "failed", str(error), None, error)]
        for file in done:
            digest = f" (SHA-256 {file.sha256[:12]}...)" if file.sha256 else ""
            print(f"{entry.id}: {file.outcome}: {file.path}{digest}: {file.message}")
        outcomes |= {file.outcome for file in done}
        root = next((r for r in (to, data_dir, cache_dir()) if r is not None and entry.is_in(r)), None)
        if root is not None:
            print(f"{entry.id}: load it with {_setting(entry, root, to)}")
    if "failed" in outcomes:
        raise typer.Exit(FetchError.exit_code)
    if "by hand" in outcomes:
        raise typer.Exit(4)


def _setting(entry: CohortEntry, root: Path, to: Path | None) -> str:
    """The settings that load a cohort; a study without a configuration of its own is named by its folder."""
    if not entry.config:
        return f"cohort=cbioportal cohort.folder={(root / str(entry.folder)).absolute()}"
    return f"cohort={entry.config}{f' paths.data={to}' if to else ''}"


class _RichBar:
    """Progress on the terminal's error stream."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._task: Any = None

    def start(self, name: str, total: int | None, done: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._progress.start()
        self._task = self._progress.add_task(name, total=total, completed=done)

    def advance(self, n: int) -> None:
        self._progress.advance(self._task, n)

    def stop(self) -> None:
        self._progress.stop()


def _registry(path: Path | None) -> Registry:
    from immunocast.cohort.registry import load_registry

    return load_registry(path)


def _data_dir() -> Path:
    """The folder of the data, as the pipelines have it."""
    from immunocast.config import load_config

    return Path(load_config().paths.data).expanduser()


def _addresses(entry: CohortEntry) -> list[str]:
    if entry.hub is not None:
        address = entry.hub.raw.format(study=entry.study, file="")
        return [f"study:    {address} -> {entry.folder}/", "  digests: of data behind git-LFS pointers, by the pointer"]
    lines = []
    for file in entry.files:
        lines.append(f"file:     {file.path}{' (optional)' if file.optional else ''}")
        for origin in file.origins:
            lines.append(f"  from:   {origin.address}")
            lines.append(f"    SHA-256 {origin.sha256 or 'not known: the first download is recorded and trusted'}")
        if file.tested_sha256:
            lines.append(f"  mapping tested with SHA-256 {file.tested_sha256}")
        if file.made == "table":
            lines.append(f"  made:   {f'sheet {file.sheet}' if file.sheet else 'the table'} of it, written as CSV")
        if file.made == "by_hand":
            lines.append(f"  by hand: {file.by_hand}")
        if file.note:
            lines.append(f"  note:   {file.note}")
    return lines


def _describe_mapping(config: str, is_here: bool) -> None:
    """The columns of a cohort's configuration, and what its table holds where it can be read."""
    import pandas as pd

    from immunocast.cohort.outcomes import make_labels
    from immunocast.config import build, load_config

    cfg = load_config([f"cohort={config}"])
    columns = list(cfg.cohort.get("columns") or {})
    if columns:
        print(f"columns:  {', '.join(columns)}")
    if not is_here:
        print(f"n, ORR:   not known before it is here (`immunocast cohorts fetch {config}`)")
        return
    tables = build(cfg.cohort, "cohort").load()
    table = tables.cohort
    print(f"n:        {len(table):,} patients, cohorts {', '.join(table['cohort_id'].unique())}")
    arms = table["arm"] if "arm" in table else pd.Series("ici", index=table.index)
    y = make_labels(table, "response").y
    for arm in arms.dropna().unique():
        known = y[arms == arm].dropna()
        if len(known):
            print(f"ORR:      {known.mean():.1%} ({int(known.sum())} of {len(known)} evaluable), arm {arm}")
    if y.isna().all():
        print("ORR:      no response in this cohort")
    for note in tables.provenance.notes:
        print(f"  note:   {note}")
