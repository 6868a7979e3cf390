"""What is usual: the range in which nearly all patients of such cohorts lie, and the units that files confuse.

Ranges are wide on purpose: a value outside is rare, not impossible (the vocabulary's `low` and `high` say that).
They come from the public cohorts (LORIS workbook: 3,363 patients; OAK; MSK MIND; IMvigor210; Liu 2019; Riaz 2017),
widened, and from reference ranges of the blood tests.
"""

from __future__ import annotations

from typing import NamedTuple

DAYS_PER_MONTH = 365.25 / 12
WEEKS_PER_MONTH = DAYS_PER_MONTH / 7


class Usual(NamedTuple):
    """Usual range of single values, and factors by which a wrong unit multiplies them."""

    low: float
    high: float
    factors: tuple[tuple[float, str], ...] = ()


USUAL: dict[str, Usual] = {
    "albumin_g_dl": Usual(1.5, 5.6, ((10, "g/L"),)),
    "hemoglobin_g_dl": Usual(5.5, 19, ((10, "g/L"),)),
    "platelets_10e9_l": Usual(20, 1200, ((1000, "per microlitre"), (0.001, "10^12/L"))),
    "leukocytes_10e9_l": Usual(0.8, 80, ((1000, "per microlitre"),)),
    "neutrophils_10e9_l": Usual(0.3, 70, ((1000, "per microlitre"),)),
    "lymphocytes_10e9_l": Usual(0.05, 20, ((1000, "per microlitre"),)),
    "nlr": Usual(0.2, 100),
    "dnlr": Usual(0.15, 40),
    "plr": Usual(10, 3000),
    "sii": Usual(10, 20_000, ((1000, "platelets per microlitre"),)),
    "ldh_uln": Usual(0.25, 20, ((220, "U/L"),)),
    "crp_mg_l": Usual(0, 500),
    "age_years": Usual(15, 98),
    "bmi_kg_m2": Usual(13, 55),
    "tmb_mut_mb": Usual(0, 150, ((30, "counts of an exome, 30 Mb or more"),)),
    "pdl1_tps": Usual(0, 100, ((0.01, "fraction"),)),
    "pdl1_cps": Usual(0, 100, ((0.01, "fraction"),)),
    "fcna": Usual(0, 1, ((100, "percent"),)),
    "clonal_fraction": Usual(0, 1, ((100, "percent"),)),
    "tumor_purity": Usual(0, 1, ((100, "percent"),)),
    "msaf": Usual(0, 1, ((100, "percent"),)),
    "pack_years": Usual(0, 180),
    "tumor_burden_mm": Usual(5, 500, ((0.1, "cm"),)),
    "line_of_therapy": Usual(1, 12),
    "metastatic_sites": Usual(0, 20),
}

#: Numbers of which 0 is a usual value.
ZERO_IS_NATURAL = frozenset(
    {
        "pdl1_tps", "pdl1_cps", "tmb_mut_mb", "mutation_count", "btmb_count", "fcna", "hed", "neoantigen_mut_mb",
        "clonal_fraction", "msaf", "gep_score", "cyt_score", "ifng_score", "tgfb_score", "teff_score",
        "exhaustion_score", "crp_mg_l", "il6_pg_ml", "il8_pg_ml", "il10_pg_ml", "ifng_pg_ml", "tnf_pg_ml",
        "cxcl9_pg_ml", "cxcl10_pg_ml", "ecog", "pack_years", "metastatic_sites", "tumor_purity", "tumor_burden_mm",
    }
)  # fmt: skip
