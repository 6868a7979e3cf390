"""Text from data inside markdown."""

from __future__ import annotations

import re


def md(value: object) -> str:
    r"""Text from data, settings or errors, with what markdown or HTML would read as markup escaped.

    >>> md("<b>*50 %*</b>")
    '&lt;b&gt;\\*50 %\\*&lt;/b&gt;'
    """
    escaped = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escaped).replace("\n", " ")
