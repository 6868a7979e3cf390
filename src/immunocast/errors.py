"""Errors that a user can mend: each says where the trouble is and what to do.

Entry points turn them into a short message and an exit code; anything else is a defect of immunocast
and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ImmunocastError(Exception):
    """Base of all errors that a user can mend. `exit_code` is what the process ends with."""

    exit_code = 2


class ConfigError(ImmunocastError):
    """A setting is missing, unknown or contradicts another one."""


class NotFoundError(ImmunocastError):
    """A run, model, table or file that was asked for is not there."""


class CheckError(ImmunocastError):
    """A quality check of severity `error` fired and was not waived."""

    exit_code = 3


class PublishError(ImmunocastError):
    """A run was computed and lies whole on disk, but it is not, or not wholly, published; the message says how to."""

    exit_code = 4


class FetchError(ImmunocastError):
    """A file could not be had from its address: network, server, checksum or disk. Nothing half is left behind.

    `status` is the server's HTTP status, None where it did not come to one.
    """

    exit_code = 5

    def __init__(self, message: str, status: int | None = None):
        super().__init__(message)
        self.status = status


class ConflictError(ImmunocastError):
    """Somebody else changed the same thing meanwhile: nothing was overwritten; look, and try again."""

    exit_code = 7


class SweepError(ImmunocastError):
    """Some jobs of a sweep failed; what the others found stands."""

    exit_code = 8


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file.

    Attributes
    ----------
    message : what is wrong, in a sentence.
    mend : what the user can do about it.
    file, sheet, column : where; None where it does not apply.
    rows : row numbers as the user's spreadsheet or editor shows them (the header is row 1).
    value : the offending value as text (the first one, where there are several).
    """

    message: str
    mend: str = ""
    file: str | None = None
    sheet: str | None = None
    column: str | None = None
    rows: tuple[int, ...] = ()
    value: str | None = None

    def __str__(self) -> str:
        where = [part for part in (self.file, self.sheet and f"sheet {self.sheet}") if part]
        if self.column:
            where.append(f"column {self.column}")
        if self.rows:
            shown = ", ".join(str(r) for r in self.rows[:8])
            more = f" and {len(self.rows) - 8} more" if len(self.rows) > 8 else ""
            where.append(f"row{'s' if len(self.rows) > 1 else ''} {shown}{more}")
        text = f"{', '.join(where)}: {self.message}" if where else self.message
        if self.value is not None:
            text += f" (value {self.value!r})"
        return f"{text}. {self.mend}" if self.mend else text


class DataError(ImmunocastError):
    """Input data that cannot be read as told; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem] | Problem | str):
        if isinstance(problems, str):
            problems = [Problem(problems)]
        elif isinstance(problems, Problem):
            problems = [problems]
        self.problems = list(problems)
        head = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(head + " in the input:\n" + "\n".join(f"  - {p}" for p in self.problems))
