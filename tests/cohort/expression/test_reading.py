"""A matrix as it comes: file types, orientation, names of genes, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.expression.cells import read_cells
from immunocast.cohort.expression.genes import gene_sets, known_symbols, symbol
from immunocast.cohort.expression.matrix import to_matrix
from immunocast.errors import DataError


def read(path, **more):
    return to_matrix(read_cells(path), **more)


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.txt", "m.csv.gz", "m.tsv.gz", "m.parquet", "m.xlsx"])
@pytest.mark.parametrize("genes_in_rows", [False, True])
def test_every_file_type_and_orientation_gives_the_same_matrix(matrix, write, name, genes_in_rows):
    frame = matrix()
    path = write(frame.T, name, "gene") if genes_in_rows else write(frame, name)
    got = read(path)
    assert got.samples == frame.index.tolist()
    assert got.orientation == ("genes_in_rows" if genes_in_rows else "samples_in_rows")
    np.testing.assert_allclose(got.values, frame.to_numpy(), rtol=1e-14)
    assert [got.names[got.index[g]] for g in ("CD8A", "HLA-E")] == ["CD8A", "HLA-E"]
    assert set(got.index) == known_symbols()


def test_column_order_and_a_large_panel_do_not_matter_to_what_a_gene_is(matrix, write):
    frame = matrix()
    shuffled = frame.sample(frac=1, axis=1, random_state=1)
    a, b = read(write(frame, "a.csv")), read(write(shuffled, "b.csv"))
    for gene in known_symbols():
        assert a.values[:, a.index[gene]].tolist() == b.values[:, b.index[gene]].tolist()


def test_cbioportal_columns_and_missing_cells(tmp_path):
    path = tmp_path / "data_mrna_seq_tpm.txt"
    path.write_text("Hugo_Symbol\tEntrez_Gene_Id\tP1-01\tP2-01\nCD8A\t925\t1.5\tNA\nGZMA\t3001\t2\t\nABC\t\t3\t4\n")
    got = read(path)
    assert got.samples == ["P1-01", "P2-01"]
    assert got.values[0].tolist() == [1.5, 2, 3]
    assert np.isnan(got.values[1]).tolist() == [True, True, False]
    assert "Entrez_Gene_Id" in got.told[0]


def test_row_names_without_a_header_as_r_writes_them(tmp_path):
    path = tmp_path / "r.tsv"
    path.write_text('"P1"\t"P2"\n"CD8A"\t1\t2\n"PRF1"\t3\t4\n')
    assert read(path).samples == ["P1", "P2"]


def test_gct_and_comments(tmp_path):
    path = tmp_path / "m.txt"
    path.write_text("#1.2\n2\t2\nNAME\tDescription\tP1\tP2\nCD8A\tcd8\t1\t2\nPRF1\tperforin\t3\t4\n")
    assert read(path).samples == ["P1", "P2"]


def test_semicolons_windows_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(b"\xef\xbb\xbfid;CD8A;PRF1\r\nP1;1.5;2\r\n\r\nP2;3;4\r\n")
    got = read(path)
    assert got.samples == ["P1", "P2"]
    assert got.values.tolist() == [[1.5, 2], [3, 4]]


def test_row_numbers_are_pandas_index_not_the_sample(tmp_path):
    path = tmp_path / "m.csv"
    pd.DataFrame({"sample": ["A", "B"], "CD8A": [1.0, 2.0], "PRF1": [1.0, 2.0]}).to_csv(path)
    assert read(path).samples == ["A", "B"]


def test_numeric_names_of_samples(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("id,CD8A,PRF1\n1001,1,2\n1002,3,4\n")
    assert read(path).samples == ["1001", "1002"]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("HLA.DQA1", "HLA-DQA1"),
        ("hla_dqa1", "HLA-DQA1"),
        ("PD-L1", "CD274"),
        ("PD.L2", "PDCD1LG2"),
        ("C14orf102", "NRDE2"),
        ("CTGF", "CCN2"),
        ("FAM101B", "RFLNB"),
        ("ENSG00000153563", "CD8A"),
        ("ENSG00000153563.16", "CD8A"),
        ("ENSG00000153563.16|CD8A", "CD8A"),
        ("CD8A|925", "CD8A"),
        (" cd8a ", "CD8A"),
        ("CD8A1", None),
        ("PD1", None),  # HGNC gives it to three genes
        ("ENSG00000999999", None),
        ("", None),
    ],
)
def test_names_of_genes(written, means):
    assert symbol(written) == means


def test_every_gene_has_one_ensembl_id_of_its_own_and_every_alias_one_gene():
    from immunocast.cohort.expression.genes import _content

    content = _content()
    assert set(content["ensembl"]) == known_symbols()
    ids = [i for own in content["ensembl"].values() for i in own]
    assert len(ids) == len(set(ids))
    names = [n for own in content["aliases"].values() for n in own]
    assert len(names) == len(set(names))
    assert not set(names) & known_symbols(), "an alias that is another gene's symbol"
    assert set(content["aliases"]) <= known_symbols()
    assert len(gene_sets()["gep_score"].genes) == 18
    assert len(gene_sets()["tgfb_score"].genes) == 19


def test_aliases_of_the_user_come_first(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("id,MyPD1,X\nP1,1,2\n")
    assert read(path, aliases={"MYPD1": "PDCD1"}).index == {"PDCD1": 0}


def test_a_gene_that_is_there_twice_takes_the_largest_value_of_each_sample(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("id,CTGF,CCN2,CD8A\nP1,1,5,2\nP2,7,,3\n")
    got = read(path)
    assert got.values[:, got.index["CCN2"]].tolist() == [5, 7]
    assert len(got.names) == 2
    assert any("more than once" in t and "CCN2" in t for t in got.told)


def test_names_without_a_gene_are_counted_and_told(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text("gene\tP1\nCD8A\t3\n\t4\n1-Mar\t2\n__no_feature\t900\nN_unmapped\t7\n")
    got = read(path)
    assert got.names == ["CD8A", "1-MAR"]
    told = " ".join(got.told)
    assert "1 genes without a name" in told
    assert "2 rows of the counting program" in told
    assert "1-Mar" in told


REFUSED = {
    "no known gene": ("id,A,B\nP1,1,2\n", "no gene of any score"),
    "entrez ids": ("id,P1,P2\n925,1,2\n3001,3,4\n", "Entrez ids are not read"),
    "mouse ids": ("id,P1\nENSMUSG00000053977,1\n", "mouse"),
    "mouse symbols": ("id,Cd8a,Prf1,Gzma\nP1,1,2,3\n", "those of mice"),
    "both ways": ("id,CD8A\nCD8A,1\n", "orientation"),
    "no number": ("id,CD8A,PRF1\nP1,1,2\nP2,3,low\nP3,3,1\n", r"row 3.*no finite number \(value 'low'\)"),
    "decimal comma": ('id;CD8A;PRF1\nP1;"1,5";2\nP2;2;3\n', "decimal points"),
    "infinite": ("id,CD8A,PRF1\nP1,inf,2\n", "no finite number"),
    "thousands": ("id,CD8A,PRF1\nP1,1_000,2\nP2,1,2\n", "no finite number"),
    "twice the same sample": ("id,CD8A\nP1,1\nP1,2\n", "rows 2, 3.*more than once"),
    "sample without a name": ("id,CD8A\n,1\nP1,2\n", "row 2.*no name"),
    "no samples' names": ("CD8A,PRF1\n1,2\n", "no column of samples' names"),
    "no value column": ("gene,description\nCD8A,x\n", "no column holds the values"),
    "ragged": ("id,CD8A,PRF1\nP1,1,2\nP2,1\n", "header has 3 cells, row 3 has 2"),
    "no rows": ("id,CD8A\n", "no rows"),
    "no separator": ("CD8A\n1\n", "no separator"),
    "not UTF-8": ("id,CD8A\nM\xfcller,1\n".encode("latin-1"), "UTF-8"),
    "LFS pointer": ("version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull"),
    "empty": ("", "empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_and_why(tmp_path, case):
    content, message = REFUSED[case]
    path = tmp_path / "m.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read(path)


def test_the_wrong_orientation_is_refused(matrix, write):
    with pytest.raises(DataError, match="Leave `orientation` out"):
        read(write(matrix()), orientation="genes_in_rows")


def test_a_tie_of_orientation_is_settled_by_the_setting(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("id,CD8A\nCD8A,1\n")
    assert read(path, orientation="genes_in_rows").samples == ["CD8A"]


@pytest.mark.parametrize("name", ["m.csv.gz", "m.parquet", "m.xlsx"])
def test_damaged_files(tmp_path, name):
    path = tmp_path / name
    whole = {"m.csv.gz": gzip.compress(b"id,CD8A\nP1,1\n" * 1000), "m.parquet": b"PAR1", "m.xlsx": b"PK\x03\x04"}
    path.write_bytes(whole[name][:60])
    with pytest.raises(DataError, match=name):
        read(path)
