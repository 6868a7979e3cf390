"""One look for all figures: colours that colour-blind readers tell apart, type that reads at 1x, stable bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

from immunocast.report.palette import with_palette
from immunocast.report.view import RunView

INK, MUTED, GRID, PAPER = "#1b2733", "#5f6c7b", "#e4e8ed", "#ffffff"
#: Okabe and Ito (2008), "Color Universal Design": eight colours that all common kinds of sight tell apart.
BLUE, VERMILLION, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
AMBER, SKY, GREY = "#E69F00", "#56B4E9", "#7a8794"
#: The mark of synthetic data: vermillion, dark enough for words (6.5 to 1 on white).
MARK = "#a34300"
RESPONDER, NON_RESPONDER = "#009E73", "#9aa5b1"
#: Low to high value of a feature: amber over light grey to blue, told apart without red and green.
VALUE_MAP = LinearSegmentedColormap.from_list("value", ["#d98200", "#dfe3e8", "#00558c"])
DPI = 150
WIDTH = 9.6

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so bytes do not depend on the machine's fonts
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b8c0c9",
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}


@dataclass(frozen=True)
class Line:
    """How a model is drawn, the same in every figure."""

    color: str
    width: float
    style: str
    marker: str


def lines(view: RunView) -> dict[str, Line]:
    """A line for every model: headline blue, reference vermillion, the rest in fixed order, rules as markers."""
    colours, styles, markers = (
        (GREEN, PINK, AMBER, SKY),
        ("-", "-", "--", ":"),
        ("s", "^", "D", "v", "X", "P"),
    )
    out: dict[str, Line] = {}
    rest = rule = 0
    for model in view.order:
        if model == view.headline:
            out[model] = Line(BLUE, 2.6, "-", "o")
        elif model == view.reference:
            out[model] = Line(VERMILLION, 2.2, "--", "s")
        elif model in view.rules:
            out[model] = Line(GREY, 1.2, ":", markers[rule % len(markers)])
            rule += 1
        else:
            turn = rest // len(colours)
            out[model] = Line(colours[rest % len(colours)], 1.6, styles[turn % len(styles)], "o")
            rest += 1
    return out


@contextmanager
def canvas(view: RunView, path: Path, title: str, height: float, width: float = WIDTH) -> Iterator[Canvas]:
    """A figure that is titled, marked where it is synthetic, and saved when the block ends."""
    with matplotlib.rc_context(_RC):
        footer = 0.22 / height if view.synthetic else 0.0
        layout = ConstrainedLayoutEngine(
            w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.04, rect=(0, footer, 1, 1 - footer)
        )
        figure = Canvas(figsize=(width, height), layout=layout)
        figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold")
        yield figure
        if view.synthetic:
            figure.text(
                0.988, 0.06 / height, "SYNTHETIC DATA, no patient exists", ha="right", va="bottom",
                fontsize=8, fontweight="bold", color=MARK,
            )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.set_dpi(DPI)
        drawn = FigureCanvasAgg(figure)
        drawn.draw()
        # no version and no time in it
        with_palette(np.asarray(drawn.buffer_rgba())).save(path, format="PNG", dpi=(DPI, DPI))


def quiet(axes: Axes, grid: str = "both") -> None:
    """Light grid, no tick marks."""
    axes.tick_params(length=0)
    if grid != "none":
        axes.grid(True, axis=grid)  # type: ignore[arg-type]


def ink_on(rgba: Any) -> str:
    """The colour of words on a ground: ink or white, whichever has more contrast (WCAG 2 relative luminance)."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3]]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))
    return INK if (luminance + 0.05) / (0.0195 + 0.05) >= 1.05 / (luminance + 0.05) else "white"


def clip_label(label: str, width: int = 34) -> str:
    """Shorten a long label with an ellipsis, and keep matplotlib from reading "$" as mathematics."""
    label = label if len(label) <= width else label[: width - 1].rstrip() + "…"
    return label.replace("$", r"\$")
