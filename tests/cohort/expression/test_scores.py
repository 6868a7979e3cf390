"""The formulas, and that a sample's score is its own."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.expression import parse_expression, score_matrix
from immunocast.cohort.expression.genes import gene_sets
from immunocast.cohort.expression.matrix import ExpressionMatrix
from immunocast.cohort.expression.scores import geometric_mean, rank_score
from immunocast.errors import ConfigError, DataError

STATED = {"file": "m.csv", "unit": "TPM", "log": "none"}


def as_matrix(frame, **more):
    index = {g: i for i, g in enumerate(frame.columns) if g in known()}
    values = np.ascontiguousarray(frame.to_numpy(dtype=float))
    return ExpressionMatrix("m.csv", frame.index.tolist(), values, frame.columns.tolist(), index, "samples_in_rows")


def known():
    return {g for s in gene_sets().values() for g in (*s.genes, *s.housekeeping)}


def score(frame, **settings):
    return score_matrix(as_matrix(frame), parse_expression({**STATED, **settings}))


def codes(result, code):
    return [c["message"] for c in result.checks if c["code"] == code]


def test_weighted_gep_against_the_formula_written_out(matrix):
    frame = matrix()
    gep = gene_sets()["gep_score"]
    logs = np.log10(frame + 1)
    reference = logs[list(gep.housekeeping)].mean(axis=1)
    expected = sum(w * (logs[g] - reference) for g, w in gep.weights.items())
    result = score(frame)
    np.testing.assert_allclose(result.frame["gep_score"], expected, rtol=1e-12)
    assert result.forms["gep_score"] == "weighted"
    assert abs(sum(gep.weights.values()) - 1.142788) < 1e-9


def test_rank_score_against_ranks_of_pandas(matrix):
    frame = matrix(n_samples=6, n_other=300)
    genes = [g for g, w in gene_sets()["gep_score"].weights.items() if w > 0]
    ranks = frame.rank(axis=1)
    n, total = len(genes), frame.shape[1]
    low, high = (n + 1) / 2, (2 * total - n + 1) / 2  # singscore's bounds
    expected = (ranks[genes].mean(axis=1) - low) / (high - low)
    at = np.array([frame.columns.get_loc(g) for g in genes])
    got = [rank_score(row, at, np.array([], dtype=int)) for row in frame.to_numpy()]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_gene_of_negative_weight_counts_from_the_top(matrix):
    values = np.arange(100.0)
    up, down = np.array([98, 99]), np.array([0])
    assert rank_score(values, up, down) == 1
    assert rank_score(-values, up, down) == 0
    frame = matrix(drop=["STK11IP", "ZBTB34", "TBC1D10B", "OAZ1"])
    higher = frame.assign(CD276=1e5)
    assert (score(higher).frame["gep_score"] < score(frame).frame["gep_score"]).all()


def test_means_and_cytolytic_activity(matrix):
    frame = matrix()
    result = score(frame)
    teff = np.log2(frame[list(gene_sets()["teff_score"].genes)] + 1).mean(axis=1)
    np.testing.assert_allclose(result.frame["teff_score"], teff, rtol=1e-12)
    cyt = np.sqrt((frame["GZMA"] + 0.01) * (frame["PRF1"] + 0.01))
    np.testing.assert_allclose(result.frame["cyt_score"], cyt, rtol=1e-12)
    assert geometric_mean(np.array([0.0, 0.0])) == pytest.approx(0.01)


def test_without_housekeeping_genes_the_rank_score_stands_in_and_says_so(matrix):
    result = score(matrix(drop=[*gene_sets()["gep_score"].housekeeping[:4], "CD276", "PSMB10"]))
    assert result.forms["gep_score"] == "rank_panel"
    (message,) = [m for m in codes(result, "IC-EXPR-002") if m.startswith("gep_score")]
    assert "16 of 18 genes, within-sample rank score" in message
    assert "7 of 11 housekeeping genes, 8 are needed" in message
    assert "not there: CD276, PSMB10" in message


def test_too_few_genes_refuse_a_score_with_a_warning(matrix):
    few = [*gene_sets()["gep_score"].genes[:7], "PRF1"]
    result = score(matrix(drop=few))
    assert "gep_score" not in result.frame
    assert "cyt_score" not in result.frame
    assert [c["column"] for c in result.checks if c["code"] == "IC-EXPR-003"] == [
        "gep_score",
        "cyt_score",
        "teff_score",
    ]
    assert "11 of 18 genes, 12 are needed" in codes(result, "IC-EXPR-003")[0]
    assert score(matrix(drop=few), min_genes={"gep_score": 11}).forms["gep_score"] == "rank_panel"


def test_cells_missing_in_one_sample_cost_only_that_sample(matrix):
    frame = matrix()
    frame.loc["S1", ["GZMA", "IDO1"]] = np.nan
    result = score(frame)
    assert result.frame["cyt_score"].isna().tolist() == [False, True, False, False]
    assert result.frame["gep_score"].isna().tolist() == [False, True, False, False], "weights need every gene"
    assert result.frame["ifng_score"].notna().all()
    found = {c["column"]: c for c in result.checks if c["code"] == "IC-EXPR-005"}
    assert found["cyt_score"]["n"] == 1
    assert found["cyt_score"]["rows"] == "S1"


@pytest.mark.parametrize("unit", ["CPM", "counts"])
def test_units_without_gene_lengths_give_ranks_and_no_cytolytic_activity(matrix, unit):
    result = score(matrix(), unit=unit)
    assert set(result.forms.values()) == {"rank_panel"}
    assert "cyt_score" not in result.frame
    assert "lengths of genes" in codes(result, "IC-EXPR-003")[0]


def test_fpkm_of_a_whole_transcriptome_become_tpm(matrix):
    frame = matrix(n_other=12_000)
    tpm = frame.mul(1e6 / frame.sum(axis=1), axis=0)
    np.testing.assert_allclose(score(tpm * 0.3, unit="FPKM").frame, score(tpm).frame, rtol=1e-12)
    assert "cyt_score" not in score(matrix(), unit="FPKM").frame


def test_an_unknown_unit_is_a_question_and_ranks_are_a_way_out(matrix):
    frame = matrix()
    with pytest.raises(DataError, match="State `unit`"):
        score(frame, unit=None)
    with pytest.raises(DataError, match=r"State `unit`.* and `log`"):
        score(np.log2(frame + 1), unit=None, log=None)
    ranks = {s: "rank" for s in gene_sets() if s != "cyt_score"}
    result = score(frame, unit=None, scores=ranks)
    assert list(result.frame) == list(ranks)


def test_whole_transcriptome_and_panel_are_told_apart(matrix):
    wide = score(matrix(n_other=12_000), scores={"gep_score": "rank"})
    assert wide.forms == {"gep_score": "rank_transcriptome"}
    assert wide.forms_text == "gep_score=rank_transcriptome"
    assert "of the whole transcriptome" in codes(wide, "IC-EXPR-002")[0]
    assert "a panel" in codes(score(matrix()), "IC-EXPR-001")[0]


def test_ranks_need_other_genes(matrix):
    frame = matrix()[list(gene_sets()["teff_score"].genes)].assign(OTHER=2000.0)
    result = score(frame, scores={"teff_score": "rank"})
    assert result.frame.empty
    assert "20 genes beside" in codes(result, "IC-EXPR-003")[0]


# -- single-sample safe -------------------------------------------------------------------------------------

FORMS = [
    {},
    {"scores": {s: "rank" for s in gene_sets() if s != "cyt_score"}},
    {"unit": "FPKM"},
]


@pytest.mark.parametrize("options", FORMS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_score_is_the_same_to_the_byte_alone_and_in_any_company(matrix, options, data):
    seed = data.draw(st.integers(0, 10_000))
    frame = matrix(n_samples=7, n_other=12_000 if options.get("unit") else 60, seed=seed % 50)
    holes = np.random.default_rng(seed).random(frame.shape) < 0.02
    frame = frame.mask(holes)
    company = data.draw(st.permutations(frame.index.tolist()))[: data.draw(st.integers(1, 7))]
    whole = score(frame, **options)
    part = score(frame.loc[company], **options)
    assert part.forms == whole.forms
    assert part.frame.to_numpy().tobytes() == whole.frame.loc[company].to_numpy().tobytes()


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["log2", "sqrt", "scale", "rank"]))
@settings(max_examples=30, deadline=None)
def test_rising_transforms_leave_rank_scores_unchanged(matrix, seed, kind):
    frame = matrix(seed=seed % 50)
    transforms = {
        "log2": lambda x: np.log2(x + 1),
        "sqrt": np.sqrt,
        "scale": lambda x: x * 0.01,
        "rank": lambda x: x.rank(axis=1),
    }
    ranks = {"scores": {s: "rank" for s in gene_sets() if s != "cyt_score"}, "unit": "CPM", "log": None}
    got = score(transforms[kind](frame), **ranks).frame
    pd.testing.assert_frame_equal(got, score(frame, **ranks).frame, check_exact=True)


@given(seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_rank_scores_lie_between_0_and_1(matrix, seed):
    frame = matrix(seed=seed)
    got = score(frame, scores={s: "rank" for s in gene_sets() if s != "cyt_score"}).frame.to_numpy()
    assert ((got >= 0) & (got <= 1)).all()


# -- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": None}, "file: name the file"),
        ({"flie": "x"}, "unknown key 'flie'. Did you mean 'file'"),
        ({"unit": "RPM"}, "unit: 'RPM' is unknown; it is one of TPM"),
        ({"log": "log3(x)"}, "log: 'log3\\(x\\)' is no formula"),
        ({"orientation": "wide"}, "samples_in_rows"),
        ({"scores": ["gep"]}, "known are gep_score"),
        ({"scores": {"gep_score": "zscore"}}, "its forms are weighted, rank"),
        ({"scores": []}, "name at least one"),
        ({"scores": "gep_score"}, "must be a list"),
        ({"min_genes": {"gep_score": 19}}, "must be 1 to 18"),
        ({"min_genes": {"cyt_score": 1}}, "needs both"),
        ({"min_genes": 3}, "write score: number"),
        ({"aliases": {"x": "GAPDH"}}, "no score needs a gene 'GAPDH'"),
        ({"aliases": "x"}, "write name in the file"),
        ({"sample_id": 3}, "must be text"),
    ],
)
def test_mistakes_in_the_settings(change, message):
    with pytest.raises(ConfigError, match=message):
        parse_expression({**STATED, **change})


def test_settings_must_be_a_mapping():
    with pytest.raises(ConfigError, match="must be a mapping"):
        parse_expression("expression.csv")


@pytest.mark.parametrize(
    ("text", "base", "offset"),
    [
        ("log2(x+0.001)", 2, 0.001),
        ("LOG2( x + 1 )", 2, 1),
        ("ln(x+1)", np.e, 1),
        ("log10(x)", 10, 0),
        ("log2(x)", 2, 0),
    ],
)
def test_logarithms_are_written_as_formulas(text, base, offset):
    log = parse_expression({**STATED, "log": text}).log
    assert (log.base, log.offset) == (base, offset)
    assert parse_expression({**STATED, "log": str(log)}).log == log
