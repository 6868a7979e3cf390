"""The registry of public cohorts: what they are, where they lie in the world, and whether they are here.

A cohort is here if its files lie below the folder of the data (`paths.data`, a copy put there by hand counts) or
below the cache, where `immunocast cohorts fetch` puts them. Readers look in that order, so one argument loads a
cohort wherever it is: `cohort=oak`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from immunocast.cohort.hints import did_you_mean
from immunocast.errors import ConfigError, NotFoundError

CACHE_VARIABLE = "IMMUNOCAST_CACHE"
REGISTRY_VARIABLE = "IMMUNOCAST_REGISTRY"
#: Prefix of the id of any study in cBioPortal's datahub.
STUDY_PREFIX = "cbioportal:"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COHORT_KEYS = (
    *("title", "config", "patients", "tumor_types", "has", "licence", "citation", "caveats", "files"),
    *("study", "raw", "media"),
)
_FILE_KEYS = ("path", "tested_sha256", "origins", "made", "note", "optional")
_ORIGIN_KEYS = ("address", "sha256")
_HUB_KEYS = ("path", "raw", "media", "licence", "required", "optional")

Where = Literal["local", "cached", "not here"]


@dataclass(frozen=True)
class Origin:
    """A public file. `sha256` is None where its digest is not known (trust on first use)."""

    address: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.address.split("?")[0]).name


@dataclass(frozen=True)
class CohortFile:
    """A file that a cohort's configuration reads.

    Attributes
    ----------
    path : below the folder of the data.
    origins : public files that it is made of.
    made : "as_is", "table" (written as CSV from a sheet or TSV of the only origin) or "by_hand".
    sheet : the sheet of a "table" from a workbook.
    by_hand : what has to be done, for "by_hand".
    tested_sha256 : of the copy with which the mapping was tested.
    optional : the cohort loads without it.
    note : what else to know.
    """

    path: str
    origins: tuple[Origin, ...]
    made: Literal["as_is", "table", "by_hand"] = "as_is"
    sheet: str | None = None
    by_hand: str = ""
    tested_sha256: str | None = None
    optional: bool = False
    note: str = ""


@dataclass(frozen=True)
class Hub:
    """Where studies in the layout of cBioPortal are served; `{study}` and `{file}` are filled in.

    Attributes
    ----------
    path : of a study's folder below the folder of the data.
    raw : address of a file, which may be a git-LFS pointer.
    media : address of the data behind a pointer.
    required, optional : files that a study must have, and may have.
    """

    path: str
    raw: str
    media: str
    licence: str = ""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class CohortEntry:
    """A cohort of the registry.

    Attributes
    ----------
    id : its name in the registry.
    config : the configuration that reads it, `cohort=CONFIG`; "" for a study that has none.
    patients : how many, None where it is not known.
    tumor_types, has : what it holds, in words.
    files : of a cohort that is a table; empty for a study.
    study, hub : of a study in the layout of cBioPortal.
    """

    id: str
    title: str
    config: str = ""
    patients: int | None = None
    tumor_types: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    caveats: tuple[str, ...] = ()
    files: tuple[CohortFile, ...] = ()
    study: str | None = None
    hub: Hub | None = None

    @property
    def folder(self) -> str | None:
        """Folder of a study below the folder of the data; None for a table."""
        return None if self.hub is None else self.hub.path.format(study=self.study)

    def is_in(self, data_dir: Path) -> bool:
        """Whether all that the cohort needs to load lies below a folder of the data."""
        if self.hub is not None and self.folder is not None:
            study = data_dir / self.folder
            return all((study / name).is_file() for name in self.hub.required) and any(study.glob("data_clinical_*"))
        return all((data_dir / f.path).is_file() for f in self.files if not f.optional)

    def where(self, data_dir: Path) -> Where:
        """Where it is: below the folder of the data, in the cache, or not here."""
        if self.is_in(data_dir):
            return "local"
        return "cached" if self.is_in(cache_dir()) else "not here"


@dataclass(frozen=True)
class Registry:
    """Cohorts by id, and where studies of cBioPortal are served."""

    cohorts: dict[str, CohortEntry]
    hub: Hub | None
    source: Path

    def entry(self, cohort_id: str) -> CohortEntry:
        """The cohort with an id; `cbioportal:STUDY` is any study of the hub.

        Raises
        ------
        NotFoundError
            Where there is none; names the nearest.
        ConfigError
            For a study id that can be no name of a folder.
        """
        if cohort_id in self.cohorts:
            return self.cohorts[cohort_id]
        if cohort_id.startswith(STUDY_PREFIX) and self.hub is not None:
            study = cohort_id.removeprefix(STUDY_PREFIX)
            if study in self.cohorts and self.cohorts[study].study == study:
                return self.cohorts[study]
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", study) or ".." in study:
                raise ConfigError(
                    f"{cohort_id!r}: {study!r} is no study id. Example: {STUDY_PREFIX}nsclc_pd1_msk_2018."
                )
            return CohortEntry(
                cohort_id, f"cBioPortal study {study}", licence=self.hub.licence, study=study, hub=self.hub
            )
        hint = did_you_mean(cohort_id, self.cohorts)
        more = f" Any study of cBioPortal is {STUDY_PREFIX}STUDY." if self.hub is not None else ""
        raise NotFoundError(f"There is no cohort {cohort_id!r}. {hint} Cohorts: {', '.join(self.cohorts)}.{more}")


def cache_dir() -> Path:
    """Folder of what was fetched: IMMUNOCAST_CACHE, else the user's cache folder."""
    told = os.environ.get(CACHE_VARIABLE)
    if told:
        return Path(told).expanduser()
    import pooch

    return Path(pooch.os_cache("immunocast"))


def locate(data_dir: str | Path, file: str | Path) -> Path:
    """Where a file of the data lies: below the folder of the data, else in the cache, else where it should lie.

    Parameters
    ----------
    data_dir : folder of the data.
    file : absolute, or relative to `data_dir`.
    """
    there = Path(data_dir).expanduser() / Path(file).expanduser()
    if Path(file).expanduser().is_absolute() or there.exists():
        return there
    cached = cache_dir() / file
    return cached if cached.exists() else there


def how_to_get(file: str | Path) -> str:
    """A sentence on how to get a missing file of a public cohort; "" for other files."""
    text = f"/{Path(file).as_posix()}/"
    for entry in load_registry().cohorts.values():
        places = [entry.folder] if entry.folder else [f.path for f in entry.files]
        if any(f"/{place}/" in text for place in places):
            return f"`immunocast cohorts fetch {entry.id}` gets it (`cohorts describe {entry.id}` tells from where)"
    return ""


def load_registry(path: str | Path | None = None) -> Registry:
    """Read a registry.

    Parameters
    ----------
    path : YAML file; None for IMMUNOCAST_REGISTRY, else the one that comes with immunocast.

    Raises
    ------
    NotFoundError
        Where there is no such file.
    ConfigError
        With what is wrong in it.
    """
    told = path or os.environ.get(REGISTRY_VARIABLE)
    source = Path(told).expanduser() if told else Path(__file__).with_name("registry.yaml")
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no registry {source}.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"The registry {source} cannot be read: {error}") from None
    return _Parser(source).registry(content)


class _Parser:
    """Turns the YAML into entries, or says what is wrong with it."""

    def __init__(self, source: Path):
        self.source = source

    def fail(self, where: str, why: str) -> ConfigError:
        return ConfigError(f"The registry {self.source}, {where}: {why}.")

    def dict_of(self, content: Any, where: str, known: tuple[str, ...] | None = None) -> Mapping[str, Any]:
        if not isinstance(content, Mapping):
            raise self.fail(where, f"must be a mapping of keys, not {content!r}")
        for key in content if known else ():
            if key not in (known or ()):
                raise self.fail(where, f"unknown key {key!r}. {did_you_mean(str(key), known or ())}".strip())
        return content

    def text(self, content: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
        value = content.get(key, default)
        if not isinstance(value, str):
            raise self.fail(f"{where}.{key}", f"must be text, not {value!r}")
        return value

    def texts(self, content: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        value = content.get(key) or []
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.fail(f"{where}.{key}", f"must be a list of texts, not {value!r}")
        return tuple(value)

    def digest(self, content: Mapping[str, Any], key: str, where: str) -> str | None:
        value = content.get(key)
        if value is not None and not (isinstance(value, str) and _DIGEST.fullmatch(value)):
            raise self.fail(f"{where}.{key}", f"must be a SHA-256 of 64 lower-case hex digits, or null, not {value!r}")
        return value

    def path(self, content: Mapping[str, Any], where: str) -> str:
        value = self.text(content, "path", where)
        if not is_inside(value):
            raise self.fail(f"{where}.path", f"must lie inside the folder of the data, not {value!r}")
        return value

    def registry(self, content: Any) -> Registry:
        content = self.dict_of(content, "the file", ("version", "cohorts", "cbioportal"))
        if content.get("version") != 1:
            raise self.fail("version", f"is {content.get('version')!r}; this immunocast reads version 1")
        hub = self.hub(content["cbioportal"], "cbioportal") if content.get("cbioportal") else None
        entries = self.dict_of({} if content.get("cohorts") is None else content["cohorts"], "cohorts")
        cohorts = {str(k): self.cohort(str(k), e, hub, f"cohorts.{k}") for k, e in entries.items()}
        return Registry(cohorts, hub, self.source)

    def hub(self, content: Any, where: str) -> Hub:
        content = self.dict_of(content, where, _HUB_KEYS)
        optional = self.texts(content, "optional", where)
        required = self.texts(content, "required", where) or ("meta_study.txt",)
        for name in (*required, *optional):
            if not is_inside(name):
                raise self.fail(where, f"{name!r} must lie inside the study's folder")
        texts = {key: self.text(content, key, where) for key in ("raw", "media")}
        licence = self.text(content, "licence", where, "")
        return Hub(self.path(content, where), **texts, licence=licence, required=required, optional=optional)

    def cohort(self, key: str, content: Any, hub: Hub | None, where: str) -> CohortEntry:
        content = self.dict_of(content, where, _COHORT_KEYS)
        study = content.get("study")
        own = None
        if study is not None:
            if hub is None:
                raise self.fail(where, "has a study, but the registry has no section `cbioportal`")
            raw, media = (content.get(k) or getattr(hub, k) for k in ("raw", "media"))
            own = Hub(hub.path, raw, media, hub.licence, hub.required, hub.optional)
        listed = content.get("files") or []
        if not isinstance(listed, list):
            raise self.fail(f"{where}.files", f"must be a list of files, not {listed!r}")
        files = tuple(self.file(f, f"{where}.files[{i}]") for i, f in enumerate(listed) if study is None)
        if study is None and not files:
            raise self.fail(where, "needs `files` or a `study`")
        patients = content.get("patients")
        if patients is not None and (not isinstance(patients, int) or isinstance(patients, bool)):
            raise self.fail(f"{where}.patients", f"must be a whole number or null, not {patients!r}")
        return CohortEntry(
            key,
            self.text(content, "title", where),
            self.text(content, "config", where, ""),
            patients,
            self.texts(content, "tumor_types", where),
            self.texts(content, "has", where),
            self.text(content, "licence", where, ""),
            self.text(content, "citation", where, ""),
            self.texts(content, "caveats", where),
            files,
            str(study) if study is not None else None,
            own,
        )

    def file(self, content: Any, where: str) -> CohortFile:
        content = self.dict_of(content, where, _FILE_KEYS)
        origins = []
        for i, origin in enumerate(content.get("origins") or []):
            at = f"{where}.origins[{i}]"
            origin = self.dict_of(origin, at, _ORIGIN_KEYS)
            origins.append(Origin(self.text(origin, "address", at), self.digest(origin, "sha256", at)))
        if not origins:
            raise self.fail(where, "needs at least one origin")
        made, sheet, by_hand = self.made(content.get("made", "as_is"), f"{where}.made")
        if made != "by_hand" and len(origins) != 1:
            raise self.fail(where, f"made {made} takes one origin, not {len(origins)}")
        return CohortFile(
            self.path(content, where),
            tuple(origins),
            made,
            sheet,
            by_hand,
            self.digest(content, "tested_sha256", where),
            bool(content.get("optional", False)),
            self.text(content, "note", where, ""),
        )

    def made(self, content: Any, where: str) -> tuple[Literal["as_is", "table", "by_hand"], str | None, str]:
        if content == "as_is":
            return "as_is", None, ""
        entry = self.dict_of(content, where, ("table", "by_hand"))
        if len(entry) != 1:
            raise self.fail(where, "must be as_is, {table: SHEET or null} or {by_hand: WORDS}")
        if "table" in entry:
            return "table", None if entry["table"] is None else str(entry["table"]), ""
        return "by_hand", None, self.text(entry, "by_hand", where)


def is_inside(path: str) -> bool:
    """Whether a relative path stays inside its folder: no absolute path, no "..", no drive, no backslash."""
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and ":" not in path
