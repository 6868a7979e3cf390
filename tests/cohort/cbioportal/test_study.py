"""A study folder as a cohort: join, samples, TMB, conventions, and what is told of each."""

import pandas as pd
import pytest

from immunocast.cohort.cbioportal import StudyFolder
from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.errors import ConfigError


def told(tables, code):
    """Messages of a check."""
    return [c["message"] for c in tables.checks if c["code"] == code]


def by_patient(tables):
    return tables.cohort.set_index("patient_id")


def test_patients_of_both_files_with_their_attributes(load_study):
    tables = load_study()
    table = by_patient(tables)
    COHORT_SCHEMA.validate(tables.cohort)
    assert list(table.index) == ["P1", "P2", "P3", "P4", "P5", "P6"]
    assert table["sex"].tolist()[:5] == ["male", "female", "female", "male", "male"]
    assert pd.isna(table.loc["P6", "sex"])
    assert table["os_event"].tolist()[:2] == [0, 1]
    assert table.loc[["P3", "P6"], ["os_months", "os_event", "pfs_months", "pfs_event"]].isna().all(axis=None)
    assert table.loc["P1", "pfs_months"] == 6.5
    assert tables.provenance.name == "tiny"
    assert tables.provenance.source == "Tiny, Doe 2020"


def test_one_sample_a_patient_and_the_others_are_told(load_study):
    tables = load_study()
    taken = dict(zip(tables.cohort["patient_id"], tables.unmapped["SAMPLE_ID"], strict=True))
    assert taken == {"P1": "S1p", "P2": "S2", "P3": "S3", "P4": "S4", "P5": "", "P6": "S6"}
    assert "P1: S1p, not S1m" in told(tables, "IC-STUDY-003")[0]
    lost = told(tables, "IC-STUDY-004")
    assert any("1 patients have no sample" in m for m in lost)
    assert any("1 patients have samples but no row" in m for m in lost)


def test_sequenced_samples_come_before_preferred_ones(load_study, files):
    cases = files["case_lists/cases_sequenced.txt"].replace("S1p", "S1m")
    matrix = "SAMPLE_ID\tmutations\nS1m\tNA\n"
    tables = load_study(cases=cases, data_gene_panel_matrix=matrix)
    assert tables.unmapped["SAMPLE_ID"].iloc[0] == "S1m"
    first = {"prefer_samples": [{"column": "SAMPLE_TYPE", "values": ["metastasis", "Primary"]}]}
    tables = load_study(first, cases=files["case_lists/cases_sequenced.txt"].replace("S1p", "S1m\tS1p"))
    assert tables.unmapped["SAMPLE_ID"].iloc[0] == "S1m"


def test_tumour_types_by_the_table(load_study):
    tables = load_study()
    assert by_patient(tables)["tumor_type"].fillna("?").tolist() == ["Melanoma", "Gastric", "NSCLC", "Other", "?", "?"]
    unknown, other = (told(tables, code)[0] for code in ("IC-STUDY-005", "IC-STUDY-007"))
    assert "'Made Up Cancer' (1)" in unknown
    assert "Thymic Tumor (1)" in other
    named = load_study({"tumor_types": {"made up cancer": "Sarcoma"}})
    assert by_patient(named).loc["P6", "tumor_type"] == "Sarcoma"
    with pytest.raises(ConfigError, match="'Blood' is not one of"):
        load_study({"tumor_types": {"Made Up Cancer": "Blood"}})


def test_tumour_type_of_the_study_where_samples_have_none(load_study, files):
    samples = "\n".join("\t".join(line.split("\t")[:3]) for line in files["data_clinical_sample.txt"].splitlines())
    meta = files["meta_study.txt"].replace("mixed", "nsclc")
    tables = load_study(data_clinical_sample=samples, meta_study=meta)
    assert set(tables.cohort["tumor_type"]) == {"NSCLC"}


def test_tmb_by_panel_exome_and_sequencing(load_study):
    table = by_patient(load_study())
    assert table["mutation_count"].fillna(-1).tolist() == [2, 1, 0, -1, -1, -1]
    assert table.loc["P1", "tmb_mut_mb"] == pytest.approx(2 / 0.5)  # the study's panel file
    assert table.loc["P2", "tmb_mut_mb"] == pytest.approx(1 / 30)  # NA in the matrix, sequenced: whole exome
    assert table.loc["P3", "tmb_mut_mb"] == 0  # sequenced, no mutation
    assert table.loc[["P4", "P5", "P6"], "tmb_mut_mb"].isna().all()  # not sequenced
    assert table["tmb_panel"].fillna("").tolist() == ["MY-PANEL", "WES", "IMPACT468", "", "", ""]


def test_gene_flags_only_where_the_genes_are_on_the_panel(load_study):
    table = by_patient(load_study())
    assert table["kras_mut"].fillna(-1).tolist() == [1, 0, -1, -1, -1, -1]  # no gene list of IMPACT468
    assert table["egfr_mut"].fillna(-1).tolist() == [0, 0, -1, -1, -1, -1]  # germline and unknown classes do not count
    assert table["ap_loss"].fillna(-1).tolist() == [-1, 1, -1, -1, -1, -1]  # MY-PANEL has no JAK1
    assert "kras_mut" not in load_study({"mutations": {"gene_flags": False}}).cohort


def test_what_is_left_out_of_the_maf_is_counted(load_study):
    tables = load_study()
    assert "'missense' (1)" in told(tables, "IC-MAF-002")[0]
    assert "1 rows repeat a change" in told(tables, "IC-MAF-003")[0]
    assert "1 of 3 samples are not in the clinical file" in told(tables, "IC-MAF-004")[0]
    assert "nobody" in told(tables, "IC-MAF-004")[0]
    assert "1 rows of Mutation_Status 'Germline'" in told(tables, "IC-MAF-008")[0]
    assert any("MY-PANEL is divided by 0.5 Mb (the study's panel file)" in m for m in told(tables, "IC-MAF-013"))
    assert any("IMPACT468 is divided by 1.22 Mb" in m for m in told(tables, "IC-MAF-013"))
    assert any("1 sequenced samples are taken as WES (30 Mb)" in m for m in told(tables, "IC-MAF-012"))


def test_rule_is_configuration(load_study):
    mutations = {
        "counted_classes": ["Silent", "missense"],
        "status_left_out": [],
        "panel_sizes_mb": {"my panel": 2},
    }
    table = by_patient(load_study({"mutations": mutations}))
    assert table["mutation_count"].fillna(-1).tolist()[:2] == [1, 1]
    assert table.loc["P1", "tmb_mut_mb"] == 0.5
    small = load_study({"mutations": {"panel_sizes_mb": {"MY-PANEL": 0.19}}})
    assert pd.isna(by_patient(small).loc["P1", "tmb_mut_mb"])
    assert by_patient(small).loc["P1", "mutation_count"] == 2
    assert any("under 0.2 Mb" in m for m in told(small, "IC-MAF-006"))
    assert "tmb_mut_mb" not in load_study({"mutations": {"read": False}}).cohort


def test_unknown_panel_has_no_tmb(load_study, files):
    matrix = files["data_gene_panel_matrix.txt"].replace("IMPACT468", "SECRET")
    tables = load_study(data_gene_panel_matrix=matrix)
    assert pd.isna(by_patient(tables).loc["P3", "tmb_mut_mb"])
    assert any("panel_sizes_mb: {SECRET: MEGABASES}" in m for m in told(tables, "IC-MAF-006"))


def test_without_case_list_and_matrix_only_the_maf_tells_who_was_sequenced(load_study):
    tables = load_study(cases=None, data_gene_panel_matrix=None, meta_matrix=None)
    table = by_patient(tables)
    assert table["mutation_count"].fillna(-1).tolist() == [2, 1, -1, -1, -1, -1]
    assert table.loc["P1", "tmb_mut_mb"] == pytest.approx(2 / 30)
    assert any("their TMB is missing, not 0" in m for m in told(tables, "IC-MAF-005"))


def test_a_lost_matrix_leaves_panels_unknown(load_study):
    tables = load_study(data_gene_panel_matrix=None)
    assert "tmb_mut_mb" not in tables.cohort
    assert by_patient(tables)["mutation_count"].fillna(-1).tolist() == [2, 1, 0, -1, -1, -1]
    assert any("matrix that a meta file names is not there" in m for m in told(tables, "IC-MAF-005"))
    assert "data_gene_panel_matrix.txt (named by meta_matrix.txt)" in told(tables, "IC-STUDY-001")[0]


@pytest.mark.parametrize("panel", ["IMPACT468", "MSK-IMPACT468", "impact 468"])
def test_panel_of_the_meta_file_or_of_the_clinical_file(load_study, files, panel):
    meta = files["meta_mutations.txt"] + f"gene_panel: {panel}\n"
    bare = {"data_gene_panel_matrix": None, "meta_matrix": None}
    table = by_patient(load_study(meta_mutations=meta, **bare))
    assert table.loc["P1", "tmb_mut_mb"] == pytest.approx(2 / 1.22)
    lines = files["data_clinical_sample.txt"].splitlines()
    ids = next(i for i, line in enumerate(lines) if line.startswith("PATIENT_ID"))
    ends = ["\tx"] * ids + ["\tGENE_PANEL"] + [f"\t{panel}"] * (len(lines) - ids - 1)
    samples = "\n".join(a + b for a, b in zip(lines, ends, strict=True))
    table = by_patient(load_study(data_clinical_sample=samples, **bare))
    assert table.loc["P2", "tmb_mut_mb"] == pytest.approx(1 / 1.22)


def test_clinical_tmb_is_preferred_and_compared(load_study, files):
    lines = files["data_clinical_sample.txt"].splitlines()
    ids = next(i for i, line in enumerate(lines) if line.startswith("PATIENT_ID"))
    tmb = ["", "8", "0.07", "0", "", ""]
    ends = ["\tTMB"] * ids + ["\tTMB_NONSYNONYMOUS"] + [f"\t{t}" for t in tmb]
    samples = "\n".join(a + b for a, b in zip(lines, ends, strict=True))
    clinical = load_study(data_clinical_sample=samples)
    assert by_patient(clinical)["tmb_mut_mb"].fillna(-1).tolist() == [8, 0.07, 0, -1, -1, -1]
    assert by_patient(clinical)["mutation_count"].fillna(-1).tolist()[:3] == [2, 1, 0]  # only the MAF has it
    message = told(clinical, "IC-MAF-015")[0]
    assert "3 patients with both: median ratio MAF / clinical 0.49, 1 differ" in message
    assert message.endswith("Used is the clinical file (`mutations.prefer`)")
    maf = load_study({"mutations": {"prefer": "maf"}}, data_clinical_sample=samples)
    assert by_patient(maf)["tmb_mut_mb"].fillna(-1).tolist()[:3] == [4, pytest.approx(1 / 30), 0]
    assert told(maf, "IC-MAF-015")[0].endswith("Used is the MAF (`mutations.prefer`)")


def test_own_columns_win_and_null_takes_one_out(load_study):
    columns = {
        "regimen": "SAMPLE_TYPE",
        "sex": None,
        "tmb_mut_mb": None,
        "age_years": {"source": "PFS_MONTHS", "unit": "years"},
    }
    tables = load_study({"columns": columns})
    assert not {"sex", "tmb_mut_mb"} & set(tables.cohort)
    assert tables.cohort["regimen"].iloc[0] == "Primary"
    assert by_patient(tables).loc["P4", "age_years"] == 20
    assert "SEX" in told(tables, "IC-STUDY-008")[0]
    bare = load_study({"columns": {"os_months": "OS_MONTHS"}, "conventions": False, "mutations": {"read": False}})
    assert set(bare.cohort) == {"patient_id", "cohort_id", "person_id", "os_months"}


def test_rows_left_out_by_the_mapping(load_study):
    rows = {"drop": {"SAMPLE_ID": ["S1p", ""]}, "because": "for the test"}
    tables = load_study({"rows": rows})
    assert list(by_patient(tables).index) == ["P2", "P3", "P4", "P6"]
    assert tables.cohort["mutation_count"].fillna(-1).tolist() == [1, 0, -1, -1]
    assert len(tables.unmapped) == 4


def test_a_conventional_column_that_cannot_be_read_is_left_out_and_told(load_study, files):
    patients = files["data_clinical_patient.txt"].replace("P2\tFemale\t3", "P2\tFemale\t>3")
    tables = load_study(data_clinical_patient=patients)
    assert "os_months" not in tables.cohort
    message = told(tables, "IC-STUDY-006")[0]
    assert "data_clinical_patient.txt, column OS_MONTHS, row 7" in message
    assert "'>3'" in message


def test_waivers_and_settings(load_study):
    tables = load_study({"name": "mine", "waive": {"IC-X-001": "because"}, "citation": "Roe 2021"})
    assert tables.waive == {"mine": {"IC-X-001": "because"}}
    assert tables.provenance.source == "Roe 2021"
    assert set(tables.cohort["cohort_id"]) == {"mine"}


def test_equal_files_make_equal_tables_and_digests(load_study, files):
    first, second = load_study(), load_study()
    pd.testing.assert_frame_equal(first.cohort, second.cohort)
    assert first.provenance == second.provenance
    assert first.checks == second.checks
    other = load_study(data_mutations=files["data_mutations.txt"].replace("KRAS", "NRAS"))
    assert other.provenance.digest != first.provenance.digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colums": {}}, "Did you mean 'columns'"),
        ({"columns": {"os_month": "OS_MONTHS"}}, "'os_month' is not in the vocabulary"),
        ({"mutations": {"prefer": "both"}}, "prefer: 'both'"),
        ({"mutations": {"counted_classes": "Silent"}}, "counted_classes: must be a list"),
        ({"mutations": {"counted": ["Silent"]}}, "unknown key 'counted'"),
        ({"mutations": {"panel_sizes_mb": {"X": "1 Mb"}}}, "panel_sizes_mb.X: must be a number"),
        ({"mutations": {"min_panel_mb": -1}}, "min_panel_mb"),
        ({"mutations": []}, "must be a mapping"),
    ],
)
def test_mistakes_in_the_configuration(settings, message):
    with pytest.raises(ConfigError, match=message):
        StudyFolder(folder="x", **settings)


def test_no_folder():
    with pytest.raises(ConfigError, match=r"cohort\.folder="):
        StudyFolder().load()


def test_prefer_samples_needs_columns_and_values(load_study):
    with pytest.raises(ConfigError, match="prefer_samples"):
        load_study({"prefer_samples": [{"column": "SAMPLE_TYPE", "values": "Primary"}]})


def matrix(samples):
    """An expression file of the portal: genes in rows, with Entrez ids."""
    genes = [("GZMA", 3001), ("PRF1", 5551), *((f"GENE{i}", 90_000 + i) for i in range(60))]
    lines = ["\t".join(("Hugo_Symbol", "Entrez_Gene_Id", *samples))]
    lines += ["\t".join((g, str(n), *(str(4.0 + n % 7 + i) for i in range(len(samples))))) for g, n in genes]
    return "\n".join(lines) + "\n"


def test_expression_scores_by_sample(load_study, files):
    meta = files["meta_mutations.txt"].replace("data_mutations", "data_mrna_seq_tpm")
    meta = meta.replace("MUTATION_EXTENDED", "MRNA_EXPRESSION").replace("MAF", "CONTINUOUS")
    block = {"expression": {"file": "data_mrna_seq_tpm.txt", "unit": "TPM", "log": "none", "scores": ["cyt_score"]}}
    tables = load_study(block, meta_mrna=meta, data_mrna_seq_tpm=matrix(["S4", "S1p", "S1m"]))
    scores = by_patient(tables)["cyt_score"]
    expected = ((4 + 3001 % 7 + 1) * (4 + 5551 % 7 + 1)) ** 0.5
    assert scores["P1"] == pytest.approx(expected, rel=0.01)  # of S1p, the sample that was taken
    assert scores.drop(["P1", "P4"]).isna().all()
    assert any("data_mrna_seq_tpm.txt (SHA-256" in note for note in tables.provenance.notes)
    absent = load_study(block, meta_mrna=meta, data_mrna_seq_tpm=None)
    assert "cyt_score" not in absent.cohort
    assert any("expression scores are missing" in m for m in told(absent, "IC-STUDY-002"))
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    stub = load_study(block, meta_mrna=meta, data_mrna_seq_tpm=pointer)
    assert "expression scores are missing" in told(stub, "IC-STUDY-002")[0]


def test_tcga_barcodes_are_shortened_unless_two_fit_one_sample(load_study, files, maf_rows):
    samples = files["data_clinical_sample.txt"].replace("S1p", "TCGA-A1-A0SB-01").replace("S2", "TCGA-A1-A0SC-01")
    maf = maf_rows(
        ("TP53", 1, "Missense_Mutation", "TCGA-A1-A0SB-01A-11D-A142-09"),
        ("TP53", 2, "Missense_Mutation", "TCGA-A1-A0SC-01A-11D-A142-09"),
        ("TP53", 3, "Missense_Mutation", "TCGA-A1-A0SC-01B-11D-A142-09"),
    )
    matrix = {"data_gene_panel_matrix": None, "meta_matrix": None, "cases": None}
    tables = load_study(data_clinical_sample=samples, data_mutations=maf, **matrix)
    assert by_patient(tables)["mutation_count"].fillna(-1).tolist() == [1, -1, -1, -1, -1, -1]
    assert "3 TCGA barcodes were matched" in told(tables, "IC-MAF-011")[0]
    assert "2 of 3 samples are not in the clinical file" in told(tables, "IC-MAF-004")[0]


def test_without_a_default_panel_tmb_is_missing_where_none_is_named(load_study):
    tables = load_study({"mutations": {"default_panel": None}})
    table = by_patient(tables)
    assert table["tmb_mut_mb"].fillna(-1).tolist() == [4, -1, 0, -1, -1, -1]
    assert table["mutation_count"].fillna(-1).tolist() == [2, 1, 0, -1, -1, -1]
    assert "`mutations.default_panel` is null" in told(tables, "IC-MAF-005")[0]
