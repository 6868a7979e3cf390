"""Figures by type that the synthetic cohort should have, written out again, so that a slip in the YAML is seen."""

from __future__ import annotations

#: ORR, share with TMB >= 10, median PFS and OS in months; computed from the public LORIS workbook and IMvigor210.
#: Melanoma's median OS is not reached.
BY_TYPE: dict[str, tuple[float, float, float, float | None]] = {
    "NSCLC": (0.30, 0.33, 2.7, 10.6),
    "Renal": (0.38, 0.0, 6.7, 35.2),
    "Melanoma": (0.45, 0.53, 5.3, None),
    "Head & Neck": (0.23, 0.17, 2.0, 11.3),
    "Bladder": (0.22, 0.35, 2.6, 13.4),
    "Sarcoma": (0.21, 0.05, 1.9, 16.7),
    "Gastric": (0.28, 0.16, 2.7, 8.6),
    "Colorectal": (0.21, 0.36, 2.1, 9.6),
    "Endometrial": (0.32, 0.37, 3.7, 16.6),
    "Hepatobiliary": (0.15, 0.13, 2.4, 10.7),
    "SCLC": (0.22, 0.40, 1.6, 8.4),
    "Esophageal": (0.36, 0.16, 2.4, 6.7),
    "Pancreatic": (0.03, 0.08, 1.4, 5.9),
    "Mesothelioma": (0.19, 0.03, 2.1, 10.6),
    "Breast": (0.16, 0.13, 2.3, 10.0),
    "Ovarian": (0.16, 0.10, 2.5, 9.7),
}
#: Mean and standard deviation of ln TMB as read.
LN_TMB = {
    "NSCLC": (1.88, 0.94),
    "Renal": (1.21, 0.65),
    "Melanoma": (2.26, 1.37),
    "Head & Neck": (1.51, 0.94),
    "Bladder": (2.03, 0.85),
    "Sarcoma": (0.69, 1.00),
    "Gastric": (1.54, 1.00),
    "Colorectal": (2.41, 1.22),
    "Endometrial": (2.06, 1.28),
    "Hepatobiliary": (1.37, 0.94),
    "SCLC": (2.06, 0.69),
    "Esophageal": (1.71, 0.82),
    "Pancreatic": (1.10, 0.67),
    "Mesothelioma": (0.58, 0.65),
    "Breast": (1.48, 0.97),
    "Ovarian": (1.07, 1.15),
}
#: Patients behind the figures: the case mix.
PATIENTS = {
    "NSCLC": 1456, "Renal": 232, "Melanoma": 217, "Head & Neck": 132, "Bladder": 119, "Sarcoma": 88, "Gastric": 82,
    "Colorectal": 75, "Endometrial": 71, "Hepatobiliary": 62, "SCLC": 55, "Esophageal": 50, "Pancreatic": 40,
    "Mesothelioma": 36, "Breast": 31, "Ovarian": 31,
}  # fmt: skip
