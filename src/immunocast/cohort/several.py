"""Several cohorts as one table: `cohort=[loris,oak]` on the command line.

The members are read on their own, each with its own mapping, corrections and waivers, and stacked in the order in
which they were named. What would make one row out of two people, or two out of one, is refused or renamed by a
stated rule and noted:

- `cohort_id`: unique over all members, else an error. A cohort is the unit that is left out and compared.
- `patient_id`: where an id of a member is also one of another's, every id of both members gets the member's name
  before it ("riaz2017-Pt1"): within a member either all ids are the source's, or none.
- `person_id`: treated likewise, because "Pt1" of two files are two people; except for members that are known to take
  their ids from one register (`shared_person_ids`), where the same id is the same person. Patients who are in two
  members under two ids are found afterwards by the linkage, which sees the whole table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import pandas as pd

from immunocast.cohort.table import CohortTables, Provenance, stack_cohorts, to_cohort_table
from immunocast.errors import ConfigError


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
    shared_person_ids : lists of members whose person ids come from one register: within a list the same id is the
        same person. True for all members. Names that are no members are passed over.

    Raises
    ------
    ConfigError
        Where a member is no reader, or is in two lists.
    """

    def __init__(
        self,
        members: Mapping[str, Reader],
        name: str | None = None,
        shared_person_ids: bool | Sequence[Sequence[str]] = (),
    ):
        for member, reader in members.items():
            if not callable(getattr(reader, "load", None)):
                raise ConfigError(f"cohort.members.{member} is no cohort: it has no `_target_` of a reader.")
        self.members = members
        self.name = name
        self.shared_person_ids = shared_person_ids
        self._register = self._registers()

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
        prefixes = self._prefixes(loaded)
        frames = [_with_prefix(t.cohort, prefixes[name]) for name, t in loaded.items()]
        notes = [
            f"{', '.join(sorted(loaded[name].cohort['cohort_id'].unique()))}: every {column} begins with {prefix!r}, "
            "because another cohort that was loaded has the same ids"
            for name, columns in prefixes.items()
            for column, prefix in columns.items()
        ]
        return CohortTables(
            to_cohort_table(stack_cohorts(frames)),
            _provenance(self.name or "+".join(loaded), loaded, notes),
            truth=_truth(loaded, prefixes),
            truth_features=_truth_features(list(loaded.values())),
            checks=[dict(row) for t in loaded.values() for row in t.checks],
            waive={cohort: dict(w) for t in loaded.values() for cohort, w in t.waive.items()},
            unmapped=_unmapped(list(loaded.values())),
            sources={cohort: dict(s) for t in loaded.values() for cohort, s in t.sources.items()},
        )

    def _registers(self) -> dict[str, str]:
        """Member -> what tells its person ids from others' of the same spelling: its list's first member, or itself."""
        told = self.shared_person_ids
        lists = [list(self.members)] if told is True else [] if told is False else told
        if isinstance(lists, str) or any(isinstance(names, str) for names in lists):
            raise ConfigError("cohort.shared_person_ids is a list of lists, e.g. [[clinic_a, clinic_b]], or true.")
        register = {name: name for name in self.members}
        for names in lists:
            there = [name for name in names if name in self.members]
            for name in there:
                if register[name] != name:
                    raise ConfigError(f"cohort.shared_person_ids has {name!r} in two lists. Write one list of all.")
                register[name] = there[0]
        return register

    def _prefixes(self, loaded: Mapping[str, CohortTables]) -> dict[str, dict[str, str]]:
        """Member -> {id column: prefix}, where one of its ids is also another's."""
        prefixes: dict[str, dict[str, str]] = {name: {} for name in loaded}
        for column, names in (("patient_id", {name: name for name in loaded}), ("person_id", self._register)):
            owners: dict[str, set[str]] = {}
            for name, tables in loaded.items():
                for value in tables.cohort[column].unique():
                    owners.setdefault(value, set()).add(names[name])
            colliding = set().union(*(o for o in owners.values() if len(o) > 1))
            for name in loaded:
                if names[name] in colliding:
                    prefixes[name][column] = names[name]
        return prefixes


def _with_prefix(table: pd.DataFrame, prefixes: Mapping[str, str]) -> pd.DataFrame:
    return table.assign(**{c: (f"{p}-" + table[c]).astype("str") for c, p in prefixes.items() if c in table})


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


def _truth(loaded: Mapping[str, CohortTables], prefixes: Mapping[str, Mapping[str, str]]) -> pd.DataFrame | None:
    """The truth of simulated members, ids renamed as in the cohort table."""
    parts = []
    for name, tables in loaded.items():
        if tables.truth is None:
            return None
        parts.append(_with_prefix(tables.truth, prefixes[name]))
    return pd.concat(parts, ignore_index=True)


def _truth_features(loaded: Sequence[CohortTables]) -> pd.DataFrame | None:
    """What is true of the features, where all members were simulated by the same truth; None where they differ."""
    truths = [t.truth_features for t in loaded if t.truth_features is not None]
    same = len(truths) == len(loaded) and all(truths[0].equals(t) for t in truths[1:])
    return truths[0] if same else None


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
