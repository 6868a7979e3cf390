"""Rows of a benchmark against a peer, and how they are written: medians, spread, versions, machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    what : what is computed, with its size: "AUROC, AUPRC, Brier; n = 500, B = 2,000".
    ours, peer : names of the two ways.
    ours_s, peer_s : seconds of each round, of the processor where `what` does not say wall.
    difference : largest absolute difference of the results.
    target : ratio that is aimed at, None where there is no such.
    """

    what: str
    ours: str
    peer: str
    ours_s: list[float]
    peer_s: list[float]
    difference: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the peer's median is ours."""
        return statistics.median(self.peer_s) / statistics.median(self.ours_s)


@dataclass(frozen=True)
class Section:
    """The rows of one benchmark file.

    Attributes
    ----------
    title : heading.
    about : what is compared, fairly, and how; markdown.
    rows : in the order of the table.
    packages : whose versions matter.
    notes : remarks that were measured in this run.
    """

    title: str
    about: str
    rows: list[Row]
    packages: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Result and processor seconds: what else runs on the machine counts little."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def section_markdown(section: Section) -> str:
    """A section as markdown."""
    lines = [
        f"## {section.title}\n",
        f"{section.about.strip()}\n",
        "| what | immunocast | s (range) | peer | s (range) | ratio | target | largest difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in section.rows:
        target = f"{row.target:.0f}x" if row.target else ""
        lines.append(
            f"| {row.what} | {row.ours} | {_spread(row.ours_s)} | {row.peer} | {_spread(row.peer_s)} | "
            f"{row.ratio:.1f}x | {target} | {row.difference:.0e} |"
        )
    lines += ["", *(f"- {note}" for note in section.notes)]
    lines += ["", "Versions: " + ", ".join(f"{name} {version(name)}" for name in section.packages) + "."]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Processor, system, Python, other work on the machine, and settings that change speed."""
    python = f"{platform.system()}, Python {platform.python_version()}"
    text = f"{processor()}, {os.cpu_count()} cores; {python}; load at the start {os.getloadavg()[0]:.1f}"
    for name in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"):
        if os.environ.get(name):
            text += f"; {name}={os.environ[name]} is set and may change NumPy's speed"
    return text


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _spread(seconds: list[float]) -> str:
    return f"{_short(statistics.median(seconds))} ({_short(min(seconds))} to {_short(max(seconds))})"


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
