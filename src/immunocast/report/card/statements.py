"""What the author adds to a card: a YAML file keyed by the items of TRIPOD+AI, never shown as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from immunocast.errors import ConfigError, NotFoundError
from immunocast.report.card.tripod import BY_NUMBER

#: Key of the file beside the items: who says all that.
BY = "by"
MAX_LENGTH = 4000


@dataclass(frozen=True)
class Statements:
    """The author's words by item.

    Attributes
    ----------
    by : who makes the statements, "" where not told.
    items : number of an item -> text.
    """

    by: str = ""
    items: dict[str, str] = field(default_factory=dict)

    def text(self, number: str) -> str:
        """What the author says to an item, "" for nothing."""
        return self.items.get(number, "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"by": self.by, "items": dict(self.items)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any] | None) -> Statements:
        """Inverse of `to_dict`; None gives no statements."""
        return cls(str(content.get("by", "")), dict(content.get("items", {}))) if content else cls()


def read_statements(path: Path) -> Statements:
    """Read an author's file.

    Parameters
    ----------
    path : YAML: `by: NAME` and, for each item to be answered, its number and a text, e.g. `8b: two radiologists`.

    Raises
    ------
    NotFoundError
        Where there is no such file.
    ConfigError
        Where it is no YAML mapping, names no item of TRIPOD+AI, or an answer is no text.
    """
    if not path.is_file():
        raise NotFoundError(f"card.author names {path}, which is no file. Give the path of a YAML file, or null.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())[:300]}") from error
    if content is None:
        return Statements()
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold items and texts, e.g. `8b: two radiologists`; it holds {content!r:.80}.")
    by, items = "", {}
    for key, value in content.items():
        number = str(key).strip()
        if number != BY and number not in BY_NUMBER:
            raise ConfigError(
                f"{path}: {number!r:.40} is no item of TRIPOD+AI. Items: {', '.join(BY_NUMBER)}; `{BY}` tells who "
                "states it."
            )
        if value is None:
            continue
        if not isinstance(value, str):
            raise ConfigError(
                f"{path}: the statement to {number} is {value!r:.60}; write a text, in quotes if need be."
            )
        text = " ".join(value.split())
        if len(text) > MAX_LENGTH:
            raise ConfigError(f"{path}: the statement to {number} has {len(text):,} letters; {MAX_LENGTH:,} at most.")
        if number == BY:
            by = text
        elif text:
            items[number] = text
    return Statements(by, items)
