"""The vocabulary: every column that a cohort table may have, with unit, range and role.

A column that is not listed here does not enter a cohort table; a reader maps source columns to these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "integer", "binary", "category", "text"]
Role = Literal["key", "design", "feature", "outcome"]
Block = Literal["pdl1", "dna", "rna", "blood", "clinical", ""]

TUMOR_TYPES = (
    "NSCLC",
    "Renal",
    "Melanoma",
    "Head & Neck",
    "Bladder",
    "Sarcoma",
    "Gastric",
    "Colorectal",
    "Endometrial",
    "Hepatobiliary",
    "SCLC",
    "Esophageal",
    "Pancreatic",
    "Mesothelioma",
    "Breast",
    "Ovarian",
    "Other",
)


@dataclass(frozen=True)
class Column:
    """One column of the vocabulary.

    Attributes
    ----------
    name : standard name, used in every table.
    kind : how values are stored. "binary" is 0/1, nullable.
    role : "feature" columns may enter a model; "key", "design" and "outcome" columns never do.
    unit : unit of the stored values, "" for none.
    low, high : closed range outside of which a value is an error, None for no bound.
    categories : the allowed values of a category.
    block : the assay that yields it (features only).
    label : how figures and reports call it.
    description : what the value says, in a sentence, for the data dictionary.
    source : where the definition, a cut-off or the allowed range comes from.
    """

    name: str
    kind: Kind
    role: Role
    label: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    block: Block = ""
    description: str = ""
    source: str = ""


def _feature(name: str, kind: Kind, block: Block, label: str, **more) -> Column:
    return Column(name, kind, "feature", label, block=block, **more)


_COLUMNS = (
    # keys and design
    Column("patient_id", "text", "key", "Patient"),
    Column("cohort_id", "text", "key", "Cohort"),
    Column("person_id", "text", "key", "Person"),
    Column("treatment_start_year", "integer", "design", "Year of treatment start", low=1990, high=2100),
    Column("arm", "category", "design", "Arm", categories=("ici", "control")),
    Column("site_id", "text", "design", "Site"),
    Column("ancestry", "text", "design", "Ancestry"),
    Column("regimen", "text", "design", "Regimen"),
    Column("tmb_panel", "text", "design", "TMB panel"),
    Column("pdl1_assay", "category", "design", "PD-L1 assay", categories=("22C3", "28-8", "SP263", "SP142")),
    # "on" where tissue or blood was taken after the treatment had begun: no baseline measurement
    Column("biopsy_timing", "category", "design", "Sample taken", categories=("pre", "on")),
    Column("histology", "text", "design", "Histology"),
    # scores of different forms are different scales: "gep_score=rank_panel; cyt_score=geometric_mean"
    Column("expression_forms", "text", "design", "Form of each expression score"),
    # PD-L1
    _feature("pdl1_tps", "number", "pdl1", "PD-L1 TPS", unit="%", low=0, high=100),
    _feature("pdl1_cps", "number", "pdl1", "PD-L1 CPS", low=0, high=100),
    _feature("pdl1_ic", "category", "pdl1", "PD-L1 IC class", categories=("IC0", "IC1", "IC2+")),
    _feature("pdl1_tc", "category", "pdl1", "PD-L1 TC class", categories=("TC0", "TC1", "TC2+")),
    # where a source tells the class but not which of the two cells made it
    _feature(
        "pdl1_tc_ic",
        "category",
        "pdl1",
        "PD-L1 by tumour or immune cells",
        categories=("TC0 and IC0", "TC1-2 or IC1-2", "TC3 or IC3"),
        description="Higher of the two SP142 classes: TC3 is 50 % or more of tumour cells, IC3 10 % or more of the "
        "tumour area, 0 under 1 % of both.",
        source="Rittmeyer 2017 (OAK)",
    ),
    # DNA
    _feature("tmb_mut_mb", "number", "dna", "TMB", unit="mut/Mb", low=0, high=2000),
    _feature("mutation_count", "integer", "dna", "Mutation count", low=0, high=200_000),
    _feature("btmb_count", "integer", "dna", "Blood TMB count", low=0, high=5_000),
    _feature("fcna", "number", "dna", "Copy-number altered fraction", low=0, high=1),
    _feature("msi_status", "category", "dna", "Microsatellite status", categories=("MSI-H", "MSS")),
    _feature("hla_loh", "binary", "dna", "HLA loss of heterozygosity"),
    _feature("hed", "number", "dna", "HLA evolutionary divergence", low=0, high=30),
    _feature("neoantigen_mut_mb", "number", "dna", "Neoantigen burden", unit="1/Mb", low=0, high=5000),
    _feature("clonal_fraction", "number", "dna", "Clonal share of mutations", low=0, high=1),
    _feature("tumor_purity", "number", "dna", "Tumour purity", low=0, high=1),
    _feature("msaf", "number", "dna", "Largest somatic allele frequency in blood", low=0, high=1),
    _feature("ap_loss", "binary", "dna", "Antigen-presentation loss (B2M, JAK1/2)"),
    _feature("egfr_mut", "binary", "dna", "EGFR mutation"),
    _feature("kras_mut", "binary", "dna", "KRAS mutation"),
    _feature("stk11_mut", "binary", "dna", "STK11 mutation"),
    _feature("alk_fusion", "binary", "dna", "ALK fusion"),
    # RNA
    _feature("gep_score", "number", "rna", "T-cell-inflamed GEP"),
    _feature("cyt_score", "number", "rna", "Cytolytic activity"),
    _feature("ifng_score", "number", "rna", "IFN-gamma signature"),
    _feature("tgfb_score", "number", "rna", "TGF-beta signature"),
    _feature("teff_score", "number", "rna", "T-effector signature"),
    _feature("exhaustion_score", "number", "rna", "T-cell exhaustion signature"),
    _feature(
        "immune_phenotype",
        "category",
        "rna",
        "Immune phenotype",
        categories=("inflamed", "excluded", "desert"),
    ),
    # blood and host inflammation
    _feature("nlr", "number", "blood", "NLR", low=0, high=300),
    _feature("dnlr", "number", "blood", "dNLR", low=0, high=300),
    _feature("plr", "number", "blood", "PLR", low=0, high=20_000),
    _feature("sii", "number", "blood", "SII", unit="10^9/L", low=0, high=100_000),
    _feature("albumin_g_dl", "number", "blood", "Albumin", unit="g/dL", low=0.5, high=7),
    _feature("ldh_uln", "number", "blood", "LDH", unit="x ULN", low=0, high=100),
    _feature("crp_mg_l", "number", "blood", "CRP", unit="mg/L", low=0, high=1000),
    _feature("hemoglobin_g_dl", "number", "blood", "Haemoglobin", unit="g/dL", low=2, high=25),
    _feature("platelets_10e9_l", "number", "blood", "Platelets", unit="10^9/L", low=1, high=3000),
    _feature("neutrophils_10e9_l", "number", "blood", "Neutrophils", unit="10^9/L", low=0, high=300),
    _feature("lymphocytes_10e9_l", "number", "blood", "Lymphocytes", unit="10^9/L", low=0, high=500),
    _feature("leukocytes_10e9_l", "number", "blood", "Leukocytes", unit="10^9/L", low=0, high=500),
    _feature("il6_pg_ml", "number", "blood", "IL-6", unit="pg/mL", low=0, high=1_000_000),
    _feature("il8_pg_ml", "number", "blood", "IL-8", unit="pg/mL", low=0, high=1_000_000),
    _feature("il10_pg_ml", "number", "blood", "IL-10", unit="pg/mL", low=0, high=1_000_000),
    _feature("ifng_pg_ml", "number", "blood", "IFN-gamma", unit="pg/mL", low=0, high=1_000_000),
    _feature("tnf_pg_ml", "number", "blood", "TNF-alpha", unit="pg/mL", low=0, high=1_000_000),
    _feature("cxcl9_pg_ml", "number", "blood", "CXCL9 (MIG)", unit="pg/mL", low=0, high=1_000_000),
    _feature("cxcl10_pg_ml", "number", "blood", "CXCL10 (IP-10)", unit="pg/mL", low=0, high=1_000_000),
    # clinical
    _feature("tumor_type", "category", "clinical", "Tumour type", categories=TUMOR_TYPES),
    # "I-III" where a source only tells metastatic from not
    _feature("stage", "category", "clinical", "Stage", categories=("I", "II", "III", "IV", "I-III")),
    _feature("age_years", "number", "clinical", "Age", unit="years", low=0, high=110),
    _feature("sex", "category", "clinical", "Sex", categories=("female", "male")),
    _feature("bmi_kg_m2", "number", "clinical", "BMI", unit="kg/m2", low=8, high=100),
    _feature("ecog", "integer", "clinical", "ECOG performance status", low=0, high=4),
    _feature("prior_systemic_therapy", "binary", "clinical", "Prior systemic therapy"),
    _feature("line_of_therapy", "integer", "clinical", "Line of therapy", low=1, high=20),
    _feature(
        "drug_class",
        "category",
        "clinical",
        "Drug class",
        # "pd1_or_pdl1" where a source does not tell the two apart
        categories=("pd1_or_pdl1", "pd1", "pdl1", "ctla4", "pd1_ctla4", "chemo_io", "none"),
    ),
    _feature("smoker", "binary", "clinical", "Ever smoked"),
    _feature("pack_years", "number", "clinical", "Pack-years", low=0, high=400),
    _feature("antibiotics_60d", "binary", "clinical", "Antibiotics within 60 days"),
    _feature("metastatic_sites", "integer", "clinical", "Metastatic sites", low=0, high=40),
    _feature("liver_metastasis", "binary", "clinical", "Liver metastasis"),
    _feature("tumor_burden_mm", "number", "clinical", "Sum of longest diameters", unit="mm", low=0, high=2000),
    # outcomes
    Column("bor", "category", "outcome", "Best overall response", categories=("CR", "PR", "SD", "PD", "NE")),
    Column("responder", "binary", "outcome", "Objective response (CR/PR)"),
    Column("dcb", "binary", "outcome", "Durable clinical benefit, as the source gives it"),
    Column("depth_pct", "number", "outcome", "Best change of the sum of diameters", unit="%", low=-100, high=1000),
    Column("pfs_months", "number", "outcome", "PFS", unit="months", low=0, high=400),
    Column("pfs_event", "binary", "outcome", "PFS event"),
    Column("os_months", "number", "outcome", "OS", unit="months", low=0, high=400),
    Column("os_event", "binary", "outcome", "OS event"),
    Column("exposure_weeks", "number", "outcome", "Time on treatment", unit="weeks", low=0, high=1800),
    # irAE come after treatment has begun: an outcome, never a baseline feature
    Column("irae", "binary", "outcome", "Immune-related adverse event, any grade"),
    Column("irae_grade", "integer", "outcome", "Worst grade of an immune-related adverse event", low=0, high=5),
    Column("irae_organ", "text", "outcome", "Organ of the immune-related adverse event"),
    Column("irae_onset_days", "number", "outcome", "Onset of the irAE", unit="days", low=0, high=8000),
)

VOCABULARY: dict[str, Column] = {c.name: c for c in _COLUMNS}
FEATURES: tuple[str, ...] = tuple(c.name for c in _COLUMNS if c.role == "feature")
OUTCOMES: tuple[str, ...] = tuple(c.name for c in _COLUMNS if c.role == "outcome")

#: Suffix of the flag that is 0 where whoever published the file imputed the value, 1 where it was measured.
MEASURED_SUFFIX = "_measured"


def label(name: str) -> str:
    """Label of a column with its unit, as figures show it.

    >>> label("tmb_mut_mb")
    'TMB (mut/Mb)'
    """
    column = VOCABULARY.get(name)
    if column is None:
        return name
    return f"{column.label} ({column.unit})" if column.unit else column.label
