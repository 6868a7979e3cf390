"""Studies that are broken, cut off, mislabelled or written by other systems: clear errors with files and rows."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunocast.cohort.cbioportal import StudyFolder
from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.errors import ConfigError, DataError

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 643203\n"


@pytest.fixture
def refused(load_study):
    def run(settings=None, **changes):
        with pytest.raises(DataError) as caught:
            load_study(settings, **changes)
        return str(caught.value)

    return run


def told(tables, code):
    return [c["message"] for c in tables.checks if c["code"] == code]


def test_needed_clinical_files_that_are_pointers_stop_the_load_with_the_mend(refused):
    message = refused(data_clinical_sample=LFS, data_clinical_patient=LFS)
    assert message.startswith("2 problems")
    assert "data_clinical_sample.txt: this is a git-LFS pointer, not the data (the file itself has 643,203" in message
    assert "git lfs pull --include '*/data_clinical_patient.txt'" in message


def test_optional_files_that_are_pointers_are_told_and_the_study_loads(load_study):
    tables = load_study(data_mutations=LFS, data_gene_panel_matrix=LFS, data_gene_panel_my=LFS)
    assert len(tables.cohort) == 6
    assert "tmb_mut_mb" not in tables.cohort
    messages = told(tables, "IC-STUDY-002")
    assert any("data_mutations.txt: this is a git-LFS pointer" in m and "git lfs pull" in m for m in messages)
    assert all(c["severity"] == "warning" for c in tables.checks if c["code"] == "IC-STUDY-002")
    panel = load_study(data_mutations=None, data_gene_panel_my=LFS, meta_matrix=None)
    assert "data_mutations.txt (named by meta_mutations.txt)" in told(panel, "IC-STUDY-001")[0]


def test_pointers_of_files_that_are_not_read_are_listed(load_study, files):
    meta = files["meta_mutations.txt"].replace("MUTATION_EXTENDED", "COPY_NUMBER_ALTERATION")
    tables = load_study(meta_cna=meta.replace("data_mutations", "data_cna"), data_cna=LFS)
    assert told(tables, "IC-STUDY-001") == ["1 data files that are not read here are git-LFS pointers: data_cna.txt"]


def test_missing_clinical_files(refused, load_study, files):
    message = refused(data_clinical_sample=None)
    assert "meta_clinical_sample.txt names this clinical file, and it is not there" in message
    assert "There is data_clinical_patient.txt" in message
    message = refused(meta_clinical_sample=None, data_clinical_sample=None)
    assert "the study has no clinical sample file" in message
    assert "meta_mutations.txt (MUTATION_EXTENDED MAF)" in message
    bare = load_study(meta_clinical_patient=None, data_clinical_patient=None)
    assert bare.cohort["patient_id"].tolist() == ["P1", "P2", "P3", "P4", "P6"]
    by_name = load_study(meta_clinical_patient=None, meta_clinical_sample=None)
    assert len(by_name.cohort) == 6
    renamed = files["meta_clinical_sample.txt"].replace("data_clinical_sample.txt", "samples.tsv")
    assert (
        len(load_study(**{"meta_clinical_sample": renamed, "samples.tsv": files["data_clinical_sample.txt"]}).cohort)
        == 6
    )


def test_no_header_rows_are_needed(load_study, files):
    plain = {
        name: "\n".join(line for line in files[f"{name}.txt"].splitlines() if not line.startswith("#"))
        for name in ("data_clinical_patient", "data_clinical_sample")
    }
    assert load_study(**plain).cohort.equals(load_study(**files_of(files)).cohort)


def files_of(files):
    return {
        name.removesuffix(".txt"): files[name] for name in ("data_clinical_patient.txt", "data_clinical_sample.txt")
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PATIENT_ID\tSEX", "Patient ID\tSEX", "there is no attribute PATIENT_ID in the header"),
        ("PATIENT_ID\tSEX", "patient_id\tSEX", "write PATIENT_ID"),
        ("OS_MONTHS\tOS_STATUS", "OS_MONTHS\tOS_MONTHS", "column OS_MONTHS, row 5: this attribute is there more than"),
        ("P2\tFemale", "P1\tFemale", "column PATIENT_ID, rows 6, 7: 1 ids are there more than once (value 'P1')"),
        ("P2\tFemale", "\tFemale", "row 7: 1 rows have no PATIENT_ID"),
        ("P3\tFemale\t", "P3\t", "row 8: the header has 6 cells, line 8 has 5"),
        (
            "P5\tMale\t5\t1:DECEASED\t5\t0:CENSORED\n",
            "P5\tMale\t5\t1:DE",
            "row 10: the header has 6 cells, line 10 has 4",
        ),
        ("\t", ";", "Columns are separated by tabs"),
    ],
)
def test_patient_file_with_mistakes(refused, files, old, new, message):
    found = refused(data_clinical_patient=files["data_clinical_patient.txt"].replace(old, new))
    assert message in found
    assert "data_clinical_patient.txt" in found


def test_a_file_that_is_cut_off_says_so(refused, files):
    text = files["data_clinical_sample.txt"]
    assert "the file seems to be cut off" in refused(data_clinical_sample=text[: text.rindex("\tMade Up")])
    header_only = text[: text.index("P1\tS1m")]
    assert "there are attributes but no row" in refused(data_clinical_sample=header_only)
    assert "no header and no row" in refused(data_clinical_sample="#a\n#b\n")
    assert "empty (0 bytes)" in refused(data_clinical_sample="")


def test_several_mistakes_come_in_one_report(refused, files):
    samples = files["data_clinical_sample.txt"].replace("S1m", "S2")
    patients = files["data_clinical_patient.txt"].replace("P2\t", "P1\t")
    message = refused(data_clinical_sample=samples, data_clinical_patient=patients)
    assert "column SAMPLE_ID, rows 7, 9: 1 ids are there more than once (value 'S2')" in message
    assert "column PATIENT_ID, rows 6, 7" in message


def test_own_columns_with_bad_cells_name_the_file_and_line_of_each(refused, files):
    samples = files["data_clinical_sample.txt"].replace("\tPrimary\tNon-Small", "\tSecondary\tNon-Small")
    patients = files["data_clinical_patient.txt"].replace("0:LIVING\t20\t0:CENSORED", "0:LIVING\tlong\t1:CENSORED")
    columns = {
        "pfs_months": "PFS_MONTHS",
        "pfs_event": "PFS_STATUS",
        "smoker": {"source": "SAMPLE_TYPE", "coding": {"Primary": 1, "Metastasis": 0}},
    }
    message = refused({"columns": columns}, data_clinical_sample=samples, data_clinical_patient=patients)
    assert "data_clinical_patient.txt, column PFS_MONTHS, row 9: text in a number (value 'long')" in message
    assert "data_clinical_patient.txt, column PFS_STATUS, row 9" in message
    assert "data_clinical_sample.txt, column SAMPLE_TYPE, row 10: not in the coding (value 'Secondary')" in message
    missing = refused({"columns": {"nlr": "NLR"}})
    assert "column NLR: there is no such column (wanted for nlr)" in missing


def test_line_ends_quotes_and_byte_order_marks_make_no_difference(load_study, files):
    expected = load_study().cohort
    windows = {name.removesuffix(".txt"): text.replace("\n", "\r\n") for name, text in files.items() if "/" not in name}
    cases = files["case_lists/cases_sequenced.txt"].replace("\n", "\r\n")
    assert load_study(**windows, cases=cases).cohort.equals(expected)
    quoted = {
        name: "\n".join(
            "\t".join(f'"{cell}"' for cell in line.split("\t")) for line in files[f"{name}.txt"].splitlines()
        )
        for name in ("data_clinical_patient", "data_clinical_sample", "data_mutations", "data_gene_panel_matrix")
    }
    quoted["data_mutations"] = quoted["data_mutations"].replace('"#version 2.4"', "#version 2.4")
    assert load_study(**quoted).cohort.equals(expected)
    marked = {name.removesuffix(".txt"): "\ufeff" + text for name, text in files.items() if "/" not in name}
    assert load_study(**marked).cohort.equals(expected)


def test_encodings(refused, files):
    latin = files["data_clinical_sample.txt"].replace("Thymoma", "Thymom á").encode("latin-1")
    message = refused(data_clinical_sample=latin)
    assert "data_clinical_sample.txt, row 11: the file is not UTF-8: byte e1 ('á' in Windows-1252)" in message
    assert "iconv -f WINDOWS-1252 -t UTF-8" in message
    assert "UTF-16" in refused(data_clinical_patient=files["data_clinical_patient.txt"].encode("utf-16"))
    assert "a web page" in refused(data_clinical_patient="<!DOCTYPE html><html>404</html>")
    assert "NUL bytes" in refused(data_clinical_patient=files["data_clinical_patient.txt"] + "\0")
    assert "a ZIP archive" in refused(data_clinical_patient=b"PK\x03\x04rest")


def test_meta_files_with_mistakes(refused, load_study, files):
    meta = files["meta_clinical_sample.txt"]
    assert "this line is no `key: value`" in refused(meta_clinical_sample=meta + "what is this\n")
    assert "the key 'datatype' is there twice" in refused(meta_clinical_sample=meta + "datatype: X\n")
    other = load_study(meta_clinical_sample=meta.replace("identifier: tiny", "identifier: other"))
    assert told(other, "IC-STUDY-009") == ["meta_clinical_sample.txt belongs to another study: 'other', not 'tiny'"]
    assert load_study(meta_study=None).provenance.name == "tiny"  # the folder's name
    nameless = load_study(meta_mutations=files["meta_mutations.txt"].replace("data_filename: data_mutations.txt\n", ""))
    assert "meta_mutations.txt names no data_filename" in told(nameless, "IC-STUDY-009")[0]
    assert "tmb_mut_mb" in nameless.cohort  # found by its usual name
    # a datatype that does not exist, and a data file under an unusual name: nothing tells that these are samples
    wrong = meta.replace("SAMPLE_ATTRIBUTES", "SAMPLES").replace("data_clinical", "my_clinical")
    message = refused(
        **{
            "meta_clinical_sample": wrong,
            "data_clinical_sample": None,
            "my_clinical_sample.txt": files["data_clinical_sample.txt"],
        }
    )
    assert "meta_clinical_sample.txt (CLINICAL SAMPLES)" in message


def test_case_lists_and_panels_with_mistakes(refused, load_study, files):
    empty = "cancer_study_identifier: tiny\nstable_id: tiny_sequenced\ncase_list_ids: \n"
    assert "the list case_list_ids is empty" in refused(cases=empty)
    strange = load_study(cases=files["case_lists/cases_sequenced.txt"].strip() + "\tnobody2\n")
    assert "1 samples of the case list are not in the clinical file: nobody2" in told(strange, "IC-MAF-014")[0]
    by_category = "stable_id: tiny_xyz\ncase_list_category: all_cases_with_mutation_data\ncase_list_ids: S4\n"
    tables = load_study(cases=by_category)
    assert tables.cohort["mutation_count"].fillna(-1).tolist() == [2, 1, 0, 0, -1, -1]
    assert any("3 samples with mutations or a panel are not in the case list" in m for m in told(tables, "IC-MAF-007"))
    matrix = files["data_gene_panel_matrix.txt"]
    assert "column mutations: there is no such column" in refused(
        data_gene_panel_matrix=matrix.replace("mutations", "cna")
    )
    assert "a sample is there twice" in refused(data_gene_panel_matrix=matrix + "S2\tNA\n")
    assert "1 lines have another number of cells" in refused(data_gene_panel_matrix=matrix + "S9\n")
    panel = files["data_gene_panel_my.txt"]
    assert "is not a number of base pairs" in refused(data_gene_panel_my=panel.replace("500000", "0.5 Mb"))
    assert "needs gene_list" in refused(data_gene_panel_my="stable_id: MY-PANEL\n")


def test_folders(tmp_path, write_study):
    study = write_study()
    for folder, message in (
        (tmp_path / "tinny", "There are: tiny"),
        (tmp_path / "a/b/c", "is not there either"),
        (study / "meta_study.txt", "this is a file, not a study folder"),
        (tmp_path, "Did you mean tiny in it"),
        (study / "case_lists", "there is no study in this folder"),
    ):
        with pytest.raises(DataError, match=message):
            StudyFolder(folder=folder).load()


_FILES = (
    "data_clinical_patient.txt",
    "data_clinical_sample.txt",
    "data_mutations.txt",
    "data_gene_panel_matrix.txt",
    "data_gene_panel_my.txt",
    "meta_clinical_sample.txt",
    "case_lists/cases_sequenced.txt",
)
_CUTS = st.tuples(
    st.sampled_from(_FILES),
    st.floats(0, 1),
    st.floats(0, 0.2),
    st.sampled_from(
        [
            b"",
            b"\t",
            b"\n",
            b"\r",
            b'"',
            b"#",
            b"\0",
            b"\xe9",
            b"NA",
            b"\xff\xfe",
            b":",
            "µ".encode(),
            b"P1",
            b"S2",
            b"1e99",
        ]
    ),
)


# pyarrow prints that a broken row is no UTF-8 before it refuses the file, which is told
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_CUTS, min_size=1, max_size=3))
def test_damaged_files_load_or_are_refused_and_no_patient_is_lost(write_study, files, damages):
    contents = {name: files[name].encode() for name in _FILES}
    for name, at, share, put in damages:
        content = contents[name]
        start = int(at * len(content))
        contents[name] = content[:start] + put + content[start + int(share * len(content)) :]
    folder = write_study(**{("cases" if "/" in name else name): content for name, content in contents.items()})
    with contextlib.suppress(DataError, ConfigError):
        tables = StudyFolder(folder=folder).load()
        _check_patients(tables.cohort, contents)


def _check_patients(cohort, contents):
    """The table is valid, and holds every id of the two files."""
    COHORT_SCHEMA.validate(cohort)
    ids = {
        line.split("\t")[0].strip().strip('"').strip()
        for name in _FILES[:2]
        for line in contents[name].decode("utf-8-sig").replace("\r", "\n").split("\n")
        if line.strip() and not line.startswith(("#", '"#'))
    }
    assert set(cohort["patient_id"]) == ids - {"PATIENT_ID"}
