"""Encoding a frame once changes no bit of what is fitted or transformed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.features.encode import NUMERIC_KINDS, TRANSFORMS, encode
from immunocast.features.preprocess import Preprocessor, model_frame

FEATURES = {
    "nlr": {"transform": "log2", "clip": [0.5, 25]},
    "tumor_type": {},
    "tmb_mut_mb": {"transform": "log2p1", "clip": [0, 50]},
    "ecog": None,
    "gep_score": {},
    "sex": {},
}


def by_columns(train, new, impute, scale, least):
    """The plain way, a pandas column after the other: fitted state and matrix."""
    state, columns = {"median": {}, "mean": {}, "std": {}}, {}
    for name, how in FEATURES.items():
        if train[name].isna().all() or VOCABULARY[name].kind not in NUMERIC_KINDS:
            continue

        def shaped(frame, name=name, how=how or {}):
            low, high = how.get("clip") or (None, None)
            values = frame[name].to_numpy(dtype=float, copy=True)
            values = np.clip(values, low, high) if low is not None else values
            return TRANSFORMS[how.get("transform") or "none"](values)

        values = shaped(train)
        median = float(np.nanmedian(values))
        # a gap stays one where training knew enough of them
        stays = impute == "none" and np.isnan(values).sum() >= least
        filled = values[~np.isnan(values)] if stays else np.where(np.isnan(values), median, values)
        mean, std = float(filled.mean()), float(filled.std())
        std = std if std > 1e-12 * max(abs(mean), 1e-300) else 1.0
        state["median"][name], state["mean"][name], state["std"][name] = median, mean, std
        out = shaped(new)
        out = out if stays else np.where(np.isnan(out), median, out)
        columns[name] = (out - mean) / std if scale else out
    for name in FEATURES:
        if VOCABULARY[name].kind not in NUMERIC_KINDS and not train[name].isna().all():
            counts = train[name].value_counts()
            for level in VOCABULARY[name].categories:
                if counts.get(level, 0) >= least:
                    columns[f"{name}={level}"] = (new[name].to_numpy(dtype=object) == level).astype(float)
    return state, columns


def table(n, seed, missing):
    rng = np.random.default_rng(seed)
    raw = {
        "nlr": rng.lognormal(1.5, 1.0, n),
        "tmb_mut_mb": rng.lognormal(1.5, 1, n),
        "ecog": rng.integers(0, 3, n).astype(float),
        "gep_score": rng.normal(1e6, 1e-3, n),
        "tumor_type": rng.choice(["NSCLC", "Renal", "Melanoma", "no such type"], n),
        "sex": rng.choice(["female", "male"], n),
    }
    frame = model_frame(pd.DataFrame(raw), list(FEATURES))
    return frame.mask(rng.random(frame.shape) < missing)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.3, 0.95, 1.0]),
    impute=st.sampled_from(["median", "none"]),
    scale=st.booleans(),
    counts=st.booleans(),
)
def test_every_bit_is_that_of_the_plain_way(n, seed, missing, impute, scale, counts):
    X = table(n, seed, missing)
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(n), rng.poisson(1.0, n)) if counts else np.arange(n)
    rows = rows if len(rows) else np.array([0])
    fitted = Preprocessor(FEATURES, impute, scale, 2).fit_encoded(encode(X, FEATURES), rows)
    state, columns = by_columns(X.iloc[rows], X, impute, scale, 2)
    assert {"median": fitted.median_, "mean": fitted.mean_, "std": fitted.std_} == state
    Z = fitted.transform(X)
    assert list(Z.columns) == list(columns)
    for name, values in columns.items():
        assert Z[name].to_numpy().tobytes() == values.tobytes(), name
    part = fitted.transform_encoded(encode(X, FEATURES), rows)
    assert part.tobytes() == Z.to_numpy()[rows].tobytes()


def test_a_level_that_the_vocabulary_lacks_is_a_value_but_no_column():
    X = model_frame(pd.DataFrame({"tumor_type": ["odd"] * 12}), ["tumor_type"])
    fitted = Preprocessor({"tumor_type": {}}).fit(X)
    assert fitted.dropped_ == []
    assert fitted.column_names_ == []
    assert encode(X.mask(X.notna()), {"tumor_type": {}}).codes["tumor_type"].tolist() == [-1] * 12


@pytest.mark.parametrize("rows", [None, np.arange(5)])
def test_by_cohort_needs_the_cohorts_only_where_asked_for(rows):
    X = model_frame(pd.DataFrame({"gep_score": np.arange(5.0)}), ["gep_score"])
    assert encode(X, {"gep_score": {}}).cohorts is None
    assert Preprocessor({"gep_score": {}}).fit_encoded(encode(X, {"gep_score": {}}), rows).numeric_ == ["gep_score"]
