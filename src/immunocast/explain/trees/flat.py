"""All nodes of an ensemble in one set of arrays, each tree in preorder: the left child of k is k + 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunocast.errors import ConfigError
from immunocast.explain.trees import preorder
from immunocast.explain.trees.ensemble import Ensemble


@dataclass(frozen=True)
class Flat:
    """Nodes (m,) of all trees; the subtree of node k is k to end[k].

    Attributes
    ----------
    roots : (trees,) int32.
    right, parent, end, depth : int32; right is -1 at leaves, parent -1 at roots.
    feature : int32.
    threshold : float64; of trees that compare as float32 rounded so that the comparison comes out the same.
    missing_left : bool.
    ratio : float64, share of the parent's cover; 1 at roots.
    value : float64, 0 but at leaves.
    distinct : int32, distinct features on the way from the root to the node.
    base : float64, cover-weighted mean output, offset included.
    """

    roots: np.ndarray
    right: np.ndarray
    parent: np.ndarray
    end: np.ndarray
    depth: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    ratio: np.ndarray
    value: np.ndarray
    distinct: np.ndarray
    base: float

    @property
    def most_distinct(self) -> int:
        """Largest number of distinct features on a path."""
        return int(self.distinct.max(initial=0))


def flat_of(ensemble: Ensemble) -> Flat:
    """Put the trees of an ensemble one after the other.

    Raises
    ------
    ConfigError
        Where a split is on a column that the ensemble has not, or a value is not finite.
    """
    trees = ensemble.trees
    sizes = np.array([len(t.left) for t in trees], dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)[: len(trees)]
    shift = np.repeat(starts, sizes)

    def joined(name: str, dtype: type) -> np.ndarray:
        parts = [getattr(t, name) for t in trees]
        return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype)

    left, right = joined("left", np.int32), joined("right", np.int32)
    order, roots, parent, end, depth = preorder.ordered(
        np.where(left < 0, -1, left + shift).astype(np.int32),
        np.where(left < 0, -1, right + shift).astype(np.int32),
        starts,
    )
    inner = left[order] >= 0
    feature, threshold = joined("feature", np.int32)[order], joined("threshold", np.float64)[order]
    value, cover = np.where(inner, 0.0, joined("value", np.float64)[order]), joined("cover", np.float64)[order]
    if (feature[inner] >= ensemble.n_features).any() or (feature[inner] < 0).any():
        raise ConfigError(f"A split is on a column beyond the {ensemble.n_features} of the ensemble.")
    if not (np.isfinite(value).all() and np.isfinite(cover).all() and not np.isnan(threshold[inner]).any()):
        raise ConfigError("A leaf, a threshold or the cover of a node is not a finite number: the model is damaged.")
    above = np.where(parent < 0, np.arange(len(order)), parent)
    with np.errstate(invalid="ignore", divide="ignore"):
        # a node that no training row reached is divided evenly: nothing tells its sides apart
        ratio = np.where(cover[above] > 0, cover / cover[above], 0.5)
    ratio[parent < 0] = 1.0
    new_right = np.full(len(order), -1, np.int32)
    back = np.empty(len(left), np.int32)
    back[order] = np.arange(len(order), dtype=np.int32)
    new_right[inner] = back[right[order][inner] + shift[order][inner]]
    if ensemble.single:
        threshold = _as_single(threshold, ensemble.closed)
    distinct = preorder.distinct_features(parent, feature, depth)
    return Flat(
        roots=roots,
        right=new_right,
        parent=parent,
        end=end,
        depth=depth,
        feature=feature,
        threshold=threshold,
        missing_left=joined("missing_left", np.bool_)[order],
        ratio=ratio,
        value=value,
        distinct=distinct,
        base=ensemble.offset + preorder.mean_output(new_right, ratio, value, roots),
    )


def _as_single(threshold: np.ndarray, closed: bool) -> np.ndarray:
    """Thresholds that float32 can hold and that part float32 numbers as these do: for <= the next below, else above."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    if closed:
        moved = np.where(near.astype(np.float64) > threshold, np.nextafter(near, np.float32(-np.inf)), near)
    else:
        moved = np.where(near.astype(np.float64) < threshold, np.nextafter(near, np.float32(np.inf)), near)
    return moved.astype(np.float64)
