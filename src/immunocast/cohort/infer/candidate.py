"""A column of a file as one of the vocabulary, with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from immunocast.cohort.infer.profile import Profile


@dataclass(frozen=True)
class Candidate:
    """What a column may be.

    Attributes
    ----------
    name : of the vocabulary.
    header : in the file.
    confidence : 0 to 1; 0 for "no", with the reason in `why`.
    spec : keys of the mapping beside `source`.
    why : the reason, in words.
    doubts : what a person should look at.
    """

    name: str
    header: str
    confidence: float
    spec: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    doubts: tuple[str, ...] = ()


def veto(name: str, seen: Profile, why: str) -> Candidate:
    """A column that its header would place, and its values do not."""
    return Candidate(name, seen.header, 0.0, {}, why)
