"""A card as markdown, from the same blocks as the HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from immunocast.report import text
from immunocast.report.card.plots import Plot
from immunocast.report.card.sections import Bullets, Link, Paragraph, Part, Section
from immunocast.report.sections import Cell, Sheet


def heading(level: int, words: str) -> str:
    """A heading."""
    return f"{'#' * level} {escaped(words)}"


def lines(section: Section) -> Iterator[str]:
    """A section, with an empty line between blocks."""
    yield from (heading(2, section.title), "", f"*{escaped(section.origin)}.*", "")
    for part in section.parts:
        yield from _part(part)


def _part(part: Part) -> Iterator[str]:
    if part.title:
        yield from (heading(3, part.title), "")
    for block in part.blocks:
        if isinstance(block, Paragraph):
            words = escaped(block.text)
            yield from (f"**{words}**" if block.strong else words, "")
        elif isinstance(block, Bullets):
            yield from (*(f"- {escaped(item)}" for item in block.items), "")
        elif isinstance(block, Plot):
            yield from (f"{escaped(block.alt)} Numbers: {link(block.path)}", "")
        elif isinstance(block, Sheet):
            yield from table(block)
    if part.links:
        yield from (f"Files: {', '.join(_link(found) for found in part.links)}", "")


def table(sheet: Sheet) -> Iterator[str]:
    """A table; an interval stands behind its number."""
    if sheet.title:
        yield from (f"{escaped(sheet.title)}:", "")
    yield "| " + " | ".join(escaped(head) for head in sheet.heads) + " |"
    yield "|" + " --- |" * len(sheet.heads)
    for row in sheet.rows:
        yield "| " + " | ".join(cell(c) for c in row) + " |"
    yield ""
    if sheet.notes:
        yield from (*(f"- {escaped(note)}" for note in sheet.notes), "")


def cell(found: Cell) -> str:
    """A value and its interval."""
    return escaped(found.value) + (f" ({escaped(found.span)})" if found.span else "")


def _link(found: Link) -> str:
    return link(found.path) + (f" ({escaped(found.says)})" if found.says else "")


def link(path: str) -> str:
    """A link whose words are its path, so that it can be found where links do not work."""
    return f"[{path}]({path})"


def escaped(words: object) -> str:
    """Text from data with what markdown or HTML would read as markup escaped, on one line."""
    found = text.typographic(str(words)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    found = re.sub(r"([\\`*_\[\]|~])", r"\\\1", found)
    found = re.sub(r"\s+", " ", found).strip()
    # what would begin a heading, a list or a quotation
    return re.sub(
        r"^(#{1,6}|[-+]|\d+[.)])(?=\s)",
        lambda m: "\\" + m[0] if not m[0][0].isdigit() else m[0][:-1] + "\\" + m[0][-1],
        found,
    )


def joined(parts: Iterable[str]) -> str:
    """Lines as a file: never two empty lines in a row, one newline at the end."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip() + "\n"
