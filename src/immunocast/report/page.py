"""What the pages share: how templates are read, and their style sheet."""

from __future__ import annotations

import base64
import re
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from immunocast.report import text
from immunocast.report.contents import slug


def environment() -> Environment:
    """Templates of the report; everything that they print is escaped, and an unknown name is an error."""
    found = Environment(
        loader=PackageLoader("immunocast.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["num"] = unbroken
    found.filters["slug"] = slug
    return found


def style_sheet() -> Markup:
    """The style sheet: our own file, no data in it."""
    return Markup(resources.files("immunocast.report").joinpath("templates/report.css").read_text(encoding="utf-8"))


def data_uri(picture: Path) -> str:
    """A PNG file inside a page."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def unbroken(words: str) -> str:
    """Typographic minus signs, and per cent signs that stay on the line of their number."""
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text.typographic(words))
