"""The two pictures of a card as SVG: small, sharp in print, drawn in milliseconds, nothing in them that could run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup, escape

from immunocast.report import text
from immunocast.report.card.facts import Facts

_WIDTH, _HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 46
#: Colour and dash of the lines in order; told apart without colour, too.
_STYLES = (("#0b5c96", ""), ("#8f4300", "7 4"), ("#566474", "2 3"), ("#1b2733", "10 3 2 3"))


@dataclass(frozen=True)
class Plot:
    """A picture: the SVG, what it shows in words, and the file with its numbers."""

    svg: Markup
    alt: str
    caption: str
    path: str


@dataclass(frozen=True)
class _Line:
    name: str
    points: list[tuple[float, float]]
    marks: list[tuple[float, float, float, float]]


def calibration_plot(facts: Facts) -> Plot | None:
    """Observed share against predicted probability, before and after recalibration; None where there is no curve."""
    curves = _overall(facts)
    lines = []
    for name, variant in zip(facts.names, facts.variants.values(), strict=False):
        smooth = curves[(curves["curve"] == "calibration_smooth") & (curves["model"] == name) & curves["y"].notna()]
        bins = curves[(curves["curve"] == "calibration") & (curves["model"] == name) & curves["y"].notna()]
        shown = smooth if len(smooth) else bins
        if len(shown):
            marks = [tuple(map(float, row)) for row in bins[["x", "y", "ci_low", "ci_high"]].to_numpy()]
            # one set of marks: of the model as it came
            lines.append(_Line(variant, _points(shown), marks if name == facts.model else []))  # type: ignore[arg-type]
    if not lines:
        return None
    top = min(1.0, max(0.3, *(max(x, y) for line in lines for x, y in line.points)) + 0.05)
    said = text.sentence("; ".join(map(_calibration_words, lines)))
    alt = f"Calibration curve. {said}. The dotted diagonal is the ideal."
    labels = ("Predicted probability", f"Observed share ({facts.words.rate})")
    return Plot(
        _draw(lines, (0.0, top), (0.0, top), labels, alt, diagonal=True),
        alt,
        "Points: groups of patients of like probability with 95 % intervals, the model as it came. Lines: smoothed.",
        "evidence/calibration.csv",
    )


def decision_plot(facts: Facts) -> Plot | None:
    """Net benefit against the threshold, beside treating all and none; None where there is no curve."""
    frame = facts.view.table("curves")
    frame = frame[(frame["curve"] == "decision") & frame["y"].notna()]
    frame = frame[frame["cohort_id"].isin(["combined", "pooled"])]
    wanted = {n: f"this model, {v}" for n, v in zip(facts.names, facts.variants.values(), strict=False)}
    wanted |= {"treat_all": facts.view.label("treat_all").lower(), "treat_none": facts.view.label("treat_none").lower()}
    lines = [
        _Line(v, _points(frame[frame["model"] == n]), []) for n, v in wanted.items() if (frame["model"] == n).any()
    ]
    if not any(n in set(frame["model"]) for n in facts.names):
        return None
    own = [y for line in lines if line.name.startswith("this") for _, y in line.points]
    low, high = min(-0.05, *own), max(0.05, *own)
    right = max(x for line in lines for x, _ in line.points)
    low = max(low, -0.15)
    names = ", ".join(line.name for line in lines)
    alt = f"Decision curve: net benefit of {names} over thresholds from 0 to {right:.2f}."
    return Plot(
        _draw(lines, (0.0, right), (low, high * 1.08), ("Threshold probability", "Net benefit"), alt, clip=True),
        alt,
        "A line above both others is the better rule at that threshold. It compares rules; it shows no benefit of "
        "treatment, since nobody untreated was analysed.",
        "evidence/decision_curve.csv",
    )


def _overall(facts: Facts) -> pd.DataFrame:
    frame = facts.view.table("curves")
    for overall in ("combined", "pooled"):
        rows = frame[(frame["cohort_id"] == overall) & frame["model"].isin(facts.names)]
        if len(rows):
            return rows
    return frame.iloc[:0]


def _points(frame: pd.DataFrame) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in frame.sort_values(["x", "y"])[["x", "y"]].to_numpy()]


def _calibration_words(line: _Line) -> str:
    (x0, y0), (x1, y1) = line.points[0], line.points[-1]
    return (
        f"{line.name}: at a predicted {text.percent(x0, 1, 0)}, {text.percent(y0, 1, 0)} had the event; at a predicted "
        f"{text.percent(x1, 1, 0)}, {text.percent(y1, 1, 0)}"
    )


def _draw(
    lines: Sequence[_Line],
    xs: tuple[float, float],
    ys: tuple[float, float],
    labels: tuple[str, str],
    alt: str,
    *,
    diagonal: bool = False,
    clip: bool = False,
) -> Markup:
    def at(x: float, y: float) -> tuple[float, float]:
        px = _LEFT + (x - xs[0]) / (xs[1] - xs[0]) * (_WIDTH - _LEFT - _RIGHT)
        py = _HEIGHT - _BOTTOM - (y - ys[0]) / (ys[1] - ys[0]) * (_HEIGHT - _TOP - _BOTTOM)
        return round(px, 1), round(py, 1)

    parts = []
    for value in _ticks(*xs):
        x, y = at(value, ys[0])
        parts.append(f'<text x="{x}" y="{y + 17}" text-anchor="middle">{value:g}</text>')
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{y}" stroke="#e4e8ed"/>')
    for value in _ticks(*ys):
        x, y = at(xs[0], value)
        shown = text.typographic(f"{value:g}")
        parts.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{shown}</text>')
        parts.append(f'<line x1="{x}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#e4e8ed"/>')
    if diagonal:
        (a, b), (c, d) = at(xs[0], xs[0]), at(xs[1], xs[1])
        parts.append(f'<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" stroke="#566474" stroke-dasharray="2 3"/>')
    if clip:
        inside = f'x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_HEIGHT - _TOP - _BOTTOM}"'
        parts.append(f'<svg {inside} viewBox="{_LEFT} {_TOP} {_WIDTH - _LEFT - _RIGHT} {_HEIGHT - _TOP - _BOTTOM}">')
    for line, (colour, dash) in zip(lines, _STYLES * 3, strict=False):
        path = " ".join(f"{x},{y}" for x, y in (at(*p) for p in line.points))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        for px, py, low, high in line.marks:
            if text.is_number(low) and text.is_number(high):
                (x, y0), (_, y1) = at(px, max(low, ys[0])), at(px, min(high, ys[1]))
                parts.append(f'<line x1="{x}" x2="{x}" y1="{y0}" y2="{y1}" stroke="{colour}"/>')
            x, y = at(px, py)
            parts.append(f'<circle cx="{x}" cy="{y}" r="3.2" fill="#fff" stroke="{colour}" stroke-width="1.6"/>')
    if clip:
        parts.append("</svg>")
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(labels[0])}</text>'
    )
    turned = f'transform="rotate(-90 14 {middle})"'
    parts.append(f'<text x="14" y="{middle}" text-anchor="middle" {turned}>{escape(labels[1])}</text>')
    key, height = _key(lines)
    parts.append(key)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT + height}" width="{_WIDTH}" height="{_HEIGHT + height}"'
    return Markup(
        f'<svg {size} role="img" aria-label="{escape(alt)}" font-size="12" fill="#1b2733">{"".join(parts)}</svg>'
    )


def _key(lines: Sequence[_Line]) -> tuple[str, int]:
    parts = []
    for i, (line, (colour, dash)) in enumerate(zip(lines, _STYLES * 3, strict=False)):
        y = _HEIGHT + 10 + 18 * i
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + 30}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dashed}/>'
        )
        parts.append(f'<text x="{_LEFT + 38}" y="{y + 4}">{escape(line.name)}</text>')
    return "".join(parts), 18 * len(lines) + 8


def _ticks(low: float, high: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if (high - low) / s <= 7)
    first = -(-low // step)
    return [round((first + i) * step, 6) + 0.0 for i in range(int((high - first * step) / step + 1e-9) + 1)]
