"""What each column of the vocabulary says, and where its definition, cut-off or grading comes from.

"definition" stands where the words are the whole definition. Allowed ranges are immunocast's limits of the possible,
wide on purpose; a unit's or a scale's own limits where it has some.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """A column's description and the source of its definition."""

    description: str
    source: str = "definition"


_RECIST = "RECIST 1.1 (Eisenhauer, Eur J Cancer 2009)"
_LORIS = "Chang 2024 (LORIS), Nat Cancer"
_OAK = "Gandara, Nat Med 2018 (POPLAR and OAK)"
_IMVIGOR = "Mariathasan, Nature 2018 (IMvigor210)"
_SP142 = "SP142 assay, cut-offs as in IMvigor210 and OAK"
_AYERS = "Ayers, J Clin Invest 2017"
_CTCAE = "NCI Common Terminology Criteria for Adverse Events"
_SCORE = "on the scale of its form, see expression_forms"

MEANINGS: dict[str, Meaning] = {
    # keys and design
    "patient_id": Meaning("Id of the patient, unique over all cohorts of a table."),
    "cohort_id": Meaning("Id of the cohort: the unit that leave-one-cohort-out holds out."),
    "person_id": Meaning(
        "The human being; patients who share it are one person under several ids, and never stand on both sides "
        "of a split.",
        "reader, or linkage (docs/linkage.md)",
    ),
    "treatment_start_year": Meaning("Calendar year in which the treatment began."),
    "arm": Meaning("ici: an immune checkpoint inhibitor was given; control: none was."),
    "site_id": Meaning("Hospital or study site that treated the patient."),
    "ancestry": Meaning("Ancestry or race in the source's own words; for subgroup reports, never a model's input."),
    "regimen": Meaning("Drugs that were given, in the source's own words."),
    "tmb_panel": Meaning("Gene panel or exome assay behind the tumour mutational burden."),
    "pdl1_assay": Meaning(
        "Antibody of the PD-L1 stain; scores of different antibodies are not the same measurement.",
        "names of the assays",
    ),
    "biopsy_timing": Meaning("Whether tissue or blood was taken before the treatment (pre) or during it (on)."),
    "histology": Meaning("Histological subtype in the source's own words."),
    # PD-L1
    "pdl1_tps": Meaning(
        "Tumour proportion score: share of viable tumour cells with membranous PD-L1 stain. Cut-offs in use: 1 % "
        "and 50 %.",
        "PD-L1 IHC 22C3 pharmDx labelling",
    ),
    "pdl1_cps": Meaning(
        "Combined positive score: PD-L1 positive tumour cells, lymphocytes and macrophages per 100 viable tumour "
        "cells, capped at 100. Cut-off in use: 10.",
        "PD-L1 IHC 22C3 pharmDx labelling",
    ),
    "pdl1_ic": Meaning(
        "PD-L1 positive immune cells: IC0 under 1 %, IC1 1 to under 5 %, IC2+ 5 % or more of the tumour area.", _SP142
    ),
    "pdl1_tc": Meaning("PD-L1 positive tumour cells: TC0 under 1 %, TC1 1 to under 5 %, TC2+ 5 % or more.", _SP142),
    # DNA
    "tmb_mut_mb": Meaning(
        "Tumour mutational burden: somatic non-synonymous mutations a megabase of sequenced coding region. Cut-off "
        "in use: 10.",
        "FDA approval of pembrolizumab for TMB-high tumours (2020)",
    ),
    "mutation_count": Meaning(
        "Somatic mutations as a count, mostly the non-synonymous ones; depends on how much was sequenced."
    ),
    "btmb_count": Meaning("Blood tumour mutational burden: somatic variants in circulating tumour DNA, a count.", _OAK),
    "fcna": Meaning(
        "Fraction of the genome whose copy number is altered; thresholds differ between pipelines.", _LORIS
    ),
    "msi_status": Meaning("Microsatellite instability high (MSI-H) or stable (MSS; instability-low counts as MSS)."),
    "hla_loh": Meaning(
        "Loss of heterozygosity of HLA class I in the tumour: 1 for at least one gene.",
        "McGranahan, Cell 2017 (LOHHLA)",
    ),
    "hed": Meaning(
        "HLA class I evolutionary divergence: mean Grantham distance between the alleles of HLA-A, -B and -C.",
        "Chowell, Nat Med 2019",
    ),
    "neoantigen_mut_mb": Meaning("Predicted neoantigens a megabase.", _IMVIGOR),
    "clonal_fraction": Meaning("Share of mutations that are in all tumour cells."),
    "tumor_purity": Meaning("Share of tumour cells in the sequenced sample."),
    "msaf": Meaning("Largest allele frequency of a somatic variant in circulating DNA.", _OAK),
    "ap_loss": Meaning("A damaging alteration of antigen presentation or interferon response: B2M, JAK1 or JAK2."),
    "egfr_mut": Meaning("EGFR mutation, as the source counts it (drivers or any)."),
    "kras_mut": Meaning("KRAS mutation, as the source counts it."),
    "stk11_mut": Meaning("STK11 mutation, as the source counts it."),
    "alk_fusion": Meaning("ALK rearrangement."),
    # RNA
    "gep_score": Meaning(
        f"T-cell-inflamed gene expression profile of 18 genes, {_SCORE}.", "Ayers, J Clin Invest 2017"
    ),
    "cyt_score": Meaning(
        f"Cytolytic activity: geometric mean of GZMA and PRF1 expression, {_SCORE}.", "Rooney, Cell 2015"
    ),
    "ifng_score": Meaning(f"Interferon-gamma signature of six genes, {_SCORE}.", _AYERS),
    "tgfb_score": Meaning(f"TGF-beta response signature, {_SCORE}.", _IMVIGOR),
    "teff_score": Meaning(f"CD8 T-effector signature of eight genes, {_SCORE}.", _IMVIGOR),
    "exhaustion_score": Meaning(f"T-cell exhaustion: expression of inhibitory receptors and markers, {_SCORE}."),
    "immune_phenotype": Meaning(
        "Where CD8 T cells are: inside the tumour (inflamed), held in the stroma (excluded), nowhere (desert).",
        _IMVIGOR,
    ),
    # blood
    "nlr": Meaning("Neutrophil-to-lymphocyte ratio: absolute neutrophils / absolute lymphocytes."),
    "dnlr": Meaning(
        "Derived NLR: neutrophils / (leukocytes - neutrophils); not the same as NLR, which is about twice as high.",
        "Proctor, Br J Cancer 2012; factor 2 as in Chang 2024 (LORIS)",
    ),
    "plr": Meaning("Platelet-to-lymphocyte ratio."),
    "sii": Meaning(
        "Systemic immune-inflammation index: platelets x neutrophils / lymphocytes.", "Hu, Clin Cancer Res 2014"
    ),
    "albumin_g_dl": Meaning("Albumin in serum."),
    "ldh_uln": Meaning("Lactate dehydrogenase in multiples of the laboratory's upper limit of normal."),
    "crp_mg_l": Meaning("C-reactive protein in serum."),
    "hemoglobin_g_dl": Meaning("Haemoglobin in blood."),
    "platelets_10e9_l": Meaning("Platelets in blood."),
    "neutrophils_10e9_l": Meaning("Absolute neutrophils in blood."),
    "lymphocytes_10e9_l": Meaning("Absolute lymphocytes in blood."),
    "leukocytes_10e9_l": Meaning("Leukocytes in blood."),
    "il6_pg_ml": Meaning("Interleukin 6 in plasma, at baseline."),
    "il8_pg_ml": Meaning("Interleukin 8 (CXCL8) in plasma, at baseline."),
    "il10_pg_ml": Meaning("Interleukin 10 in plasma, at baseline."),
    "ifng_pg_ml": Meaning("Interferon gamma in plasma, at baseline."),
    "tnf_pg_ml": Meaning("Tumour necrosis factor alpha in plasma, at baseline."),
    "cxcl9_pg_ml": Meaning("CXCL9 (MIG) in plasma, at baseline."),
    "cxcl10_pg_ml": Meaning("CXCL10 (IP-10) in plasma, at baseline."),
    # clinical
    "tumor_type": Meaning("Type of tumour: the sixteen that LORIS tells apart, and all others.", _LORIS),
    "stage": Meaning(
        "Stage at the start of treatment; I-III where a source only tells metastatic from not.", "TNM stage groups"
    ),
    "age_years": Meaning("Age at the start of treatment."),
    "sex": Meaning("Sex as recorded by the source."),
    "bmi_kg_m2": Meaning("Body mass index: weight / height squared."),
    "ecog": Meaning("ECOG performance status, 0 (fully active) to 4 (bedridden).", "Oken, Am J Clin Oncol 1982"),
    "prior_systemic_therapy": Meaning("1 where chemotherapy, targeted or immune therapy was given before."),
    "line_of_therapy": Meaning("Line of the treatment in advanced disease, 1 for the first."),
    "drug_class": Meaning(
        "Class of the treatment; pd1_or_pdl1 where a source does not tell the two apart, chemo_io for an inhibitor "
        "with chemotherapy, none without an inhibitor."
    ),
    "smoker": Meaning("1 for ever smoked."),
    "pack_years": Meaning("Packs of 20 cigarettes a day times years of smoking."),
    "antibiotics_60d": Meaning("1 where systemic antibiotics were given within 60 days before the treatment began."),
    "metastatic_sites": Meaning("Number of organs with metastases."),
    "liver_metastasis": Meaning("1 for metastases in the liver."),
    "tumor_burden_mm": Meaning("Sum of the longest diameters of the target lesions at baseline.", _RECIST),
    # outcomes
    "bor": Meaning(
        "Best overall response: complete (CR), partial (PR), stable (SD), progressive disease (PD), not evaluable "
        "(NE; neither responder nor non-responder).",
        _RECIST,
    ),
    "responder": Meaning("1 for CR or PR, 0 for SD or PD, missing for NE.", _RECIST),
    "dcb": Meaning(
        "Durable clinical benefit as the source gives it, mostly CR, PR or SD for six months or more; the endpoint "
        "dcb is derived by one rule from bor and PFS where they are known."
    ),
    "depth_pct": Meaning("Best change of the sum of target diameters from baseline; -100 is none left.", _RECIST),
    "pfs_months": Meaning("Progression-free survival: start of treatment to progression or death, or last look."),
    "pfs_event": Meaning("1 for progression or death, 0 for censored."),
    "os_months": Meaning("Overall survival: start of treatment to death, or last contact."),
    "os_event": Meaning("1 for death, 0 for censored."),
    "exposure_weeks": Meaning("Time from the first to the last dose."),
    "irae": Meaning("1 for an immune-related adverse event of any grade; comes after baseline, never a feature."),
    "irae_grade": Meaning("Worst grade of an immune-related adverse event, 0 for none, 5 for fatal.", _CTCAE),
    "irae_organ": Meaning("Organ of the worst immune-related adverse event, in the source's own words."),
    "irae_onset_days": Meaning("Days from the start of treatment to the first immune-related adverse event."),
}
