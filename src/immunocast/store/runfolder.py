"""The run folder: where a pipeline execution keeps everything that it found.

    <folder>/config.yaml       the frozen configuration
    <folder>/meta/<stage>.json what each stage says of itself (provenance, flow, models, settings)
    <folder>/manifest.json     run id and digests of tables and bundles, written when the folder is sealed
    <folder>/tables/*.parquet  the tables of `store.schemas`
    <folder>/bundles/<model>/<fold>/   fitted models (`models.bundle`)
    <folder>/figures/*.png
    <folder>/report.html, summary.md
    <folder>/mlflow.json       where it was published (written last, not part of any digest)

A folder is filled under a name that starts with a dot and renamed when it is whole, so that whatever lists
runs never sees half of one. Under DVC the same layout lies at `data/processed`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from immunocast.errors import NotFoundError
from immunocast.store.schemas import TABLES, conform


@dataclass(frozen=True)
class RunFolder:
    """A run folder on disk; methods read and write its parts, validated."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's id: its name, also while it is unfinished."""
        return str(self.manifest().get("run_id") or self.path.name.lstrip("."))

    def table_path(self, name: str) -> Path:
        """Path of a table's Parquet file."""
        return self.path / "tables" / f"{name}.parquet"

    def write_table(self, name: str, frame: pd.DataFrame) -> Path:
        """Validate a table, bring its rows into their order, and write it.

        Equal content gives equal bytes: no index, no time stamp, fixed column and row order.
        """
        path = self.table_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        conform(name, frame).to_parquet(path, index=False, compression="zstd")
        return path

    def has_table(self, name: str) -> bool:
        """Whether the table was written."""
        return self.table_path(name).is_file()

    def table(self, name: str) -> pd.DataFrame:
        """Read a table.

        Raises
        ------
        NotFoundError
            Where the table does not exist (unknown name, or the stage that makes it has not run).
        """
        if name not in TABLES:
            raise NotFoundError(f"There is no table {name!r}. Tables: {', '.join(TABLES)}.")
        if not self.has_table(name):
            if f"tables/{name}.parquet" in self.read_json("manifest.json").get("digests", {}):
                raise NotFoundError(
                    f"{self.path} has no table {name!r}, though the run made it: it was left out when the run was "
                    "published, or was deleted here. The original run folder has it."
                )
            raise NotFoundError(f"{self.path} has no table {name!r}: the stage that writes it has not run.")
        return pd.read_parquet(self.table_path(name))

    def bundle_path(self, model: str, fold: str) -> Path:
        """Folder of a fitted model; `fold` is "final" for the refit on all training data."""
        return self.path / "bundles" / model / fold

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON file, keys sorted."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # never half of a file, also where the process is killed or the disk is full
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        part.replace(path)
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder; {} where it is absent."""
        path = self.path / name
        return json.loads(path.read_text()) if path.is_file() else {}

    def write_meta(self, stage: str, **fields: Any) -> None:
        """Keep what a stage says of itself; each stage has a file of its own, as DVC needs it."""
        self.write_json(f"meta/{stage}.json", fields)

    def manifest(self) -> dict[str, Any]:
        """All that the stages and the seal say, merged; {} before the first stage."""
        parts = sorted((self.path / "meta").glob("*.json")) if (self.path / "meta").is_dir() else []
        merged: dict[str, Any] = {}
        for part in parts:
            merged |= json.loads(part.read_text())
        return merged | self.read_json("manifest.json")

    def update_manifest(self, **fields: Any) -> None:
        """Add fields to manifest.json."""
        self.write_json("manifest.json", {**self.read_json("manifest.json"), **fields})

    def digests(self) -> dict[str, str]:
        """SHA-256 of every table and bundle file, by path relative to the folder."""
        files = sorted(f for part in ("tables", "bundles") for f in (self.path / part).rglob("*") if f.is_file())
        return {f.relative_to(self.path).as_posix(): file_digest(f) for f in files}

    def seal(self, target: Path) -> RunFolder:
        """Write the digests into the manifest and rename the folder to `target`.

        Raises
        ------
        FileExistsError
            Where `target` exists: a run folder is never overwritten.
        """
        if target.exists():
            raise FileExistsError(f"{target} exists already; a run folder is never overwritten.")
        self.update_manifest(run_id=target.name, digests=self.digests())
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.rename(target)
        return RunFolder(target)

    def seal_copy(self, target: Path) -> RunFolder:
        """Seal a copy and leave this folder in place, as DVC needs it.

        Raises
        ------
        FileExistsError
            Where `target` exists.
        """
        unfinished = target.with_name(f".{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(self.path, unfinished)
        return RunFolder(unfinished).seal(target)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """The finished runs below a folder, oldest first (run ids start with their UTC time)."""
    if not runs_dir.is_dir():
        return []
    return [
        RunFolder(p)
        for p in sorted(runs_dir.iterdir())
        if p.is_dir() and not p.name.startswith(".") and (p / "manifest.json").is_file()
    ]


def find_run(runs_dir: Path, run: str = "latest") -> RunFolder:
    """Find a run by id, by an unambiguous beginning of its id, or the latest.

    Raises
    ------
    NotFoundError
        Where there is no such run, with what to do.
    """
    runs = list_runs(runs_dir)
    if not runs:
        raise NotFoundError(
            f"There is no finished run in {runs_dir.absolute()}. Make one with: make run. Runs elsewhere are found "
            "with --runs-dir, or IMMUNOCAST_RUNS."
        )
    if run == "latest":
        return runs[-1]
    exact = [r for r in runs if r.path.name == run]
    found = exact or [r for r in runs if r.path.name.startswith(run)]
    if len(found) == 1:
        return found[0]
    some = found or runs
    names = ", ".join(r.path.name for r in some[-5:]) + (f" and {len(some) - 5} older" if len(some) > 5 else "")
    why = f"{len(found)} runs start with" if found else "There is no run"
    raise NotFoundError(f"{why} {run!r} in {runs_dir}. {'They are' if found else 'The latest are'}: {names}")
