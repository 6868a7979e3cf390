"""The observed rate as a smooth function of the prediction, for many resamples at once, and its distance to it.

The smoother is lowess (Cleveland 1979, JASA 74:829) without its robustness iterations, as `rms::val.prob` uses it for
its smooth calibration curve: at each node a straight line through the nearest two thirds of the patients, tricube
weights, straight lines between nodes. On everybody it gives what R's `lowess(p, y, iter=0)` gives, where no large group
shares a prediction that R would interpolate. In a resample the nodes and their widths stay those of everybody and
patients count as often as they were drawn: each node then needs five weighted sums, which are matrix products over all
resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunocast.metrics import _compiled
from immunocast.metrics._arrays import FloatArray, IntArray, check_pair
from immunocast.metrics._types import BatchedFit

#: Share of the patients in a node's neighbourhood, and the least distance of nodes as a share of the predictions'
#: range: the defaults of R's lowess.
SPAN, NODE_GAP = 2 / 3, 0.01
#: A prediction shared by more than this share of the patients is a node of its own, which in R's lowess it need not be.
TIED = 0.02
#: Neighbourhoods narrower than this share of the range get a mean in place of a line, as in R.
_NARROW = 0.001
#: Many different predictions are put together in cells of this share of their range, a fifth of the nodes' distance.
_CELL = 0.002
#: Elements of a chunk of resamples: its arrays stay in the processor's cache.
_CHUNK = 400_000


@dataclass(frozen=True)
class Smoother:
    """Smooth observed rate over predictions.

    Attributes
    ----------
    nodes : (g,) predictions at which it is computed, rising; the lowest and the highest prediction are among them.
    cells : (k,) predictions, rising; patients of one cell count as if they had its mean prediction.
    """

    nodes: FloatArray
    cells: FloatArray
    _everybody: Groups
    _events: Groups
    _kernels: FloatArray
    _event_kernels: FloatArray
    _narrow: float

    @classmethod
    def of(cls, y: IntArray, p: FloatArray) -> Smoother:
        """Prepare for outcomes (n,) and predictions (n,)."""
        x, ties = np.unique(p, return_counts=True)
        width = float(x[-1] - x[0])
        nodes = np.union1d(_nodes(x, NODE_GAP * width), x[ties > TIED * len(p)])
        away = np.abs(p[None, :] - nodes[:, None])
        n_near = max(2, min(len(p), int(SPAN * len(p) + 1e-7))) if len(p) > 1 else 1
        reach = np.partition(away, n_near - 1, axis=1)[:, n_near - 1, None]
        cell, cells = np.searchsorted(x, p), x
        if len(x) > 1 / _CELL:
            _, cell = np.unique(np.floor((p - x[0]) / (_CELL * width)), return_inverse=True)
            cells = np.bincount(cell, weights=p) / np.bincount(cell)
            # where two thirds of the patients are tied, the neighbourhood still holds their cell
            reach = np.maximum(reach, 2 * _CELL * width)
        distance = cells[None, :] - nodes[:, None]
        away = np.abs(distance)
        kernel = np.where(away <= 0.999 * reach, 1.0, 0.0)
        sloped = (kernel > 0) & (away > 0.001 * reach)
        kernel[sloped] = (1 - (away / np.maximum(reach, 1e-300))[sloped] ** 3) ** 3
        events = np.flatnonzero(y == 1)
        with_events = np.unique(cell[events])
        return cls(
            nodes,
            cells,
            Groups.of(cell),
            Groups.of(cell, events),
            np.concatenate([kernel, kernel * distance, kernel * distance**2]),
            np.concatenate([kernel, kernel * distance])[:, with_events],
            _NARROW * width,
        )

    def mass(self, weights: FloatArray) -> FloatArray:
        """Weights (n, b) of patients -> (k, b) of cells."""
        return self._everybody.add_up(weights)

    def at_nodes(self, weights: FloatArray, mass: FloatArray | None = None) -> FloatArray:
        """Observed rates (g, b) at the nodes for weights (n, b); NaN where nobody nearby was drawn."""
        return self.on_mass(self.mass(weights) if mass is None else mass, self.event_mass(weights))

    def event_mass(self, weights: FloatArray) -> FloatArray:
        """Weights (n, b) of patients -> (l, b) of the cells that have events, of patients with the event."""
        return self._events.add_up(weights)

    def on_mass(self, mass: FloatArray, event_mass: FloatArray) -> FloatArray:
        """Observed rates (g, b) at the nodes for weights of cells."""
        g = len(self.nodes)
        sums = self._kernels @ mass
        of_events = self._event_kernels @ event_mass
        total = sums[:g]
        with np.errstate(divide="ignore", invalid="ignore"):
            centre, rate = sums[g : 2 * g] / total, of_events[:g] / total
            spread = sums[2 * g :] / total - centre**2
            line = rate - (of_events[g:] / total - centre * rate) / spread * centre
            narrow = ~(spread > self._narrow**2)
        line[narrow] = rate[narrow]
        line[total == 0] = np.nan
        return line

    def at(self, x: Any, weights: FloatArray) -> FloatArray:
        """Observed rates (m, b) at predictions x (m,) for weights (n, b)."""
        low, share = _between(self.nodes, np.asarray(x, dtype=float))
        pieces = [_on_lines(self.at_nodes(w), low, share) for w in chunks(weights, _CHUNK)]
        return np.concatenate(pieces, axis=1)


@dataclass(frozen=True)
class Groups:
    """Patients put together by a label, to add up their weights."""

    order: IntArray
    starts: IntArray

    @classmethod
    def of(cls, label: IntArray, rows: IntArray | None = None) -> Groups:
        """Groups of the patients `rows` (all by default) by their label, lowest first; empty groups are left out."""
        rows = np.arange(len(label)) if rows is None else rows
        order = rows[np.argsort(label[rows], kind="stable")]
        return cls(order, np.concatenate([[0], np.flatnonzero(np.diff(label[order])) + 1])[: len(order)])

    def add_up(self, weights: np.ndarray) -> FloatArray:
        """Weights (n, b) of patients, or counts, which are added up compiled -> (k, b) of groups."""
        if weights.dtype == np.uint16:
            return _compiled.group_sums(self.order, self.starts, weights)
        ordered = weights[self.order]
        return ordered if len(self.starts) == len(ordered) else np.add.reduceat(ordered, self.starts, axis=0)


def chunks(weights: FloatArray, elements: int) -> Iterator[FloatArray]:
    """Columns of (n, b) weights, so many at a time that a chunk has about that many elements."""
    size = max(16, elements // max(len(weights), 1))
    for start in range(0, weights.shape[1], size):
        yield weights[:, start : start + size]


def _nodes(x: FloatArray, gap: float) -> FloatArray:
    """Different predictions, sorted, thinned to those that R's lowess fits: the last within `gap` of the one before."""
    chosen = [0]
    while chosen[-1] < len(x) - 1:
        within = int(np.searchsorted(x, x[chosen[-1]] + gap, side="right")) - 1
        chosen.append(max(chosen[-1] + 1, within))
    return x[chosen]


def _between(nodes: FloatArray, x: FloatArray) -> tuple[IntArray, FloatArray]:
    """For predictions (m,): the node below each, and the share of the way to the next one."""
    low = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 1)
    width = nodes[np.minimum(low + 1, len(nodes) - 1)] - nodes[low]  # 0 at the last node, which needs no other
    return low, np.clip(np.divide(x - nodes[low], width, out=np.zeros(len(x)), where=width > 0), 0.0, 1.0)


def _on_lines(values: FloatArray, low: IntArray, share: FloatArray) -> FloatArray:
    """Values (g, b) at nodes -> (m, b) on the straight lines between them."""
    found = values[low]
    inside = np.flatnonzero(share > 0)
    found[inside] += (values[low[inside] + 1] - found[inside]) * share[inside, None]
    return found


def ici_fit(y: IntArray, p: FloatArray) -> BatchedFit:
    """Batched integrated calibration index; NaN in columns without both classes."""
    smoother = Smoother.of(y, p)
    low, share = _between(smoother.nodes, smoother.cells)

    def fit(weights: np.ndarray) -> FloatArray:
        found = []
        for w in chunks(weights, _CHUNK):
            mass, event_mass = smoother.mass(w), smoother.event_mass(w)
            n, n_events = mass.sum(axis=0), event_mass.sum(axis=0)
            error = _on_lines(smoother.on_mass(mass, event_mass) - smoother.nodes[:, None], low, share)
            np.abs(error, out=error)
            error[mass == 0] = 0.0
            both = (n_events > 0) & (n_events < n)
            found.append(np.where(both, np.einsum("kb,kb->b", error, mass) / np.maximum(n, 1), np.nan))
        return np.concatenate(found)

    return BatchedFit(fit, fit)


def ici(y_true: Any, p: Any) -> float:
    """Integrated calibration index: mean |p - smooth observed rate at p| (Austin & Steyerberg 2019, Stat Med 38:4051).

    0 is ideal. It is a mean of absolute values: with few patients it is above 0 also for a perfect model. The smooth
    rate is lowess as in `rms::val.prob`, whose Eavg it is; Austin and Steyerberg used loess.

    Parameters
    ----------
    y_true : (n,) outcomes 0/1.
    p : (n,) predicted probabilities.

    Returns
    -------
    float >= 0; NaN without both classes.

    Raises
    ------
    DataError
        Where the arrays do not fit, or hold other values.
    """
    y, q = check_pair(y_true, p)
    return float(ici_fit(y, q)(np.ones((len(y), 1)))[0])
