"""What a gate says: a finding, and whether it keeps the alias from moving."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASSED, FAILED, NOT_ASSESSABLE, OFF = "passed", "failed", "not assessable", "off"


@dataclass(frozen=True)
class Finding:
    """What a gate found: PASSED, FAILED or NOT_ASSESSABLE, and words with the numbers and the limit."""

    status: str
    words: str


def passed_if(good: bool, words: str) -> Finding:
    """A finding that either passes or fails."""
    return Finding(PASSED if good else FAILED, words)


def unknown(words: str) -> Finding:
    """A finding where the run does not hold what the gate needs."""
    return Finding(NOT_ASSESSABLE, words)


@dataclass(frozen=True)
class Verdict:
    """A gate's finding under its settings.

    Attributes
    ----------
    gate : name of the gate.
    status : PASSED, FAILED, NOT_ASSESSABLE or OFF (by configuration).
    words : numbers and limit, in a sentence.
    blocks : whether it keeps the alias from moving.
    """

    gate: str
    status: str
    words: str
    blocks: bool

    def text(self) -> str:
        """Status and words, as tags show them."""
        if self.status in (FAILED, NOT_ASSESSABLE) and not self.blocks:
            return f"{self.status}, which does not block: {self.words}"
        return f"{self.status}: {self.words}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
