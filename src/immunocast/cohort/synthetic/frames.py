"""From numbers and codes to the frames that a reader returns, without a Python object a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from immunocast.cohort.vocabulary import VOCABULARY

_TEXT = pd.StringDtype("pyarrow", na_value=np.nan)


def text_of(codes: np.ndarray, categories: Sequence[str]) -> pd.api.extensions.ExtensionArray:
    """(n,) strings of codes; a negative code is missing."""
    known = pa.array(codes, mask=codes < 0)
    column = pa.DictionaryArray.from_arrays(known, pa.array(categories, pa.large_string()))
    return _TEXT.__from_arrow__(column.cast(pa.large_string()))  # type: ignore[attr-defined]


def numbered(prefix: str, first: int, n: int) -> pa.Array:
    """(n,) ids "prefix00001", counted from `first`."""
    digits = pc.utf8_lpad(pa.array(np.arange(first, first + n)).cast(pa.large_string()), 5, "0")
    empty = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(pa.scalar(prefix, pa.large_string()), digits, empty)


def ids_of(pieces: Sequence[pa.Array]) -> pd.api.extensions.ExtensionArray:
    """Ids of `numbered`, one piece after the other."""
    return _TEXT.__from_arrow__(pa.chunked_array(pieces))  # type: ignore[attr-defined]


def integers_of(values: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """(n,) nullable whole numbers of floats; NaN is missing."""
    missing = np.isnan(values)
    return pd.arrays.IntegerArray(np.where(missing, 0, values).astype(np.int64), missing)


def cohort_frame(
    ids: pd.api.extensions.ExtensionArray, columns: Mapping[str, np.ndarray], categories: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The cohort table of numbers and codes, each in the dtype of its kind."""
    out: dict[str, object] = {"patient_id": ids}
    for name, values in columns.items():
        if name in categories:
            out[name] = text_of(values, categories[name])
        elif VOCABULARY[name].kind == "number":
            out[name] = values
        else:
            out[name] = integers_of(values)
    return pd.DataFrame(out, copy=False)
