"""Unit and logarithm: what is told from values, and what is asked."""

import numpy as np
import pytest

from immunocast.cohort.expression.matrix import ExpressionMatrix
from immunocast.cohort.expression.scale import find_scale, undo
from immunocast.cohort.expression.settings import Log
from immunocast.errors import DataError

RNG = np.random.default_rng(0)
TPM = RNG.lognormal(0, 2, (3, 12_000))
TPM *= 1e6 / TPM.sum(axis=1, keepdims=True)
COUNTS = RNG.poisson(RNG.lognormal(0, 2, (3, 12_000)) * 5).astype(float)
CPM = COUNTS * 1e6 / COUNTS.sum(axis=1, keepdims=True)
PANEL = RNG.lognormal(2, 2, (3, 190))
PANEL[:, :3] = 0
PANEL[:, 3] = 900


def matrix(values, file="expression.csv"):
    n, g = values.shape
    names = [f"S{i}" for i in range(n)], [f"G{i}" for i in range(g)]
    return ExpressionMatrix(file, names[0], np.ascontiguousarray(values), names[1], {}, "samples_in_rows")


def scale(values, unit=None, log=None, file="expression.csv"):
    found = find_scale(matrix(values, file), unit, log)
    return found.unit, found.log


def logged(values, base=2.0, offset=1.0):
    return np.log(values + offset) / np.log(base)


@pytest.mark.parametrize(
    ("values", "unit", "log"),
    [
        (TPM, "TPM", False),
        (COUNTS, "counts", False),
        (CPM, "CPM", False),
        (TPM * 1.7, None, False),  # FPKM, or TPM of a subset: nobody can tell
        (logged(TPM), "TPM", Log(2.0, 1.0)),
        (logged(TPM, np.e), "TPM", Log(np.e, 1.0)),
        (logged(TPM, 10), "TPM", Log(10.0, 1.0)),
        (logged(CPM), "CPM", Log(2.0, 1.0)),
        (PANEL, None, False),
        (logged(PANEL, 2, 0.001), None, Log(2.0, 0.001)),
        (logged(PANEL, 2, 0.01), None, Log(2.0, 0.01)),
        (logged(PANEL), None, None),  # logarithms, or low expression: nobody can tell
        (logged(PANEL[:, 3:], 2, 0.001) - 3, None, "unknown"),
    ],
)
def test_detection(values, unit, log):
    assert scale(values) == (unit, log)


def test_tpm_rounded_to_two_digits_is_not_taken_for_cpm():
    assert scale(TPM.round(2))[0] != "CPM"


@pytest.mark.parametrize(
    ("file", "unit"), [("data_mrna_seq_tpm.txt", "TPM"), ("gene_counts.csv", "counts"), ("fpkms.tsv", "FPKM")]
)
def test_the_files_name_tells_the_unit(file, unit):
    assert scale(PANEL, file=file)[0] == unit


def test_a_name_that_contradicts_the_values_is_a_question():
    with pytest.raises(DataError, match=r"contradictory.*State `unit`"):
        scale(COUNTS, file="tpm.csv")
    assert scale(COUNTS, unit="TPM", file="tpm.csv")[0] == "TPM"


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (np.array([[-1.0, 900.0, 3.0]]), {}, "neither expression nor logarithms"),
        (RNG.normal(0, 1, (3, 100)), {}, "z-scores"),
        (np.array([[-1.0, 3.0]]), {"log": False}, "negative values"),
        (np.array([[1.0, 300.0]]), {"log": Log(2.0, 1.0)}, "no logarithms"),
        (np.vstack([logged(PANEL[:1], 2, 0.001), PANEL[1:2]]), {}, "other samples"),
    ],
)
def test_contradictions_are_refused(values, settings, message):
    with pytest.raises(DataError, match=message):
        scale(values, **settings)


def test_what_is_stated_is_taken_and_said():
    found = find_scale(matrix(logged(PANEL)), "TPM", Log(2.0, 1.0))
    assert found.describe() == "log2(x+1) of TPM"
    assert found.evidence == ("logarithm: stated", "unit: stated")


@pytest.mark.parametrize("log", [False, Log(2.0, 1.0), Log(2.0, 0.001), Log(10.0, 1.0), Log(np.e, 1.0), Log(2.0, 0.0)])
def test_undoing_a_logarithm(log):
    values = PANEL[0, 3:]
    with_log = values if log is False else logged(values, log.base, log.offset)
    np.testing.assert_allclose(undo(with_log, log), values, rtol=1e-9)


SHAPES = {
    "tpm": TPM,
    "cpm": CPM,
    "counts": COUNTS,
    "log tpm": logged(TPM),
    "panel": PANEL,
    "log panel": logged(PANEL, 2, 0.001),
    "no zero": np.vstack(
        [logged(PANEL[:1], 2, 0.001), logged(PANEL[1:2, 4:].clip(1), 2, 0.001)[:, [0] * 4 + list(range(186))]]
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_alone_is_never_read_otherwise_than_in_its_file(shape):
    values = SHAPES[shape]
    together = scale(values)
    for one in values:
        alone = scale(one[None])
        for a, t in zip(alone, together, strict=True):
            assert a in (t, None), "alone, a sample may tell less, never something else"


def test_integers_in_some_samples_only_are_no_counts():
    some = np.vstack([PANEL[:1].round(), PANEL[1:]])
    assert scale(some) == (None, False)
    assert scale(some[:1]) == ("counts", False)
