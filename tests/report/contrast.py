"""Contrast ratios of WCAG 2, from colours as style sheets write them."""

from __future__ import annotations

import re

from matplotlib.colors import to_rgb

RGB = tuple[float, float, float]


def luminance(colour: RGB) -> float:
    """Relative luminance of a colour of sRGB, each part within 0 and 1 (WCAG 2.2, definition)."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one: RGB, other: RGB) -> float:
    """Contrast ratio, from 1 to 21.

    >>> contrast((0, 0, 0), (1, 1, 1))
    21.0
    """
    dark, light = sorted((luminance(one), luminance(other)))
    return round((light + 0.05) / (dark + 0.05), 2)


def style_rules(css: str) -> list[tuple[str, dict[str, str]]]:
    """(selector, declarations) of a style sheet, rules inside @media too; comments are dropped."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    rules = []
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
        pairs = [d.split(":", 1) for d in body.split(";") if ":" in d]
        rules.append((selector.strip(), {k.strip(): v.strip() for k, v in pairs}))
    return rules


def colour_of(value: str, variables: dict[str, str]) -> RGB | None:
    """The colour that a declaration ends in; None for none (transparent, inherit)."""
    value = re.sub(r"var\((--[\w-]+)\)", lambda m: variables[m[1]], value)
    found = re.findall(r"#[0-9a-fA-F]{3,6}\b", value)
    return to_rgb(found[-1]) if found else None
