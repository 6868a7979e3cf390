"""A tiny study in the portal's native layout, which tests change file by file."""

import gzip

import pytest

from immunocast.cohort.cbioportal import StudyFolder

MAF_HEADER = (
    "Hugo_Symbol\tChromosome\tStart_Position\tReference_Allele\tTumor_Seq_Allele1\tTumor_Seq_Allele2\t"
    "Variant_Classification\tTumor_Sample_Barcode\tMutation_Status"
)

PATIENTS = """\
#Patient\tSex\tOverall survival\tOS status\tPFS\tPFS status
#Identifier\tSex\tmonths\tstatus\tmonths\tstatus
#STRING\tSTRING\tNUMBER\tSTRING\tNUMBER\tSTRING
#1\t1\t1\t1\t1\t1
PATIENT_ID\tSEX\tOS_MONTHS\tOS_STATUS\tPFS_MONTHS\tPFS_STATUS
P1\tMale\t12\t0:LIVING\t6.5\t1:PROGRESSION
P2\tFemale\t3\t1:DECEASED\t2\t1:PROGRESSION
P3\tFemale\t[Not Available]\t[Not Available]\t\t
P4\tMale\t20\t0:LIVING\t20\t0:CENSORED
P5\tMale\t5\t1:DECEASED\t5\t0:CENSORED
"""

SAMPLES = """\
#Patient\tSample\tType\tCancer\tDetail
#Patient\tSample\tType\tCancer\tDetail
#STRING\tSTRING\tSTRING\tSTRING\tSTRING
#1\t1\t1\t1\t1
#PATIENT\tSAMPLE\tSAMPLE\tSAMPLE\tSAMPLE
PATIENT_ID\tSAMPLE_ID\tSAMPLE_TYPE\tCANCER_TYPE\tCANCER_TYPE_DETAILED
P1\tS1m\tMetastasis\tMelanoma\tCutaneous Melanoma
P1\tS1p\tPrimary\tMelanoma\tCutaneous Melanoma
P2\tS2\tPrimary\tEsophagogastric Cancer\tStomach Adenocarcinoma
P3\tS3\tPrimary\tNon-Small Cell Lung Cancer\tLung Adenocarcinoma
P4\tS4\tMetastasis\tThymic Tumor\tThymoma
P6\tS6\tPrimary\tMade Up Cancer\tMade Up
"""


def rows(*entries):
    """MAF rows (gene, start, class, sample) with defaults for the rest."""
    lines = [MAF_HEADER]
    for entry in entries:
        gene, start, kind, sample, *more = entry
        status = more[0] if more else "Somatic"
        lines.append(f"{gene}\t1\t{start}\tA\tA\tG\t{kind}\t{sample}\t{status}")
    return "\n".join(lines) + "\n"


MAF = "#version 2.4\n" + rows(
    ("KRAS", 1, "Missense_Mutation", "S1p"),
    ("TP53", 2, "Nonsense_Mutation", "S1p"),
    ("TP53", 2, "Nonsense_Mutation", "S1p"),  # the same change twice
    ("TP53", 3, "Silent", "S1p"),
    ("B2M", 4, "Frame_Shift_Del", "S2"),
    ("EGFR", 5, "Missense_Mutation", "S2", "Germline"),
    ("EGFR", 6, "missense", "S2"),  # no class of the format
    ("EGFR", 7, "Missense_Mutation", "nobody"),
)

FILES = {
    "meta_study.txt": "type_of_cancer: mixed\ncancer_study_identifier: tiny\nname: Tiny\ncitation: Doe 2020\n",
    "meta_clinical_patient.txt": (
        "cancer_study_identifier: tiny\ngenetic_alteration_type: CLINICAL\ndatatype: PATIENT_ATTRIBUTES\n"
        "data_filename: data_clinical_patient.txt\n"
    ),
    "meta_clinical_sample.txt": (
        "cancer_study_identifier: tiny\ngenetic_alteration_type: CLINICAL\ndatatype: SAMPLE_ATTRIBUTES\n"
        "data_filename: data_clinical_sample.txt\n"
    ),
    "meta_mutations.txt": (
        "cancer_study_identifier: tiny\ngenetic_alteration_type: MUTATION_EXTENDED\ndatatype: MAF\n"
        "stable_id: mutations\ndata_filename: data_mutations.txt\n"
    ),
    "meta_matrix.txt": (
        "cancer_study_identifier: tiny\ngenetic_alteration_type: GENE_PANEL_MATRIX\ndatatype: GENE_PANEL_MATRIX\n"
        "data_filename: data_gene_panel_matrix.txt\n"
    ),
    "data_clinical_patient.txt": PATIENTS,
    "data_clinical_sample.txt": SAMPLES,
    "data_mutations.txt": MAF,
    "data_gene_panel_matrix.txt": "SAMPLE_ID\tmutations\nS1m\tNA\nS1p\tMY-PANEL\nS2\tNA\nS3\tIMPACT468\nS4\tNA\n",
    "data_gene_panel_my.txt": (
        "stable_id: MY-PANEL\ndescription: mine\nnumber_of_profiled_coding_base_pairs: 500000\n"
        "gene_list: KRAS\tTP53\tEGFR\tB2M\n"
    ),
    "case_lists/cases_sequenced.txt": (
        "cancer_study_identifier: tiny\nstable_id: tiny_sequenced\ncase_list_name: sequenced\n"
        "case_list_ids: S1p\tS2\tS3\n"
    ),
}


@pytest.fixture
def write_study(tmp_path):
    """Write the study with some files changed; None leaves one out. Returns the folder."""

    def write(**changes):
        folder = tmp_path / "tiny"
        named = {key.replace("__", "."): value for key, value in changes.items()}
        contents = {**FILES, **{_full(name): content for name, content in named.items()}}
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink(missing_ok=True)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content, encoding="utf-8", newline="")
        return folder

    return write


def _full(name):
    """`cases__txt` is the case list; the suffix .txt may be left out."""
    if name == "cases":
        return "case_lists/cases_sequenced.txt"
    return name if "." in name else f"{name}.txt"


@pytest.fixture
def load_study(write_study):
    """Write the study and load it; `settings` go to the reader."""

    def load(settings=None, **changes):
        return StudyFolder(folder=write_study(**changes), **(settings or {})).load()

    return load


@pytest.fixture
def files():
    """The study's files as they stand."""
    return dict(FILES)


@pytest.fixture
def maf_rows():
    """Rows of a MAF from (gene, start, class, sample[, status])."""
    return rows


@pytest.fixture
def packed():
    """The bytes of a text as .gz."""
    return lambda text: gzip.compress(text.encode(), mtime=0)
