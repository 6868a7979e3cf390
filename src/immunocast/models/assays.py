"""Which assays a prediction rested on: the blocks of a model's inputs that were measured in a patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY


def assays_used(frame: pd.DataFrame, inputs: Sequence[str]) -> np.ndarray:
    """The blocks (pdl1, dna, rna, blood, clinical) with at least one measured input, joined by "+".

    Parameters
    ----------
    frame : (n, inputs) frame of `features.preprocess.model_frame`.
    inputs : the model's inputs.

    Returns
    -------
    (n,) str, e.g. "blood+clinical+dna"; "" where nothing was measured.

    Examples
    --------
    >>> frame = pd.DataFrame({"nlr": [3.0, None], "tmb_mut_mb": [9.0, 4.0]})
    >>> assays_used(frame, ["nlr", "tmb_mut_mb"]).tolist()
    ['blood+dna', 'dna']
    """
    used = np.full(len(frame), "", dtype=object)
    for block in sorted({VOCABULARY[name].block for name in inputs}):
        there = frame[[name for name in inputs if VOCABULARY[name].block == block]].notna().any(axis=1).to_numpy()
        used[there] = [f"{before}+{block}" if before else block for before in used[there]]
    return used


def inputs_used(model: Any) -> tuple[str, ...]:
    """Inputs that a fitted model's prediction can rest on.

    A feature that nobody of the training fold had is read and never used: it is no ground of a prediction, even
    where the patient has it.
    """
    return tuple(getattr(model, "inputs_used_", model.spec.inputs))
