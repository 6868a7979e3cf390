"""How well `immunocast map` places the columns of the public cohorts, against a truth that was written by hand.

    python benchmarks/bench_map.py            # needs IMMUNOCAST_DATA, the folder of the public cohorts

For each file: columns of the truth that were placed right (header, unit, polarity), placed wrong, and missed, and how
many of the wrong ones looked sure (confidence 0.80 or more, no line to CHECK).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunocast.cohort.infer import propose_mapping
from immunocast.cohort.infer.candidate import SURE

_D, _I = {"unit": "days"}, {"inverted": True}
_P = {"unit": "percent"}
#: file -> name in the vocabulary -> headers that are right, and what the entry must say beside the source.
#: "?": right where placed, no miss where not.
TRUTH: dict[str, dict[str, tuple[Any, ...]]] = {
    "imvigor210": {
        "patient_id": ("sample_id",),
        "person_id": ("ANONPT_ID",),
        "ancestry": ("Race",),
        "pdl1_ic": ("IC.Level",),
        "pdl1_tc": ("TC.Level",),
        "tmb_mut_mb": ("FMOne.mutation.burden.per.MB",),
        "ecog": ("Baseline.ECOG.Score",),
        "neoantigen_mut_mb": ("Neoantigen.burden.per.MB",),
        "immune_phenotype": ("Immune.phenotype",),
        "sex": ("Sex",),
        "smoker": ("Tobacco.Use.History",),
        "liver_metastasis": ("Met.Disease.Status",),
        "os_months": ("os",),
        "bor": ("Best.Confirmed.Overall.Response",),
        "responder?": ("binaryResponse",),
        "os_event": ("censOS", {}),
        "prior_systemic_therapy?": ("Received.platinum",),
        "tumor_purity?": ("iobr_TumorPurity",),
    },
    "liu2019_melanoma": {
        "patient_id": ("patient_id",),
        "mutation_count": ("nonsyn_muts",),
        "fcna": ("CNA_prop",),
        "bor": ("BR",),
        "tumor_purity": ("purity",),
        "stage": ("Mstage (IIIC=0, M1a=1, M1b=2, M1c=3)",),
        "age_years": ("Age",),
        "sex": ("gender (Male=1, Female=0)",),
        "ecog": ("Tx_Start_ECOG",),
        "drug_class": ("Tx", "IOTherapy"),
        "pfs_months": ("PFS", _D),
        "pfs_event": ("progressed", {}),
        "os_months": ("OS", _D),
        "os_event": ("dead", {}),
        "liver_metastasis?": ("Liver_Visc_Met",),
        "histology?": ("Histology",),
        "tmb_mut_mb?": ("predictior_TMB_perMb", "predictior_nsTMB_perMb"),
        "prior_systemic_therapy?": ("numPriorTherapies",),
        "responder?": ("predictior_response",),
        "biopsy_timing": ("biopsyContext (1=Pre-Ipi; 2=On-Ipi; 3=Pre-PD1; 4=On-PD1)",),
    },
    "riaz2017_nivolumab": {
        "patient_id": ("patient_id", "Patient", "PatientID"),
        "mutation_count": ("Mutation Load",),
        "stage": ("M Stage",),
        "cyt_score": ("Cytolytic Score",),
        "bor": ("BOR", "Response", "IBOR"),
        "pfs_months": ("PFS", _D),
        "pfs_event": ("PFS_SOR", _I),
        "os_months": ("OS", _D),
        "os_event": ("Dead/Alive(Dead = True)", {}),
    },
    "vanallen2015_ctla4": {
        "patient_id": ("sample_id", "patientid"),
        "sex": ("sex",),
        "age_years": ("age",),
        "tumor_type": ("cancer_type",),
        "stage": ("stage",),
        "bor": ("recist",),
        "drug_class": ("treatment",),
        "pfs_months": ("survival_time_pfs", {}),
        "pfs_event": ("event_occurred_pfs", {}),
        "os_months": ("survival_time_os", {}),
        "os_event": ("event_occurred_os", {}),
        "tmb_mut_mb": ("TMB_perMb", "nsTMB_perMb"),
        "mutation_count": ("nonsynonymous", "mutations", "nsTMB_raw", "TMB_raw"),
        "histology?": ("histo",),
        "prior_systemic_therapy?": ("pre_therapies",),
    },
    "oak2018_nsclc": {
        "patient_id": ("PtID",),
        "arm": ("TRT01P",),
        "ancestry": ("race2",),
        "histology": ("HIST",),
        "btmb_count": ("btmb",),
        "msaf": ("MSAF",),
        "egfr_mut": ("EGFRMUT",),
        "kras_mut": ("KRASMUT",),
        "alk_fusion": ("EML4MUT",),
        "age_years": ("BAGE",),
        "sex": ("SEX",),
        "ecog": ("ECOGGR",),
        "drug_class": ("TRT01P",),
        "smoker": ("TOBHX",),
        "metastatic_sites": ("METSITES",),
        "tumor_burden_mm": ("blSLD",),
        "bor": ("BCOR",),
        "pfs_months": ("PFS", {}),
        "pfs_event": ("PFS.CNSR", _I),
        "os_months": ("OS", {}),
        "os_event": ("OS.CNSR", _I),
        "prior_systemic_therapy": ("PRIORTXC",),
    },
    "msk_mind2022_nsclc": {
        "patient_id": ("Patient ID", "Sample ID"),
        "tmb_panel": ("Gene Panel",),
        "histology": ("Histology",),
        "pdl1_tps": ("JS PD-L1 score", "Clinically reported PD-L1 score"),
        "tmb_mut_mb": ("TMB", "Impact TMB Score"),
        "mutation_count": ("Mutation Count",),
        "fcna": ("Fraction Genome Altered",),
        "msi_status": ("MSI Type",),
        "tumor_purity": ("Tumor Purity", _P),
        "egfr_mut": ("EGFR driver",),
        "stk11_mut": ("STK11 driver",),
        "alk_fusion?": ("ALK driver",),
        "dnlr": ("dNLR",),
        "albumin_g_dl": ("Albumin",),
        "age_years": ("Age",),
        "sex": ("Sex",),
        "tumor_type": ("Disease", "Cancer Type", "Cancer Type Detailed"),
        "ecog": ("ECOG",),
        "line_of_therapy": ("Line of therapy",),
        "drug_class": ("IO drug name",),
        "smoker": ("What is the patient's smoking status?",),
        "pack_years": ("Pack-year history",),
        "bor": ("BOR",),
        "pfs_months": ("PFS Months", {}),
        "pfs_event": ("PFS Status", {}),
        "dcb?": ("Durable clinical response",),
        "os_months": ("Date of death + Date of Last Contact",),
        "os_event": ("Is the patient deceased?", {}),
    },
    "khan2025_irae": {
        "patient_id": ("patient_id",),
        "ancestry": ("race", "ethnicity"),
        "tumor_type": ("cancer_type",),
        "sex": ("gender",),
        "drug_class": ("ici_drug",),
        "irae_grade": ("highest_grade_iraE",),
        "irae_organ": ("iraE_organ_affected",),
        "il6_pg_ml": ("IL-6",),
        "il8_pg_ml": ("IL-8/ CXCL8",),
        "il10_pg_ml": ("IL-10",),
        "ifng_pg_ml": ("IFN-y",),
        "tnf_pg_ml": ("TNF-a",),
        "cxcl9_pg_ml": ("MIG/ CXCL9",),
        "cxcl10_pg_ml": ("IP-10/ CXCL10",),
    },
    "sayer2023_nsclc_irae": {
        "patient_id": ("X", "SHADOW.ID"),
        "age_years": ("Age.at.diagnosis",),
        "sex": ("male", "Sex"),
        "ancestry": ("Race",),
        "histology": ("Histology",),
        "stage": ("Stage",),
        "smoker": ("Smoking",),
        "pack_years": ("Packyear",),
        "drug_class": ("Immunotherapy.Class", "Immunotherapy.1_DrugName"),
        "pfs_months": ("pfs_days", _D),
        "pfs_event": ("pfs_flag", {}),
        "line_of_therapy": ("Line.of.immunotherapy..1",),
        "os_months": ("os_days_update", _D),
        "os_event": ("VitalStatus", "survival_flag", {}),
        "irae": ("irAE.1_pos_neg",),
        "irae_grade": ("Grade.of.irAE.1",),
        "irae_organ?": ("irAE.1.category",),
        "prior_systemic_therapy?": ("prior_tki", "priortki"),
    },
}

_LORIS: dict[str, tuple[Any, ...]] = {
    "patient_id": ("SAMPLE_ID",),
    "treatment_start_year": ("Year of ICI treatment start",),
    "pdl1_tps": ("PDL1_TPS(%)",),
    "tmb_mut_mb": ("TMB",),
    "fcna": ("FCNA",),
    "hla_loh": ("HLA_LOH",),
    "hed": ("HED",),
    "albumin_g_dl": ("Albumin",),
    "nlr": ("NLR",),
    "hemoglobin_g_dl": ("HGB",),
    "platelets_10e9_l": ("Platelets",),
    "tumor_type": ("CancerType",),
    "age_years": ("Age",),
    "sex": ("Sex", {"coding": {"1": "male"}}),
    "bmi_kg_m2": ("BMI",),
    "ecog": ("Performance_status",),
    "smoker": ("Smoking_status",),
    "pack_years": ("Pack_years",),
    "prior_systemic_therapy": ("Systemic_therapy_history",),
    "responder": ("Response",),
    "pfs_months": ("PFS_Months", {}),
    "pfs_event": ("PFS_Event", {}),
    "os_months": ("OS_Months", {}),
    "os_event": ("OS_Event", {}),
    "msi_status": ("MSI", {"coding": {"1": "MSI-H"}}),
    "stage": ("Stage", {"coding": {"1": "IV"}}),
    "drug_class": ("Drug", {"coding": {"2": "ctla4"}}),
}
#: Sheet -> changes of the truth; None for a column that is not there or holds nothing.
_GONE = ("hla_loh", "hed", "hemoglobin_g_dl", "bmi_kg_m2", "msi_status", "stage", "ecog", "smoker", "pack_years")
LORIS: dict[str, dict[str, Any]] = {
    "Chowell_train": dict.fromkeys(("ecog", "smoker", "pack_years")),
    "Chowell_test": dict.fromkeys(("ecog", "smoker", "pack_years")),
    "MSK1": dict.fromkeys(_GONE),
    "Kato_panCancer": {
        **dict.fromkeys((*_GONE, "platelets_10e9_l", "treatment_start_year", "pdl1_tps", "fcna", "drug_class"))
    },
    "Vanguri_NSCLC": {
        **dict.fromkeys(
            ("hed", "hla_loh", "hemoglobin_g_dl", "platelets_10e9_l", "stage", "bmi_kg_m2", "treatment_start_year")
        ),
        "dnlr?": ("NLR_original",),
        "tmb_panel": ("Gene Panel",),
    },
    "Ravi_NSCLC": {
        **dict.fromkeys(
            (
                "msi_status",
                "hla_loh",
                "hed",
                "hemoglobin_g_dl",
                "platelets_10e9_l",
                "bmi_kg_m2",
                "treatment_start_year",
                "fcna",
                "ecog",
            )
        ),
        "pfs_months": ("PFS_Months", _D),
        "os_months": ("OS_Months", _D),
    },
    "MSK_nonICB": dict.fromkeys(
        (
            *_GONE,
            "platelets_10e9_l",
            "treatment_start_year",
            "pdl1_tps",
            "fcna",
            "drug_class",
            "sex",
            "responder",
            "pfs_months",
            "pfs_event",
        )
    ),
}


@dataclass(frozen=True)
class Hits:
    """Of one file: names placed right, wrong and not at all, and of the wrong ones those that looked sure."""

    file: str
    right: list[str]
    wrong: list[str]
    missed: list[str]
    sure_and_wrong: list[str]


def compare(path: Path, sheet: str | None, truth: dict[str, tuple[Any, ...]]) -> Hits:
    """Propose a mapping and compare it with the truth."""
    proposal = propose_mapping(path, sheet, mend=True)
    optional = {name.removesuffix("?"): name.endswith("?") for name, entry in truth.items() if entry is not None}
    entries = {name.removesuffix("?"): entry for name, entry in truth.items() if entry is not None}
    right, wrong, sure = [], [], []
    for p in proposal.placed:
        entry = entries.get(p.name)
        headers = [e for e in entry or () if isinstance(e, str)]
        extra = next((e for e in entry or () if isinstance(e, dict)), None)
        fits = p.header in headers
        if extra is not None:
            fits = fits and all(p.spec.get(k) == extra.get(k) for k in ("unit", "inverted"))
            coding = p.spec.get("coding", {})
            fits = fits and all(coding.get(c) == v for c, v in extra.get("coding", {}).items())
        (right if fits else wrong).append(p.name)
        if not fits and p.confidence >= SURE and not p.doubts:
            sure.append(p.name)
    placed = {p.name for p in proposal.placed}
    missed = [name for name, may in optional.items() if not may and name not in placed]
    title = f"{path.parent.name}{f', {sheet}' if sheet else ''}"
    return Hits(title, right, wrong, missed, sure)


def run(data: Path) -> list[Hits]:
    """All cohorts, and each sheet of LORIS."""
    found = [compare(data / "cohorts" / name / "cohort.csv", None, truth) for name, truth in TRUTH.items()]
    book = data / "cohorts/loris/loris.xlsx"
    return found + [compare(book, sheet, _LORIS | changes) for sheet, changes in LORIS.items()]


def main() -> None:
    """Print the table that docs/mapping.md shows."""
    data = Path(os.environ.get("IMMUNOCAST_DATA", ""))
    if not (data / "cohorts/loris/loris.xlsx").is_file():
        sys.exit("Set IMMUNOCAST_DATA to the folder of the public cohorts.")
    print("| file | right | wrong | of these sure | missed | which |\n|---|---|---|---|---|---|")
    hits = run(data)
    for h in hits:
        which = "; ".join(f"{what}: {', '.join(x)}" for what, x in (("wrong", h.wrong), ("missed", h.missed)) if x)
        print(f"| {h.file} | {len(h.right)} | {len(h.wrong)} | {len(h.sure_and_wrong)} | {len(h.missed)} | {which} |")
    total = [sum(len(getattr(h, k)) for h in hits) for k in ("right", "wrong", "sure_and_wrong", "missed")]
    print(f"| **all** | {total[0]} | {total[1]} | {total[2]} | {total[3]} | |")


if __name__ == "__main__":
    main()
