"""Whatever is done to a matrix file: it loads, or an error of the product says what is wrong."""

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from immunocast.cohort.expression import parse_expression, score_file
from immunocast.cohort.expression.genes import gene_sets
from immunocast.errors import ImmunocastError

CELLS = st.sampled_from(
    ["", "NA", "x", "-3", "-9.96578", "1e400", "inf", "1,5", "<0.1", "1_0", "٣", "CD8A", "\ufeff", '"']
)
SETTINGS = st.sampled_from(
    [
        {"unit": "TPM", "log": "none"},
        {"unit": "TPM", "log": "log2(x+0.001)"},
        {"unit": "counts"},
        {},
        {"orientation": "genes_in_rows", "unit": "TPM"},
        {"scores": {"gep_score": "rank"}},
    ]
)


def mutate(draw, table):
    """One slip on a table of text, header first."""
    kind = draw(st.sampled_from(["cell", "header", "row", "column", "empty", "transpose", "cut", "one", "swap"]))
    height, width = len(table), len(table[0])
    i, j = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    if kind == "cell":
        table[i][j] = draw(CELLS)
    elif kind == "header":
        table[0][j] = draw(st.sampled_from(["", "CD8A", "cd8a", "1-Mar", "HLA.DRA", "sample_id", "Entrez_Gene_Id"]))
    elif kind == "row":
        table.append(list(table[i]))
    elif kind == "column":
        for row in table:
            row.append(row[j])
    elif kind == "empty":
        table[i] = [""] * width
    elif kind == "transpose":
        table[:] = [list(row) for row in zip(*table, strict=True)]
    elif kind == "cut":
        table[i] = table[i][: max(1, j)]
    elif kind == "one":
        del table[2:]
    else:
        table[0], table[i] = table[i], table[0]
    return kind


@st.composite
def mutated(draw):
    rng = np.random.default_rng(draw(st.integers(0, 20)))
    names = [
        "CD8A",
        "GZMA",
        "PRF1",
        "HLA-DRA",
        "CXCL9",
        "CXCL10",
        "STAT1",
        "IDO1",
        "IFNG",
        *[f"G{i}" for i in range(25)],
    ]
    values = rng.lognormal(2, 2, (4, len(names))).round(3)
    table = [["id", *names], *([f"S{i}", *map(str, row)] for i, row in enumerate(values.tolist()))]
    for _ in range(draw(st.integers(0, 3))):
        if all(len(row) == len(table[0]) for row in table):
            mutate(draw, table)
    separator = draw(st.sampled_from([",", "\t", ";"]))
    return ("\n".join(separator.join(row) for row in table)).encode(), draw(SETTINGS)


def score(path, content, options):
    path.write_bytes(content)
    return score_file(path, parse_expression({"file": path.name, **options}))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated") / "expression.csv"


def check(path, content, options):
    try:
        result = score(path, content, options)
    except ImmunocastError:
        return False
    assert result.frame.index.is_unique
    assert not np.isinf(result.frame.to_numpy()).any()
    # every wanted score is there or told to be refused, every missing value is counted
    refused = {c["column"] for c in result.checks if c["code"] == "IC-EXPR-003"}
    wanted = set(options.get("scores", ())) or set(gene_sets())
    assert refused | set(result.frame) == wanted
    counted = {c["column"]: c["n"] for c in result.checks if c["code"] == "IC-EXPR-005"}
    assert counted == {s: n for s in result.frame if (n := int(result.frame[s].isna().sum()))}
    return True


@given(file=mutated())
@settings(max_examples=150, deadline=None)
def test_a_mutated_matrix_loads_or_is_refused_in_words(path, file):
    event("loads" if check(path, *file) else "refused")


@pytest.mark.slow
@given(file=mutated())
@settings(max_examples=5000, deadline=None)
def test_thousands_of_mutated_matrices(path, file):
    check(path, *file)


@given(content=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused_in_words(path, content):
    for name in ("m.csv", "m.csv.gz", "m.parquet", "m.xlsx"):
        with pytest.raises(ImmunocastError):
            score(path.with_name(name), content, {})
