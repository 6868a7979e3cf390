"""How a model presents itself on its page: a description, and two made-up patients as an input example."""

from __future__ import annotations

from typing import Any

import pandas as pd

from immunocast.cohort.outcomes import words_of
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.models.spec import ModelSpec
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.labels import reference_difference


def describe_model(run: RunFolder, model: str, label: str, spec: ModelSpec) -> str:
    """Markdown: the headline estimates with intervals, the comparison, and what the model needs."""
    rows = run.table("metrics") if run.has_table("metrics") else pd.DataFrame({"model": []})
    if len(rows):
        own = (rows["model"] == model) & (rows["recalibration"] == "none") & (rows["subgroup"] == "all")
        own &= (rows["cohort_id"] == "combined") & rows["threshold_or_horizon"].isna() & rows["estimate"].notna()
        rows = rows[own]
    headline: dict[str, dict[Any, Any]] = {str(row["metric"]): row for row in rows.to_dict("records")}
    about = run.manifest()
    words = words_of(str(about.get("endpoint", "response")), about.get("endpoint_settings"))
    first = f"**{label}**"
    if auroc := headline.pop("auroc", None):
        first += f": AUROC {_with_interval(auroc, 'estimate', '.3f')}, {auroc['n']:,} patients"
        first += f", {auroc['n_events']:,} {words.events}"
    # a UI shows the first lines only: one paragraph, two blanks being markdown's line break
    lines = [first + "  "]
    row = reference_difference(run, model)
    if row is not None and pd.notna(row["difference"]):
        text = _with_interval(row, "difference", "+.3f")
        lines.append(f"AUROC minus {row['reference_model']}: {text}, {row['n_common']:,} patients in common  ")
    lines.append("")
    for name, row in headline.items():
        lines.append(f"- {name.replace('_', ' ')} {_with_interval(row, 'estimate', '.3f')}")
    facts = {
        "Predicts": f"the probability of {words.title}",
        "Source": spec.source,
        "Needs": ", ".join(spec.required),
        "Uses where measured": ", ".join(spec.optional),
        "Numbers": "as floats; MLflow refuses integer columns",
        "Missing values": spec.missing_rule,
        "Trained before this run on": ", ".join(spec.trained_on),
    }
    searched = run.has_table("tuning") and run.table("tuning")["model"].eq(model).any()
    folds = "Inner search by outer fold: [list](folds:TABLE) · [charts](folds:CHART) · [side by side](folds:COMPARE)"
    links = "Open: [the run that made it](parent:) · [its report](parent:report.html)"
    if searched:
        links += f"  \n{folds}"
    return "\n".join([*lines, "", *(f"{name}: {fact}  " for name, fact in facts.items() if fact), "", links])


def _with_interval(row: dict[Any, Any], value: str, style: str) -> str:
    """`0.712 (95 % CI 0.690 to 0.734)`."""
    text = format(row[value], style)
    if pd.isna(row["ci_low"]) or pd.isna(row["ci_high"]):
        return text
    return f"{text} (95 % CI {format(row['ci_low'], style)} to {format(row['ci_high'], style)})"


def example_inputs(spec: ModelSpec) -> pd.DataFrame:
    """Two made-up patients with the columns that a model reads, the second with its optional values missing.

    Returns
    -------
    Frame of 2 rows; numbers as float64, categories as str.
    """
    names = spec.columns
    first = {name: _EXAMPLE.get(name, _plausible(name)) for name in names}
    second = {name: first[name] if name in spec.required else None for name in names}
    frame = pd.DataFrame([first, second], columns=list(names))
    return frame.astype({name: "str" if _is_text(name) else "float64" for name in names})


def _is_text(name: str) -> bool:
    return name in VOCABULARY and VOCABULARY[name].kind in ("category", "text")


_EXAMPLE: dict[str, Any] = {
    "pdl1_tps": 50.0,
    "pdl1_cps": 20.0,
    "tmb_mut_mb": 8.0,
    "mutation_count": 240.0,
    "fcna": 0.2,
    "nlr": 4.0,
    "dnlr": 2.5,
    "plr": 180.0,
    "sii": 900.0,
    "albumin_g_dl": 3.9,
    "ldh_uln": 1.1,
    "crp_mg_l": 12.0,
    "hemoglobin_g_dl": 12.5,
    "platelets_10e9_l": 260.0,
    "age_years": 63.0,
    "bmi_kg_m2": 25.0,
    "stage": "IV",
    "pack_years": 20.0,
}


def _plausible(name: str) -> Any:
    """The first category, or the lower bound (0 where there is none) of a vocabulary column."""
    column = VOCABULARY.get(name)
    if column is None or column.kind == "text":
        return "example" if column is not None else 0.0
    return column.categories[0] if column.categories else float(column.low or 0)
