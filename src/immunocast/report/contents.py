"""The table of contents, read from the headings of the rendered sections: it can not name one that is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape


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
    found: list[Entry] = []
    section = named = ""
    for attributes, level, own, words in _PLACES.findall(html):
        if not level:
            section, named = _attribute(attributes, "id"), _attribute(attributes, "data-contents")
        elif level == "2" and section:
            found.append(Entry(section, named or _plain(words)))
        elif level == "3" and found and _attribute(own, "id"):
            found[-1].below.append(Entry(_attribute(own, "id"), _plain(words)))
    return found


# where sections begin, and whole headings: a parser would read through the pictures too, nearly all of the page
_PLACES = re.compile(r"<section\b([^>]*)>|<h([23])\b([^>]*)>(.*?)</h\2>", re.S)


def _attribute(attributes: str, name: str) -> str:
    found = re.search(rf'(?:^|\s){name}="([^"]*)"', attributes)
    return unescape(found[1]) if found else ""


def _plain(words: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", words))
