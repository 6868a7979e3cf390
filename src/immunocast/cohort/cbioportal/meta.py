"""The meta files of a study: which data file is what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from immunocast.cohort.cbioportal.files import LfsPointer, lfs_pointer, read_lines
from immunocast.cohort.hints import closest
from immunocast.cohort.registry import how_to_get
from immunocast.errors import DataError, Problem


@dataclass(frozen=True)
class MetaFile:
    """One meta file: `key: value` lines, keys in lower case."""

    path: Path
    values: dict[str, str]

    def get(self, key: str) -> str:
        """Value of a key, "" where it is not there."""
        return self.values.get(key, "")

    @property
    def kind(self) -> tuple[str, str]:
        """genetic_alteration_type and datatype, upper case."""
        return self.get("genetic_alteration_type").upper(), self.get("datatype").upper()

    @property
    def data_path(self) -> Path | None:
        """The data file that it names; None for meta files without one (meta_study.txt)."""
        name = self.get("data_filename")
        return self.path.parent / name if name else None


@dataclass(frozen=True)
class DataFile:
    """A data file of the study and how it was found.

    Attributes
    ----------
    path : the file; it need not be there.
    meta : the meta file that names it; None where it was found by its usual name.
    """

    path: Path
    meta: MetaFile | None

    @property
    def is_there(self) -> bool:
        """The file exists (as data or as git-LFS pointer)."""
        return self.path.is_file()

    @property
    def pointer(self) -> LfsPointer | None:
        """The git-LFS pointer that stands in its place, if one does."""
        return lfs_pointer(self.path) if self.is_there else None


@dataclass
class Study:
    """What a study folder says about itself.

    Attributes
    ----------
    folder : its path.
    study_id : cancer_study_identifier; the folder's name where there is no meta_study.txt.
    metas : all meta files, by file name.
    """

    folder: Path
    study_id: str
    about: dict[str, str] = field(default_factory=dict)
    metas: list[MetaFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def find(self, alteration_type: str, *datatypes: str) -> list[MetaFile]:
        """Meta files of one genetic alteration type (and, where given, of one of these datatypes)."""
        return [m for m in self.metas if m.kind[0] == alteration_type and (not datatypes or m.kind[1] in datatypes)]

    def data_file(self, metas: list[MetaFile], *usual_names: str) -> DataFile | None:
        """The data file of the first of some meta files; without any, a file with one of its usual names."""
        for meta in metas:
            if meta.data_path is not None:
                return DataFile(meta.data_path, meta)
        for name in usual_names:
            if (self.folder / name).is_file():
                return DataFile(self.folder / name, None)
        return None


def read_meta(path: Path) -> MetaFile:
    """Read one meta file or case list.

    Raises
    ------
    DataError
        Where it cannot be read, or holds a line without a colon or a key twice.
    """
    values: dict[str, str] = {}
    for line in read_lines(path):
        if not line.text.strip() or line.text.startswith("#"):
            continue
        key, colon, value = line.text.partition(":")
        key = key.strip().lower()
        if not colon or key in values:
            message = f"the key {key!r} is there twice" if colon else "this line is no `key: value`"
            raise DataError(
                Problem(message, "Correct the meta file", file=str(path), rows=(line.number,), value=line.text[:60])
            )
        values[key] = value.strip()
    return MetaFile(path, values)


def read_study(folder: Path) -> Study:
    """Read the meta files of a study folder.

    Raises
    ------
    DataError
        Where the folder is not there or holds no study, and for every meta file that cannot be read.
    """
    _check_folder(folder)
    metas, problems = [], []
    for path in sorted(p for p in folder.iterdir() if p.name.lower().startswith("meta") and p.suffix == ".txt"):
        try:
            metas.append(read_meta(path))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    about = next((m for m in metas if m.path.name.lower() == "meta_study.txt"), None)
    study_id = about.get("cancer_study_identifier") if about else ""
    study = Study(folder, study_id or folder.resolve().name, dict(about.values) if about else {}, metas)
    if about is None:
        study.warnings.append(f"there is no meta_study.txt: the study is called {study.study_id!r}, like its folder")
    for meta in metas:
        said = meta.get("cancer_study_identifier")
        if said and said != study.study_id:
            study.warnings.append(f"{meta.path.name} belongs to another study: {said!r}, not {study.study_id!r}")
        if meta.kind[0] and not meta.get("data_filename"):
            study.warnings.append(f"{meta.path.name} names no data_filename: its data were not read")
    return study


def _check_folder(folder: Path) -> None:
    where = str(folder)
    if folder.is_file():
        mend = (
            "Unpack it and name the folder" if folder.suffix in (".gz", ".zip", ".tar", ".tgz") else "Name its folder"
        )
        raise DataError(Problem("this is a file, not a study folder", mend, file=where))
    if not folder.is_dir():
        try:
            near = closest(folder.name, [p.name for p in folder.parent.iterdir() if p.is_dir()])
            mend = f"There are: {', '.join(near)}" if near else "Check cohort.folder"
        except OSError:
            mend = f"The folder {folder.parent} is not there either"
        mend = how_to_get(folder) or mend
        mend += ". The folder of the data is `paths.data`, from the environment variable IMMUNOCAST_DATA"
        raise DataError(Problem("there is no such folder", mend, file=where))
    names = [p.name for p in folder.iterdir()]
    if not any(n.lower().startswith(("meta", "data_clinical")) for n in names):
        inside = [n for n in names if (folder / n / "meta_study.txt").is_file()]
        mend = (
            f"Did you mean {inside[0]} in it?" if inside else "A study has meta_study.txt and meta_clinical_sample.txt"
        )
        raise DataError(Problem("there is no study in this folder: no meta file", mend, file=where))
