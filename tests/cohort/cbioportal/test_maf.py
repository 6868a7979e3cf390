"""Counting mutations from a MAF: against a plain count, over blocks, and on files that are not what they should be."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunocast.cohort.cbioportal import maf_stream
from immunocast.cohort.cbioportal.distinct import Repeats, hash_texts, mix
from immunocast.cohort.cbioportal.maf import CountingRule, GeneFlag, count_mutations
from immunocast.cohort.cbioportal.rule import COUNTED_CLASSES, NOT_SOMATIC
from immunocast.errors import DataError

RULE = CountingRule(
    COUNTED_CLASSES,
    NOT_SOMATIC,
    {"kras_mut": GeneFlag(frozenset({"KRAS"}), frozenset(COUNTED_CLASSES))},
)


@pytest.fixture
def count(tmp_path):
    def run(content, name="data_mutations.txt", rule=RULE):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return count_mutations(path, rule)

    return run


@pytest.fixture
def refused(count):
    def run(content, **more):
        with pytest.raises(DataError) as caught:
            count(content, **more)
        return str(caught.value)

    return run


def test_classes_repeats_statuses_and_flags(count, maf_rows):
    found = count(
        maf_rows(
            ("KRAS", 1, "missense_mutation", "A"),
            ("KRAS", 1, "Missense_Mutation", "A"),
            ("KRAS", 1, "Missense_Mutation", "B"),
            ("TP53", 2, "Splice_Region", "A"),
            ("TP53", 3, "Silent", "C"),
            ("KRAS", 3, "Silent", "C"),
            ("TP53", 4, "Missense_Mutation", "D", "GERMLINE"),
            ("TP53", 5, "Missense_Mutation", "", "Somatic"),
            ("TP53", 6, "strange", "A"),
        )
    )
    assert found.counts == {"A": 2, "B": 1, "C": 0, "D": 0}
    assert found.flags == {"kras_mut": {"A", "B"}}
    assert found.repeats == 1
    assert found.left_out == {"GERMLINE": 1}
    assert found.no_barcode == 1
    assert found.unknown == {"strange": 1}
    assert found.n_rows == 9


def test_columns_in_any_order_and_case_with_comments_and_windows_line_ends(count, maf_rows):
    text = maf_rows(("KRAS", 1, "Missense_Mutation", "A"), ("KRAS", 1, "Missense_Mutation", "A"))
    expected = count(text)
    table = [line.split("\t")[::-1] for line in text.splitlines()]
    table[0] = [name.upper() for name in table[0]]
    turned = "#version 2.4\t\t\n#a comment\n\n" + "\n".join("\t".join(r) for r in table) + "\n"
    for content in (turned, turned.replace("\n", "\r\n"), "\ufeff" + turned, turned.rstrip("\n")):
        found = count(content)
        assert (found.counts, found.repeats, found.flags) == (expected.counts, 1, expected.flags)
    assert count(gzip.compress(turned.encode()), name="data_mutations.txt.gz").counts == expected.counts


def test_quotation_marks(count, maf_rows):
    text = maf_rows(("KRAS", 1, "Missense_Mutation", "A"), ("TP53", 2, "Missense_Mutation", "B"))
    quoted = "\n".join("\t".join(f'"{cell}"' for cell in line.split("\t")) for line in text.splitlines())
    found = count(quoted)
    assert found.counts == {"A": 1, "B": 1}
    assert found.flags == {"kras_mut": {"A"}}
    with_tab = text.replace("KRAS", '"KRAS\tor NRAS"').replace("TP53", '5" of TP53')
    found = count(with_tab)
    assert found.counts == {"A": 1, "B": 1}
    assert found.broken.n == 0
    # a lone quotation mark takes no other line with it
    lone = count(text.replace("TP53", '"TP53') + "NRAS\t1\t9\tA\tA\tG\tMissense_Mutation\tC\tSomatic\n")
    assert lone.counts == {"A": 1, "B": 1, "C": 1}


def test_the_new_allele_is_the_one_that_differs_from_the_reference(count):
    header = (
        "Chromosome\tStart_Position\tReference_Allele\tTumor_Seq_Allele1\tTumor_Seq_Allele2\tVariant_Classification\t"
        "Tumor_Sample_Barcode\n"
    )
    rows = [
        "chr1\t10\tA\tA\tG",
        "1\t10\ta\tG\tA",  # the same, in the other column
        "1\t10\tA\tA\tT",
        "X\t10\tA\tA\tG",
        "1\t010\tA\tA\tG",  # the same position
        "1\t10\tA\tA\tA",  # tells no change
        "1\t\tA\tA\tG",  # tells no place
        "NA\t10\tA\tA\tG",
    ]
    found = count(header + "".join(f"{row}\tMissense_Mutation\tS\n" for row in rows))
    assert found.repeats == 2
    assert found.not_compared == 3
    assert found.counts == {"S": 6}


def test_without_positions_nothing_is_taken_for_a_repeat(count):
    text = "Tumor_Sample_Barcode\tVariant_Classification\n" + "S\tMissense_Mutation\n" * 3
    found = count(text)
    assert found.counts == {"S": 3}
    assert (found.repeats, found.not_compared, found.has_genes) == (0, 3, False)


def test_broken_lines_are_counted_with_their_numbers(count, maf_rows):
    entries = [("TP53", i, "Missense_Mutation", f"S{i % 7}") for i in range(1, 101)]
    lines = ("#version 2.4\n" + maf_rows(*entries)).splitlines()
    lines[10] += "\tone more"
    lines[20] = "TP53\t1"
    found = count("\n".join(lines) + "\n")
    assert found.broken.n == 2
    assert found.broken.rows == [11, 21]
    assert not found.broken.cut_off
    assert sum(found.counts.values()) == 98
    cut = count(("\n".join(lines) + "\n")[:-12])
    assert cut.broken.n == 3
    assert cut.broken.cut_off


def test_too_many_broken_lines_or_unknown_classes_are_refused(refused, maf_rows):
    text = maf_rows(*(("TP53", i, "Missense_Mutation", "S") for i in range(1, 11)))
    assert "1 of 11 rows have another number of cells than the header (the first one 1)" in refused(text + "x\n")
    message = refused(text.replace("Missense_Mutation", "missense_variant"))
    assert "the classes of 10 of 10 rows are unknown: 'missense_variant'" in message
    assert "mutations.counted_classes" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty (0 bytes)"),
        (b"#version 2.4\n#nothing\n", "All its lines are comments"),
        (b"Hugo_Symbol\tVariant_Classification\nA\tSilent\n", "column Tumor_Sample_Barcode, row 1: a MAF needs"),
        (b"Tumor_Sample_Barcod\tVariant_Classification\n", "Did you mean 'Tumor_Sample_Barcod'?"),
        (b"Tumor_Sample_Barcode,Variant_Classification\nA,Silent\n", "separated by tabs"),
        (b"Tumor_Sample_Barcode\ttumor_sample_barcode\tVariant_Classification\n", "there more than once"),
        (b"Tumor_Sample_Barcode\tVariant_Classification\rA\tSilent\rB\tSilent\n", "old Macs"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 7\n", "git-LFS pointer"),
        (b"<html>", "a web page"),
        (b"Tumor_Sample_Barcode\tVariant_Classification\nA\xe9\tSilent\n", "iconv -f WINDOWS-1252"),
        (gzip.compress(b"x", mtime=0), "gzip-compressed"),
        (b"Tumor_Sample_Barcode\tVariant_Classification\n" + b"A" * (3 << 20), "a line is longer than"),
    ],
)
def test_files_that_are_no_maf(refused, content, message):
    assert message in refused(content)


def test_a_compressed_file_that_is_cut_off(refused, maf_rows):
    packed = gzip.compress(maf_rows(*(("TP53", i, "Silent", f"S{i}") for i in range(5000))).encode())
    assert "broken or cut off" in refused(packed[: len(packed) // 2], name="x.maf.gz")
    assert "not tab-separated text" in refused(b"PK\x03\x04", name="x.maf.gz")
    with pytest.raises(DataError, match="there is no such file"):
        count_mutations(Path("nowhere.maf"), RULE)


def test_a_header_without_rows(count, maf_rows):
    assert count(maf_rows()).counts == {}
    assert count(maf_rows().strip()).counts == {}


_ROW = st.tuples(
    st.sampled_from(["KRAS", "TP53", "B2M"]),
    st.integers(1, 6),
    st.sampled_from([*COUNTED_CLASSES[:3], "Silent", "Intron", "Missense_Mutation"]),
    st.sampled_from(["A", "B", "C", "TCGA-1"]),
    st.sampled_from(["Somatic", "Germline", ""]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ROW, max_size=60), st.booleans())
def test_equal_to_a_plain_count(count, maf_rows, monkeypatch, entries, small):
    """Also where each block holds a few lines and repeats go to files after ten records."""
    monkeypatch.setattr(maf_stream, "BLOCK_BYTES", 400 if small else 1 << 20)
    monkeypatch.setattr(Repeats, "__init__", _waiting(10 if small else 1000))
    found = count(maf_rows(*entries))
    used = [e for e in entries if e[4] != "Germline"]
    counted = [e for e in used if e[2] in COUNTED_CLASSES]
    changes = {(e[3], e[1]) for e in counted}
    assert found.counts == {s: sum(c[0] == s for c in changes) for s in {e[3] for e in entries}}
    assert found.repeats == len(counted) - len(changes)
    assert found.flags["kras_mut"] == {e[3] for e in counted if e[0] == "KRAS"}
    assert found.n_rows == len(entries)


def _waiting(records):
    original = Repeats.__init__
    return lambda self, waiting=records: original(self, records)


def test_repeats_in_files_are_those_in_memory():
    rng = np.random.default_rng(1)
    group = rng.integers(0, 5, 3000)
    keys = mix(hash_texts(rng.integers(0, 900, 3000).astype(str).astype(object)), group)
    with Repeats(waiting=10**6) as kept, Repeats(waiting=100) as spilled:
        for start in range(0, 3000, 37):
            kept.add(keys[start : start + 37], group[start : start + 37])
            spilled.add(keys[start : start + 37], group[start : start + 37])
        expected = np.array([(group == g).sum() - len(set(keys[group == g])) for g in range(5)])
        assert kept.count(5).tolist() == expected.tolist()
        assert spilled.count(5).tolist() == expected.tolist()
        folder = Path(spilled._folder.name)
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(root, tmp_path):
    script = root / "benchmarks/bench_maf.py"
    code = f"import sys; sys.path.insert(0, {str(script.parent)!r}); import bench_maf; from pathlib import Path; "
    own = []
    for n in (1_000_000, 3_000_000):
        path = tmp_path / "big.maf"
        subprocess.run([sys.executable, "-c", f"{code} bench_maf.generate(Path({str(path)!r}), {n})"], check=True)
        command = [sys.executable, str(script), "--child", "immunocast, streamed", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        own.append(json.loads(done.stdout)["own"])
    assert own[1] < 1.5 * own[0]
