"""Several cohorts as one table: `cohort=[loris,oak]` on the command line.

The members are read on their own, each with its own mapping, corrections and waivers, and stacked in the order in
which they were named. What would make one row out of two people, or two out of one, is refused or renamed by a
stated rule and noted:

- `cohort_id`: unique over all members, else an error. A cohort is the unit that is left out and compared.
- `patient_id`: where an id of a member is also one of another's, every id of both members gets the member's name
  before it ("riaz2017-Pt1"): within a member either all ids are the source's, or none.
- `person_id`: treated likewise, because "Pt1" of two files are two people. Members whose person ids come from one
  register are loaded with `shared_person_ids: true`; ids are then left alone. Patients who are in two members
  under two ids are found afterwards by the linkage, which sees the whole table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import pandas as pd

from immunocast.cohort.table import CohortTables, Provenance, stack_cohorts, to_cohort_table
from immunocast.errors import ConfigError

_IDS = ("patient_id", "person_id")


class Reader(Protocol):
    """Anything that reads a cohort."""

    def load(self) -> CohortTables:
        """Read it."""
        ...


class SeveralCohorts:
    """Cohorts of several configurations in one table.

    Parameters
    ----------
    members : name of a cohort configuration -> its reader, in the order of the table.
    name : what the whole is called; the members' names with "+" between them by default.
    shared_person_ids : the members' person ids come from one register: the same id is the same person. Else ids
        that occur in two members are kept apart.

    Raises
    ------
    ConfigError
        Where a member is no reader.
    """

    def __init__(self, members: Mapping[str, Reader], name: str | None = None, shared_person_ids: bool = False):
        for member, reader in members.items():
            if not callable(getattr(reader, "load", None)):
                raise ConfigError(f"cohort.members.{member} is no cohort: it has no `_target_` of a reader.")
        self.members = members
        self.name = name
        self.shared_person_ids = shared_person_ids

    def load(self) -> CohortTables:
        """Read every member and stack them.

        Returns
        -------
        One table with the columns that any member has; a member's missing columns are missing values there.
        Checks, waivers and unmapped columns of all members; the digest is one of the members' names and digests.

        Raises
        ------
        ConfigError
            Where there is no member, two members hold the same cohort id, or synthetic and real patients would be
            mixed.
        DataError
            Where a member cannot be read.
        """
        if not self.members:
            raise ConfigError("No cohorts are named. Name them in a list, e.g. cohort=[loris,oak].")
        loaded = {name: reader.load() for name, reader in self.members.items()}
        _refuse_mixture(loaded)
        _refuse_shared_cohorts(loaded)
        renamed = self._renamed(loaded)
        frames = [_with_prefix(t.cohort, name, renamed[name]) for name, t in loaded.items()]
        notes = [
            f"{', '.join(sorted(loaded[name].cohort['cohort_id'].unique()))}: every {column} begins with {name!r}, "
            "because another cohort that was loaded has the same ids"
            for name, columns in renamed.items()
            for column in columns
        ]
        return CohortTables(
            to_cohort_table(stack_cohorts(frames)),
            _provenance(self.name or "+".join(loaded), loaded, notes),
            truth=_truth(loaded, renamed),
            truth_features=_truth_features(list(loaded.values())),
            checks=[dict(row) for t in loaded.values() for row in t.checks],
            waive={cohort: dict(w) for t in loaded.values() for cohort, w in t.waive.items()},
            unmapped=_unmapped(list(loaded.values())),
            sources={cohort: dict(s) for t in loaded.values() for cohort, s in t.sources.items()},
        )

    def _renamed(self, loaded: Mapping[str, CohortTables]) -> dict[str, list[str]]:
        """The id columns of each member that get its name, because a value is also another member's."""
        renamed: dict[str, list[str]] = {name: [] for name in loaded}
        for column in _IDS:
            if column == "person_id" and self.shared_person_ids:
                continue
            owners: dict[str, set[str]] = {}
            for name, tables in loaded.items():
                for value in tables.cohort[column].unique():
                    owners.setdefault(value, set()).add(name)
            colliding = {name for names in owners.values() if len(names) > 1 for name in names}
            for name in loaded:
                if name in colliding:
                    renamed[name].append(column)
        return renamed


def _with_prefix(cohort: pd.DataFrame, name: str, columns: Sequence[str]) -> pd.DataFrame:
    return cohort.assign(**{c: (f"{name}-" + cohort[c]).astype("str") for c in columns})


def _refuse_mixture(loaded: Mapping[str, CohortTables]) -> None:
    synthetic = [name for name, t in loaded.items() if t.provenance.synthetic]
    if 0 < len(synthetic) < len(loaded):
        real = [name for name in loaded if name not in synthetic]
        raise ConfigError(
            f"{', '.join(synthetic)} is simulated and {', '.join(real)} is not: their results would be neither real "
            "nor simulated. Load them in separate runs."
        )


def _refuse_shared_cohorts(loaded: Mapping[str, CohortTables]) -> None:
    owner: dict[str, str] = {}
    for name, tables in loaded.items():
        for cohort_id in tables.cohort["cohort_id"].unique():
            if cohort_id in owner:
                raise ConfigError(
                    f"The cohort id {cohort_id!r} is in {owner[cohort_id]} and in {name}. Each cohort needs its own: "
                    f"set cohort.members.{name}.name where the file has no cohort ids, select with "
                    f"cohort.members.{name}.cohorts=[...] where the same cohort is in both, or rename it in the file."
                )
            owner[cohort_id] = name


def _provenance(name: str, loaded: Mapping[str, CohortTables], notes: Sequence[str]) -> Provenance:
    sources = {member: t.provenance for member, t in loaded.items()}
    digests = "".join(f"{member}:{p.digest}\n" for member, p in sources.items())
    views = sorted({p.view for p in sources.values()})
    return Provenance(
        name=name,
        synthetic=all(p.synthetic for p in sources.values()),
        source="; ".join(f"{member}: {p.source}" for member, p in sources.items()),
        digest=hashlib.sha256(digests.encode()).hexdigest(),
        # published values in one member are published values in the whole
        view=views[0] if len(views) == 1 else "as_published",
        licence="; ".join(f"{member}: {p.licence}" for member, p in sources.items() if p.licence),
        notes=(*notes, *dict.fromkeys(note for p in sources.values() for note in p.notes)),
    )


def _truth(loaded: Mapping[str, CohortTables], renamed: Mapping[str, Sequence[str]]) -> pd.DataFrame | None:
    """The truth of simulated members, ids renamed as in the cohort table."""
    parts = []
    for name, tables in loaded.items():
        if tables.truth is None:
            return None
        columns = [c for c in renamed[name] if c in tables.truth]
        parts.append(_with_prefix(tables.truth, name, columns))
    return pd.concat(parts, ignore_index=True)


def _truth_features(loaded: Sequence[CohortTables]) -> pd.DataFrame | None:
    """What is true of the features, where all members were simulated by the same truth; None where they differ."""
    first = loaded[0].truth_features
    same = first is not None and all(first.equals(t.truth_features) for t in loaded[1:])
    return first if same else None


def _unmapped(loaded: Sequence[CohortTables]) -> pd.DataFrame | None:
    """Unmapped columns of all members, aligned with the stacked rows; None where no member has any."""
    if all(t.unmapped is None for t in loaded):
        return None
    parts = []
    for tables in loaded:
        part = pd.DataFrame(index=range(len(tables.cohort))) if tables.unmapped is None else tables.unmapped
        parts.append(part.astype(object).reset_index(drop=True))
    names = list(dict.fromkeys(c for p in parts for c in p))
    return pd.concat([p.reindex(columns=names) for p in parts], ignore_index=True)
