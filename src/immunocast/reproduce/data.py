"""The data of a run: whether the file that it read is here, and is still the same."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import OmegaConf

from immunocast.cohort.registry import how_to_get, locate
from immunocast.cohort.table import CohortTables
from immunocast.config import build, literal
from immunocast.errors import ImmunocastError


class DataChangedError(ImmunocastError):
    """The data of a run are not here, or are others."""


@dataclass(frozen=True)
class DataCheck:
    """The data of a run, found again.

    Attributes
    ----------
    cohort : the frozen configuration of the cohort, with the places of now in it.
    files : the files or folders that it reads; [] for a generated cohort.
    digest_then, digest_now : of the provenance.
    same : whether they are the same; always True for files, else `find_data` raises.
    """

    cohort: dict[str, Any]
    files: list[Path]
    digest_then: str
    digest_now: str
    same: bool


def find_data(frozen: dict[str, Any], provenance: dict[str, Any], data_dir: Path) -> DataCheck:
    """Find the data of a run and hold them against the digest that the run recorded.

    A frozen configuration has no places. A relative file is looked for below the folder of the data, where
    conf/cohort/ puts those of known cohorts, and where the command is run, where `cohort=csv` puts them.

    Parameters
    ----------
    frozen : the run's configuration.
    provenance : what the run's manifest says of its data.
    data_dir : folder of the data now, `paths.data`.

    Raises
    ------
    DataChangedError
        Where a file is missing, cannot be read, or is not the one of the run: names it and both digests.
    """
    digest = str(provenance.get("digest", ""))
    found: DataCheck | None = None
    for cohort, files in _placed(frozen["cohort"], data_dir):
        missing = [file for file in files if not file.exists()]
        if missing:
            raise DataChangedError(_missing(missing[0], digest, how_to_get(missing[0])))
        try:
            tables: CohortTables = build(OmegaConf.create(literal(cohort)), "cohort").load()
        except ImmunocastError as error:
            names = ", ".join(map(str, files)) or "the cohort"
            raise DataChangedError(
                f"The run's data ({names}, SHA-256 then {digest[:12]}...) can't be read now: {error}"
            ) from error
        now = tables.provenance
        same = now.digest == digest and _digests_in(now.notes) == _digests_in(provenance.get("notes", ()))
        found = DataCheck(cohort, files, digest, now.digest, same)
        if same:
            return found
    assert found is not None
    if not found.files:
        return found
    raise DataChangedError(_changed(found))


def _placed(cohort: dict[str, Any], data_dir: Path) -> Iterator[tuple[dict[str, Any], list[Path]]]:
    """The cohort's configuration with places, and its files; several where a relative file lies in two of them."""
    nodes = list(_with_files(cohort))
    choices = [_places(node, data_dir) for node in nodes]
    for chosen in itertools.product(*choices):
        by_node = dict(zip(map(id, nodes), chosen, strict=True))
        files = [locate(place, _file_of(node)) for node, place in zip(nodes, chosen, strict=True)]
        yield _copy(cohort, by_node), [file.absolute() for file in files]


def _with_files(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A cohort and its members, those that read files."""
    target = str(node.get("_target_"))
    try:
        reader = get_class(target)
    except Exception as error:  # Hydra raises what importing raises
        raise DataChangedError(
            f"cohort._target_: this immunocast has no {target}, which read the run's data."
        ) from error
    if "data_dir" in inspect.signature(reader).parameters:
        yield node
    for member in (node.get("members") or {}).values():
        yield from _with_files(member)


def _file_of(node: dict[str, Any]) -> str:
    return str(node.get("file") or node.get("folder") or "")


def _places(node: dict[str, Any], data_dir: Path) -> list[Path]:
    places = [data_dir, Path()]
    there = [place for place in places if locate(place, _file_of(node)).exists()]
    absolute = Path(_file_of(node)).expanduser().is_absolute()
    return there[:1] if absolute and there else there or places[:1]


def _copy(node: dict[str, Any], places: dict[int, Path]) -> dict[str, Any]:
    copied = dict(node)
    if id(node) in places:
        copied["data_dir"] = str(places[id(node)].expanduser().absolute())
    if node.get("members"):
        copied["members"] = {name: _copy(member, places) for name, member in node["members"].items()}
    return copied


def _digests_in(notes: Any) -> list[str]:
    """Digests of further files that the notes of a provenance name, e.g. of a matrix of expression."""
    return sorted(set(re.findall(r"SHA-256 ([0-9a-f]{64})", " ".join(notes))))


def _missing(file: Path, digest: str, how: str) -> str:
    return (
        f"{file} is not there. The run was made from it (SHA-256 of its data then: {digest})."
        + (f" {how[0].upper()}{how[1:]}." if how.startswith("i") else f" {how}." if how else "")
        + " A file elsewhere is found with --data DIR (or IMMUNOCAST_DATA); one whose path is relative also from the "
        "folder in which the run was started."
    )


def _changed(found: DataCheck) -> str:
    names = ", ".join(map(str, found.files))
    if found.digest_now == found.digest_then:
        return f"{names}: a file that is joined to it, named in the provenance's notes, has changed since the run."
    what = "SHA-256" if len(found.files) == 1 and found.files[0].is_file() else "digest over all files"
    return (
        f"{names} changed since the run: {what} then {found.digest_then}, now {found.digest_now}. Restore the file "
        "of the run, or make a new run from the new one."
    )
