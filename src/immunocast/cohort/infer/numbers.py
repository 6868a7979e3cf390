"""Which unit the numbers of a column are in, by its header and by its values."""

from __future__ import annotations

import math
from typing import Any

from immunocast.cohort.infer.candidate import Candidate, veto
from immunocast.cohort.infer.header_facts import unit_in
from immunocast.cohort.infer.profile import Profile
from immunocast.cohort.units import conversion_factor
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError

#: name -> unit -> where the median of a group of patients with advanced cancer lies, in that unit.
_MEDIANS: dict[str, dict[str, tuple[float, float]]] = {
    "albumin_g_dl": {"g/dL": (2.2, 5.6), "g/L": (22, 56), "umol/L": (330, 840)},
    "hemoglobin_g_dl": {"g/dL": (9.3, 17), "mmol/L": (5.5, 9.3), "g/L": (85, 170)},
    "crp_mg_l": {"mg/L": (1.5, 200), "mg/dL": (0.1, 1.5)},
    "platelets_10e9_l": {"10^9/L": (100, 600), "/uL": (100_000, 600_000)},
    "neutrophils_10e9_l": {"10^9/L": (1.5, 15), "/uL": (1500, 15_000)},
    "lymphocytes_10e9_l": {"10^9/L": (0.4, 5), "/uL": (400, 5000)},
    "leukocytes_10e9_l": {"10^9/L": (3, 20), "/uL": (3000, 20_000)},
    "nlr": {"": (1, 15)},
    "dnlr": {"": (0.7, 8)},
    "plr": {"": (60, 700)},
    "sii": {"": (150, 6000)},
    "age_years": {"years": (25, 90), "days": (10_000, 33_000), "months": (300, 1080)},
    "bmi_kg_m2": {"": (17, 40)},
    "ldh_uln": {"": (0.4, 4)},
    "ecog": {"": (0, 2)},
    "line_of_therapy": {"": (1, 6)},
    "metastatic_sites": {"": (1, 8)},
    "pack_years": {"": (0, 80)},
    "tumor_burden_mm": {"mm": (20, 250), "cm": (2, 20)},
    "treatment_start_year": {"": (1995, 2035)},
    "btmb_count": {"": (0, 60)},
    "mutation_count": {"": (0, 3000)},
    "neoantigen_mut_mb": {"": (0, 100)},
    "tmb_mut_mb": {"": (0.3, 60)},
    "hed": {"": (2, 12)},
    "irae_grade": {"": (0, 5)},
    "irae_onset_days": {"days": (5, 400), "weeks": (1, 60)},
    **{f"{c}_pg_ml": {"pg/mL": (0, 5000)} for c in ("il6", "il8", "il10", "ifng", "tnf", "cxcl9", "cxcl10")},
}
_SHARES = {"fcna", "tumor_purity", "msaf", "clonal_fraction"}
_WHOLE = {
    "ecog",
    "line_of_therapy",
    "metastatic_sites",
    "treatment_start_year",
    "btmb_count",
    "mutation_count",
    "irae_grade",
}


def judge_number(name: str, score: float, seen: Profile, mend: bool) -> Candidate:
    """A column of numbers as one of the vocabulary: unit, missing codes, marks and limits, and what is doubtful.

    `mend`: where header and values contradict each other about the unit, follow the values.
    """
    doubts: list[str] = []
    spec: dict[str, Any] = {}
    if seen.numeric < 0.6 or not len(seen.known):
        shown = ", ".join(repr(t) for t, _ in seen.texts.most_common(3))
        return veto(name, seen, f"looks like {name}, but its cells are no numbers ({shown})")
    fit, why = cells_of(seen, spec, doubts)
    if name in _WHOLE and not seen.whole:
        return veto(name, seen, f"looks like {name}, but holds numbers that are not whole")
    unit, share, said = _unit(name, seen, doubts, mend)
    if share == 0:
        return veto(name, seen, f"looks like {name}, but {said}")
    if unit:
        spec["unit"] = unit
    fit *= share * _in_range(name, spec, seen, doubts)
    if seen.distinct == 1 and seen.n_known >= 10 and name not in _WHOLE:
        doubts.append(f"every value is {seen.known[0]:g}: a constant that somebody put in is no measurement")
        fit *= 0.65
    return Candidate(name, seen.header, score * fit, spec, "; ".join(w for w in (said, why) if w), tuple(doubts))


def cells_of(seen: Profile, spec: dict[str, Any], doubts: list[str]) -> tuple[float, str]:
    """Missing codes, marks and limits go into the spec; returns a factor of confidence and what was found."""
    fit, said = 1.0, []
    missing: list[Any] = [*seen.missing]
    if seen.sentinel is not None:
        missing.append(int(seen.sentinel))
        doubts.append(f"{seen.sentinel:g} is taken for a missing code")
    if seen.texts:
        texts = list(seen.texts)
        missing += texts
        doubts.append(
            f"{sum(seen.texts.values())} cells are no numbers ({', '.join(map(repr, texts[:5]))}): set to missing"
        )
        fit *= 0.8 if sum(seen.texts.values()) < 0.1 * seen.n_known else 0.5
    if missing:
        spec["missing"] = missing
        said.append(f"missing codes {', '.join(map(str, missing[:6]))}")
    if seen.marks:
        spec["strip"] = seen.marks
        said.append(f"marks {' '.join(seen.marks)} at numbers")
        if "+" in seen.marks:
            doubts.append("cells such as '89+' are read as the number")
    for key, cells in (("below_range", seen.below), ("above_range", seen.above)):
        if cells:
            codes = [c for c in cells if not any(ch.isdigit() for ch in c)]
            spec[key] = ({"codes": codes} if codes else {}) | {"as": "missing"}
            doubts.append(
                f"cells {key.removesuffix('_range')} the range of the assay ({cells[0]!r}) are set to missing; "
                "give a limit if there is one"
            )
    return fit, "; ".join(said)


def _unit(name: str, seen: Profile, doubts: list[str], mend: bool) -> tuple[str | None, float, str]:
    """Unit (None for the vocabulary's), factor of confidence (0 for no), and the reason."""
    median, low, high = seen.quantile(0.5), seen.quantile(0), seen.quantile(1)
    named = unit_in(seen.header)
    if low < 0 and abs(median) < 0.5 and name in {**_MEDIANS, **dict.fromkeys(_SHARES, 0), "pdl1_tps": 0}:
        return None, 0, "its values are around 0 on both sides: standardised, and the scale is not known"
    if name in _SHARES or name in ("pdl1_tps", "pdl1_cps", "depth_pct"):
        return _share(name, seen, named, doubts, mend)
    medians = _MEDIANS.get(name)
    if medians is None:
        return None, 0.9, ""
    column = VOCABULARY[name]
    if name == "ldh_uln":
        if seen.distinct <= 2:
            return None, 0, "it is a flag; only multiples of the upper limit of normal have a place"
        if median > 20:
            return (
                None,
                0,
                "it is an activity (U/L): `ldh_uln: {source: ..., unit: U/L, uln: UPPER LIMIT}` needs the upper limit",
            )
    if named == "percent" and name.endswith("_10e9_l"):
        return None, 0, "it is a percentage of the leukocytes, not a count"
    if (
        name.endswith(("phils_10e9_l", "cytes_10e9_l"))
        and named is None
        and high <= 100
        and name != "leukocytes_10e9_l"
        and median > 12
    ):
        return None, 0, f"its median of {median:.3g} is that of a percentage of the leukocytes"
    fitting = [u for u, (a, b) in medians.items() if a <= median <= b]
    known = _known(name, named)
    if known and (known in fitting or known not in medians):
        return _said(column.unit, known), 1.0, f"the header says {named}, the median is {median:.3g}"
    if known and fitting:
        doubts.append(
            f"the header says {named}, but the median of {median:.3g} is that of {fitting[0] or 'other values'}"
        )
        return _said(column.unit, fitting[0] if mend else known), 0.6, f"median {median:.3g}"
    if not fitting:
        if name == "ecog" and 30 <= median <= 100:
            return None, 0, "its values are those of Karnofsky's scale"
        doubts.append(f"the median of {median:.3g} is unusual")
        return _said(column.unit, known) if known else None, 0.5, f"median {median:.3g}"
    if len(fitting) > 1:
        doubts.append(f"the median of {median:.3g} could also be that of {fitting[1]}")
    if name == "crp_mg_l" and median < 5 and not known:
        doubts.append(f"CRP is given in mg/L or mg/dL, and a median of {median:.3g} can be either: declare the unit")
        return None, 0.7, f"median {median:.3g}"
    unit = fitting[0]
    return (
        _said(column.unit, unit),
        1.0 if len(fitting) == 1 else 0.8,
        f"median {median:.3g}" + (f" is that of {unit}" if unit else ""),
    )


def _share(name: str, seen: Profile, named: str | None, doubts: list[str], mend: bool) -> tuple[str | None, float, str]:
    """Fractions against percentages."""
    high, low, percent = seen.quantile(1), seen.quantile(0), VOCABULARY[name].unit == "%"
    if name == "depth_pct":
        if low < -100.5:
            return None, 0, "it falls below -100 %"
        small = low >= -1 and high <= 20
    else:
        if low < 0 or high > 100:
            return None, 0, f"it runs from {low:.3g} to {high:.3g}"
        small = high <= 1 and seen.distinct > 2
        if high <= 1 and seen.distinct <= 2:
            return None, 0, "it holds a flag, no score"
        if high <= 5 and not small and seen.whole and name in ("pdl1_tps", "pdl1_cps"):
            return None, 0, f"its whole numbers up to {high:g} are classes, no percentages"
    actual = "fraction" if small else "percent"
    if named in ("percent", "fraction") and named != actual:
        doubts.append(f"the header says {named}, but the values run from {low:.3g} to {high:.3g}")
        actual = actual if mend else named
    elif small and percent and high < 0.2:
        doubts.append(f"values up to {high:.3g}: a fraction, or very low percentages")
    if name == "pdl1_cps":
        return (None, 0, "it is a fraction") if small else (None, 1.0, f"values up to {high:.3g}")
    unit = None if (actual == "percent") == percent else actual
    return unit, 0.8 if doubts else 1.0, f"values from {low:.3g} to {high:.3g}: {actual}"


def _known(name: str, unit: str | None) -> str | None:
    if unit is None:
        return None
    try:
        conversion_factor(VOCABULARY[name], unit)
    except ConfigError:
        return None
    return unit


def _said(own: str, unit: str | None) -> str | None:
    return None if not unit or unit == own else unit


def _in_range(name: str, spec: dict[str, Any], seen: Profile, doubts: list[str]) -> float:
    """Lower where values would be refused."""
    column = VOCABULARY[name]
    factor = conversion_factor(column, spec["unit"]) if "unit" in spec else 1.0
    values = seen.known * factor
    low = -math.inf if column.low is None else column.low
    high = math.inf if column.high is None else column.high
    out = int(((values < low) | (values > high)).sum())
    if not out:
        return 1.0
    doubts.append(f"{out} values are outside of {low:g} to {high:g} and will be refused")
    # few are slips, many another unit: still the column, for a look
    return 0.9 if out < 0.01 * len(values) else 1.0 if "the header says" in doubts[0] else 0.65
