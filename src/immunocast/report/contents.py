"""The table of contents, read from the headings of the rendered sections: it can not name one that is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Entry:
    """A line of the contents.

    Attributes
    ----------
    id : the anchor.
    title : words of the heading, plain text.
    below : entries of the headings one level lower.
    """

    id: str
    title: str
    below: list[Entry] = field(default_factory=list)


def slug(title: str) -> str:
    """An anchor for a heading.

    >>> slug("Where outcome and PD-L1 disagree")
    'where-outcome-and-pd-l1-disagree'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def contents(html: str) -> list[Entry]:
    """Sections (h2) of a page with the headings (h3) below each.

    Parameters
    ----------
    html : sections; the anchor of an h2 is the id of its `section`, that of an h3 its own. A section may say in
        `data-contents` what it is called in the contents.

    Returns
    -------
    Entries in reading order; a heading without an anchor has none.

    >>> contents('<section id="a"><h2>A</h2><h3 id="b">B &amp; C</h3></section>')
    [Entry(id='a', title='A', below=[Entry(id='b', title='B & C', below=[])])]
    """
    reader = _Headings()
    reader.feed(html)
    return reader.found


class _Headings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Entry] = []
        self._section, self._named = "", ""
        self._open: Entry | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs).get("id") or ""
        if tag == "section":
            self._section, self._named = own, dict(attrs).get("data-contents") or ""
        elif tag == "h2" and self._section:
            entry = Entry(self._section, self._named)
            self._open = None if self._named else entry
            self.found.append(entry)
        elif tag == "h3" and own and self.found:
            self._open = Entry(own, "")
            self.found[-1].below.append(self._open)

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.title += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "h3"):
            self._open = None
