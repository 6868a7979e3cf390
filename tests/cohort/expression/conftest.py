"""A made-up matrix of expression, as users' files hold them."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.expression.genes import known_symbols


def make_matrix(n_samples=4, n_other=60, seed=0, drop=()) -> pd.DataFrame:
    """Samples by genes in TPM: all genes that scores need, but `drop`, and some others."""
    rng = np.random.default_rng(seed)
    names = [g for g in sorted(known_symbols()) if g not in drop] + [f"OTHER{i}" for i in range(n_other)]
    values = rng.lognormal(2, 2, (n_samples, len(names)))
    values[rng.random(values.shape) < 0.05] = 0.0
    # every sample has a highly expressed gene, as every real one has
    values[:, -1] = 5000
    return pd.DataFrame(values, index=[f"S{i}" for i in range(n_samples)], columns=names)


@pytest.fixture(scope="session")
def matrix():
    return make_matrix


@pytest.fixture
def write(tmp_path):
    """Write a frame of samples by genes as a file; returns its path."""

    def to_file(frame: pd.DataFrame, name: str = "expression.csv", label: str | None = "sample_id"):
        path = tmp_path / name
        frame = frame.rename_axis(label)
        if ".parquet" in name:
            frame.reset_index().to_parquet(path, index=False)
        elif ".xlsx" in name:
            frame.reset_index().to_excel(path, index=False)
        else:
            frame.to_csv(path, sep="," if ".csv" in name else "\t")
        return path

    return to_file
