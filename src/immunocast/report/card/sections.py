"""A card as sections of blocks, from which the HTML and the markdown are both written: they can't differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from immunocast.cohort.vocabulary import VOCABULARY, label
from immunocast.report import text
from immunocast.report.card import words
from immunocast.report.card.evidence import summary
from immunocast.report.card.facts import Facts
from immunocast.report.card.plots import Plot, calibration_plot, decision_plot
from immunocast.report.card.population import characteristic, known, levels, population
from immunocast.report.sections import Cell, Notes, Sheet, dicts, estimate_cell
from immunocast.report.sections_decisions import rule_label
from immunocast.report.sections_evaluation import discordance_sheet
from immunocast.report.view import RunView

_OVERALL = ("combined", "pooled")
_MOST_FEATURES = 10
_MOST_LEVELS = 12


@dataclass(frozen=True)
class Paragraph:
    """A sentence or more; `strong` for the card's answer."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Bullets:
    """Short statements of one kind."""

    items: list[str]


@dataclass(frozen=True)
class Link:
    """Where the numbers of the blocks above are."""

    path: str
    says: str = ""


Block = Paragraph | Bullets | Sheet | Plot


@dataclass(frozen=True)
class Part:
    """A part of a section: a heading (none for a section's only part), its blocks, and the files that they rest on."""

    title: str
    blocks: list[Block]
    links: list[Link] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A section: what it is about, whether it is the product's or the run's word, and its parts."""

    id: str
    title: str
    origin: str
    parts: list[Part]


def sections(facts: Facts) -> list[Section]:
    """The sections of a card in reading order, without the two checklists."""
    return [
        _summary(facts), _use(facts), _data(facts), _outcome(facts), _inputs(facts), _performance(facts),
        _calibration(facts), _groups(facts), _decisions(facts), _explanation(facts), _limits(facts), _checks(facts),
        _provenance(facts),
    ]  # fmt: skip


def _link(name: str, says: str = "") -> Link:
    return Link(f"evidence/{name}", says)


def _summary(facts: Facts) -> Section:
    said = summary(facts)
    blocks: list[Block] = [
        Paragraph(said["question"]),
        Paragraph(said["answer"], strong=True),
        Paragraph(said["comparison"]),
        Paragraph(said["calibration"]),
        *map(Paragraph, words.calibration_between(facts)),
        Paragraph(said["claim"]),
    ]
    return Section("summary", "Summary", words.RUN, [Part("", blocks, [_link("summary.json")])])


def _use(facts: Facts) -> Section:
    fixed = [Part("Intended", [Bullets(list(words.SCOPE_IN))]), Part("Out of scope", [Bullets(list(words.SCOPE_OUT))])]
    return Section("use", "Intended use, and what is out of scope", words.FIXED, fixed)


def _data(facts: Facts) -> Section:
    people = population(facts)
    known_of = facts.view.provenance
    source = [
        f"Cohort configuration: {facts.view.name}.",
        *([f"Source: {known_of['source']}."] if known_of.get("source") else []),
        *([f"Cited as: {known_of['citation']}."] if known_of.get("citation") else []),
        f"Licence: {known_of.get('licence') or 'not recorded'}.",
        f"SHA-256 of the data: {known_of.get('digest') or 'not recorded'}.",
        *map(str, known_of.get("notes") or []),
    ]
    rows = []
    for what in dict.fromkeys(people["what"]) if len(people) else ():
        if what in ("patients", "abstained"):
            continue
        n, of = known(people, what)
        rows.append([Cell(characteristic(what)), Cell(levels(people, what, _MOST_LEVELS)), Cell(f"{n:,} of {of:,}")])
    if facts.n_abstained:
        n_all = facts.view.counts["n"]
        rows.append([Cell("Not scored by the model"), Cell("a required input is missing"),
                     Cell(f"{facts.n_abstained:,} of {n_all:,}")])  # fmt: skip
    absent = [c for c in ("line_of_therapy", "drug_class", "ancestry", "site_id", "treatment_start_year", "pdl1_assay")
              if not known(people, c)[0]]  # fmt: skip
    notes = [f"Known for nobody: {', '.join(map(label, absent))}."] if absent else []
    sheet = Sheet(["Seen", "Patients", "Known in"], rows, notes, title="Patients by characteristic")
    return Section(
        "patients", "Patients", words.RUN,
        [
            Part("Whom the model has seen", [sheet, _flow(facts)],
                 [_link("population.csv"), _link("participant_flow.csv"), _link("characteristics.csv")]),
            Part("Sources", [Bullets([s.replace("..", ".") for s in source])], [_link("data.json")]),
        ],
    )  # fmt: skip


def _flow(facts: Facts) -> Sheet:
    total, cohorts = facts.shared.flow
    rows = [
        [
            Cell(row.name),
            Cell(_count(row.read)),
            Cell(f"{row.n_excluded:,}", "; ".join(f"{k}: {n:,}" for k, n in row.excluded.items())),
            Cell(_count(row.analysed)),
            Cell(_count(row.events), text.percent(row.events or 0, row.analysed or 0)),
            Cell("; ".join(f"{k} {v}" for k, v in row.follow_up.items()) or "not recorded"),
        ]
        for row in (*cohorts, total)
    ]
    heads = ["Cohort", "Read", "Left out", "Analysed", "Events", "Median follow-up"]
    return Sheet(heads, rows, [], len(rows) - 1, "Participant flow")


def _outcome(facts: Facts) -> Section:
    settings = facts.view.manifest.get("endpoint_settings") or {}
    told = ", ".join(f"{k} {' and '.join(v) if isinstance(v, list) else v}" for k, v in settings.items() if k != "name")
    excluded = facts.shared.flow[0].excluded
    blocks: list[Block] = [
        Paragraph(f"Forecast is {facts.words.title}. Event: {facts.words.events}. No event: {facts.words.others}."),
        Paragraph(words.output(facts)),
        Paragraph(f"Settings: {told or 'the defaults'}."),
        Paragraph(
            "Not classifiable and left out: "
            + ("; ".join(f"{reason}, {n:,} patients" for reason, n in excluded.items()) or "nobody")
            + "."
        ),
        Paragraph("Who assessed the outcome, and whether blind, is not recorded: it needs the author."),
    ]
    return Section("outcome", "Outcome and horizon", words.RUN, [Part("", blocks, [_link("outcome.json")])])


def _inputs(facts: Facts) -> Section:
    from immunocast.report.card.evidence import predictors

    frame = predictors(facts)
    rows = [
        [
            Cell(label(str(r["predictor"])), "required" if r["required"] else "" if r["used"] else "not used"),
            Cell(str(r["assay"]) or "–"),
            Cell(str(r["prepared"])),
            Cell(f"{int(r['n_known']):,} of {int(r['n']):,}", text.percent(r["n_known"], r["n"])),
            Cell(f"{int(r['n_imputed_at_source']):,}" if r["n_imputed_at_source"] else "–"),
        ]
        for r in dicts(frame)
    ]
    heads = ["Input", "Assay", "Prepared", "Known in", "Imputed at source"]
    sheet = Sheet(heads, rows, [], title="Each input")
    return Section(
        "inputs", "Inputs and missing values", words.RUN,
        [Part("", [Bullets(words.seen_inputs(facts)), sheet], [_link("predictors.csv"), _link("missing.csv")])],
    )  # fmt: skip


_MAIN = ("auroc", "auprc", "brier", "scaled_brier")


def _performance(facts: Facts) -> Section:
    overall = _metric_sheet(facts, _MAIN, "Performance over all cohorts")
    cohorts, notes = [], Notes(facts.view)
    several = len(facts.view.cohort_ids) > 1
    for cohort in facts.view.cohort_ids if several else ():
        found = {m: facts.metric(m, cohort) for m in ("auroc", "oe_ratio", "calibration_slope")}
        first = next((r for r in found.values() if r is not None), None)
        if first is None:
            continue
        cohorts.append([Cell(cohort), *_n(first), *(_cell(m, r) for m, r in found.items())])
        for row in found.values():
            # one without an estimate says in its cell why
            notes.add(row["note"] if row and text.is_number(row["estimate"]) else "", cohort)
    heads = ["Cohort", "n", "Events", "AUROC", "O:E", "Calibration slope"]
    parts = [
        Part("Over all cohorts",
             [Paragraph(words.how_predicted(facts)), Paragraph(words.kind_of_evaluation(facts)), overall],
             [_link("metrics.csv"), _link("folds.csv"), _link("probabilities.csv")]),
        *([Part("By cohort", [Sheet(heads, cohorts, notes.lines(), title="Performance by cohort"), *_spread(facts)],
                [_link("metrics.csv"), _link("heterogeneity.csv")])] if cohorts else []),
        Part("Against references", _compared(facts), [_link("comparisons.csv")]),
    ]  # fmt: skip
    return Section("performance", "Performance", words.RUN, parts)


def _metric_sheet(facts: Facts, metrics: Sequence[str], title: str) -> Sheet:
    present = [m for m in metrics if facts.metric(m) is not None]
    rows, notes = [], Notes(facts.view)
    for recalibration, variant in facts.variants.items():
        found = {m: facts.metric(m, recalibration=recalibration) for m in present}
        first = next((r for r in found.values() if r is not None), None)
        if first is None:
            continue
        rows.append([Cell(text.sentence(variant)), *_n(first), *(_cell(m, r) for m, r in found.items())])
        for row in found.values():
            notes.add(row["note"] if row else "", variant)
    heads = ["Output", "n", "Events", *(text.METRIC_LABELS.get(m, text.humanise(m)) for m in present)]
    return Sheet(heads, rows, notes.lines(), title=title)


def _spread(facts: Facts) -> list[Block]:
    frame = facts.rows("heterogeneity")
    frame = frame[
        (frame["grouping"] == "cohort_id") & (frame["recalibration"] == facts.view.recalibration(facts.model))
    ]
    rows = []
    for metric in ("auroc", "oe_ratio", "calibration_slope"):
        for row in dicts(frame[(frame["metric"] == metric) & frame["estimate"].notna()])[:1]:
            decimals = text.DECIMALS.get(metric, 3)
            rows.append(
                [
                    Cell(text.METRIC_LABELS.get(metric, metric)),
                    Cell(str(int(row["n_levels"]))),
                    estimate_cell(row, decimals),
                    Cell(text.interval(row["pi_low"], row["pi_high"], decimals) or "–"),
                    Cell(text.percent(row["i2"], 1, 0) if text.is_number(row["i2"]) else "–"),
                    Cell(text.p_value(row["p"]) or "–"),
                ]
            )
    heads = ["Metric", "Cohorts", "Average", "95 % prediction interval, new cohort", "I²", "p of no difference"]
    return [Sheet(heads, rows, [], title="Spread between cohorts (random effects)")] if rows else []


def _compared(facts: Facts) -> list[Block]:
    frame = facts.rows("comparisons")
    references = _references(facts)
    frame = frame[
        (frame["model"] == facts.model) & frame["cohort_id"].isin(_OVERALL) & (frame["subgroup"] == "all")
        & frame["reference_model"].isin(references) & frame["metric"].isin(["auroc", "brier"])
    ]  # fmt: skip
    rows, notes = [], Notes(facts.view)
    for row in dicts(frame.sort_values(["reference_model", "metric"], kind="stable")):
        metric = text.METRIC_LABELS.get(str(row["metric"]), str(row["metric"]))
        name = facts.view.label(str(row["reference_model"]))
        rows.append(
            [
                Cell(name),
                Cell(metric),
                estimate_cell(row, 3, "difference", sign=True),
                Cell(text.p_value(row["p"]) or "–"),
                Cell(text.p_value(row["p_adjusted"]) or "–"),
                Cell(f"{int(row['n_common']):,}"),
                Cell(f"{int(row['n_events']):,}"),
                Cell(f"{int(row['n_lost']):,}"),
            ]
        )
        notes.add(row["note"], f"{name}, {metric}")
        notes.add(f"p, corrected: {row['family']}" if row["family"] else "", metric)
    if not rows:
        return [Paragraph("The model was compared with no reference.")]
    heads = ["Reference", "Metric", "Model minus reference", "p", "p, corrected", "n common", "Events", "n lost"]
    said = (
        "On patients whom both could score fairly. A difference whose interval covers 0 does not show them equal. The "
        "Brier score compares calibration, too: a published score stands there as it was published, not recalibrated."
    )
    return [Paragraph(said), Sheet(heads, rows, notes.lines(), title="Differences to references")]


def _references(facts: Facts) -> list[str]:
    named = (facts.shared.config.get("evaluation") or {}).get("references")
    names = [str(n) for n in named] if isinstance(named, list) else []
    return list(dict.fromkeys([*names, *([facts.view.reference] if facts.view.reference else [])]))


def _calibration(facts: Facts) -> Section:
    plot = calibration_plot(facts)
    metrics = ("oe_ratio", "calibration_intercept", "calibration_slope", "ici", "brier")
    blocks: list[Block] = [_metric_sheet(facts, metrics, "Calibration")]
    blocks += [Paragraph(said) for said in words.calibration_between(facts)]
    blocks.append(
        Paragraph(
            "O:E is observed over expected events (ideal 1); intercept, ideal 0, and slope, ideal 1, are on the "
            "log-odds; ICI is the mean distance of the smoothed curve from the diagonal."
        )
    )
    if len(facts.variants) > 1:
        blocks.append(
            Paragraph("Recalibrators were fitted inside the training folds, never on those who are predicted.")
        )
    else:
        blocks.append(Paragraph("The model was not recalibrated."))
    blocks.append(plot if plot else Paragraph("No calibration curve was made."))
    links = [_link("calibration.csv"), _link("recalibration.csv")]
    return Section("calibration", "Calibration", words.RUN, [Part("", blocks, links)])


def _groups(facts: Facts) -> Section:
    frame = facts.rows("metrics")
    own = facts.view.recalibration(facts.model)
    frame = frame[(frame["recalibration"] == own) & frame["cohort_id"].isin(_OVERALL)]
    rows, small = [], []
    chosen = frame[(frame["metric"] == "auroc") & ~frame["subgroup"].isin(["all", "discordance"])]
    for pair in dicts(
        chosen.drop_duplicates(["subgroup", "level"]).sort_values(["subgroup", "n"], ascending=[True, False])
    ):
        group, level = str(pair["subgroup"]), str(pair["level"])
        name = f"{_group(group)}: {text.level_label(level)}"
        if not text.is_number(pair["estimate"]):
            counts = f"{int(pair['n_events']):,} of {int(pair['n']):,} with the event" if pair["n"] else "no cohort"
            small.append(f"{name} ({counts})")
            continue
        ratio = facts.metric("oe_ratio", subgroup=group, level=level)
        rows.append([Cell(name), *_n(pair), estimate_cell(pair, 3), _cell("oe_ratio", ratio)])
    blocks: list[Block] = []
    if rows:
        blocks.append(Sheet(["Subgroup", "n", "Events", "AUROC", "O:E"], rows, [], title="Performance in subgroups"))
        blocks.append(
            Paragraph(
                "Subgroups overlap and are many: one interval that misses the average is no finding by itself. That a "
                "difference is not seen does not show that there is none."
            )
        )
    if small:
        blocks.append(Paragraph(f"Too small for an estimate: {'; '.join(small)}."))
    blocks += _tests_of_groups(facts)
    discordant = discordance_sheet(facts.view)
    if discordant.rows:
        blocks.append(replace(discordant, title="Patients in whom a marker and the outcome disagree"))
    if not blocks:
        blocks = [Paragraph("The model was not evaluated in subgroups: whom it fails is not known.")]
    links = [_link("subgroups.csv"), _link("heterogeneity.csv"), _link("discordance.csv")]
    return Section("subgroups", "Subgroups", words.RUN, [Part("", blocks, links)])


def _tests_of_groups(facts: Facts) -> list[Block]:
    frame = facts.rows("heterogeneity")
    frame = frame[
        (frame["metric"] == "auroc") & (frame["grouping"] != "cohort_id") & frame["p"].notna()
        & (frame["recalibration"] == facts.view.recalibration(facts.model))
    ]  # fmt: skip
    if frame.empty:
        return []
    said = [
        f"{_group(str(r['grouping']))}, {int(r['n_levels'])} levels: p {_p(r['p'])}, corrected {_p(r['p_adjusted'])}"
        for r in dicts(frame.sort_values("p", kind="stable"))
    ]
    return [Paragraph(f"Test that the AUROC is the same in all levels: {'; '.join(said)}.")]


def _group(name: str) -> str:
    """What a variable that makes subgroups is called."""
    measured = {"pdl1": "PD-L1", "tmb": "TMB", "dna": "DNA", "blood": "Blood values", "expression": "Expression"}
    block = name.removesuffix("_measured")
    if block != name and block in measured:
        return f"{measured[block]} measured"
    return label(name) if name in VOCABULARY else text.sentence(text.humanise(name))


def _p(value: Any) -> str:
    return text.p_value(value) or "not known"


def _decisions(facts: Facts) -> Section:
    thresholds = sorted(float(t) for t in facts.view.manifest.get("thresholds") or [])
    rows = []
    for recalibration, variant in facts.variants.items():
        found = [facts.metric("net_benefit", recalibration=recalibration, threshold=t) for t in thresholds]
        if any(r is not None for r in found):
            rows.append([Cell(f"This model, {variant}"), *(estimate_cell(r, 3) for r in found)])
    act = facts.view.label("treat_all")
    everybody = [_at(facts.view, "treat_all", t) for t in thresholds]
    if any(r is not None for r in everybody):
        rows.append([Cell(act), *(estimate_cell(r, 3, "y") for r in everybody)])
    blocks: list[Block] = []
    if rows:
        blocks.append(Sheet(["Rule", *(f"At {t:g}" for t in thresholds)], rows, [], title="Net benefit by threshold"))
    blocks += _chosen(facts)
    plot = decision_plot(facts)
    blocks.append(plot if plot else Paragraph("No decision curve was made."))
    blocks.append(
        Paragraph(
            "Why a threshold would suit a decision is not recorded: it needs the author. Net benefit compares ways to "
            "act on a forecast; it does not show that acting helps."
        )
    )
    links = [_link("decision_curve.csv"), _link("decisions.csv"), _link("thresholds.csv")]
    return Section("decisions", "Decision curve and thresholds", words.RUN, [Part("", blocks, links)])


def _at(view: RunView, model: str, threshold: float) -> dict[str, Any] | None:
    """The point of a decision curve at a threshold."""
    points = view.curve_points("decision").get(model)
    found = dicts(points[(points["x"] - threshold).abs() < 1e-9]) if points is not None else []
    return {"note": "", **found[0]} if found else None


def _chosen(facts: Facts) -> list[Block]:
    frame = facts.rows("decisions")
    frame = frame[
        (frame["cohort_id"] == "combined") & (frame["recalibration"] == facts.view.recalibration(facts.model))
    ]
    rows = []
    shown = ("sensitivity", "specificity", "ppv", "npv")
    for (rule, threshold), part in frame.groupby(["rule", "threshold"], sort=True, dropna=False):
        found = {str(r["metric"]): r for r in dicts(part)}
        first = next(iter(found.values()))
        rows.append(
            [
                Cell("Fixed" if rule == "fixed" else text.sentence(rule_label(str(rule)))),
                Cell(text.number(threshold, 2) or "–"),
                Cell(
                    f"{int(first['n_positive']):,} of {int(first['n']):,}",
                    text.percent(first["n_positive"], first["n"]),
                ),
                *(estimate_cell(found.get(m), 2) for m in shown),
            ]
        )
    heads = ["Rule", "Threshold", "Above it", "Sensitivity", "Specificity", "PPV", "NPV"]
    return [Sheet(heads, rows, [], title="What acting by a threshold would do")] if rows else []


def _explanation(facts: Facts) -> Section:
    frame = facts.rows("importance")
    frame = frame[(frame["subgroup"] == "all") & (frame["kind"] == "feature") & (frame["repeat"] == -1)]
    stable = words.stability_words(facts)
    rows = []
    for r in dicts(frame.sort_values(["rank", "feature"]))[:_MOST_FEATURES]:
        sign = r["sign"]
        direction = (
            "by level"
            if not text.is_number(sign)
            else (f"higher values, {'higher' if sign > 0 else 'lower'} probability ({text.number(sign, 2, sign=True)})")
        )
        rows.append(
            [
                Cell(str(int(r["rank"])), _ranks(r)),
                Cell(label(str(r["feature"]))),
                Cell(text.number(r["mean_abs_shap"]), text.interval(r["ci_low"], r["ci_high"])),
                Cell(direction),
                Cell(stable.get(str(r["feature"]), "not examined")),
            ]
        )  # fmt: skip
    if not rows:
        said = "The model was not explained: it has no exact explainer here, or explanations were switched off."
        return Section("explanation", "What drives its predictions", words.RUN, [Part("", [Paragraph(said)])])
    scale = str(frame["output_scale"].iloc[0])
    more = f" The {_MOST_FEATURES} first of {len(frame)} are shown." if len(frame) > _MOST_FEATURES else ""
    said = (
        f"Mean absolute SHAP value on the scale of {scale}, over patients predicted by models that had not seen them. "
        f"It tells on what the model’s numbers rest, in these patients: association, not cause.{more}"
    )
    heads = ["Rank", "Input", f"Mean |SHAP|, {scale}", "Direction (Spearman)", "Stability of the rank"]
    sheet = Sheet(heads, rows, [], title="Inputs by importance")
    links = [
        _link("importance.csv"),
        _link("importance_stability.csv"),
        _link("importance_methods.csv"),
        _link("controls.csv"),
    ]
    return Section("explanation", "What drives its predictions", words.RUN, [Part("", [Paragraph(said), sheet], links)])


def _ranks(row: dict[str, Any]) -> str:
    return f"{int(row['rank_low'])} to {int(row['rank_high'])}" if text.is_number(row["rank_low"]) else ""


def _limits(facts: Facts) -> Section:
    blocks: list[Block] = [Bullets(words.limits(facts))]
    return Section("limits", "Limits", words.RUN, [Part("", blocks, [_link("limits.csv"), _link("controls.csv")])])


def _checks(facts: Facts) -> Section:
    frame = facts.shared.checks
    found = frame[frame["severity"].isin(["error", "warning"])]
    rows = [
        [
            Cell(str(r["severity"])),
            Cell(str(r["code"])),
            Cell("all" if pd.isna(r["cohort_id"]) else str(r["cohort_id"])),
            Cell(f"{int(r['n']):,}"),
            Cell(str(r["message"]), "" if pd.isna(r["waived_because"]) else f"waived: {r['waived_because']}"),
        ]
        for r in dicts(found)
    ]
    info = int((frame["severity"] == "info").sum())
    if not facts.run.has_table("checks"):
        blocks: list[Block] = [Paragraph("The checks have not run: nothing is known of the quality of the data.")]
    elif rows:
        blocks = [Sheet(["Severity", "Code", "Cohort", "n", "Finding"], rows, [], title="Findings")]
    else:
        blocks = [Paragraph("The checks of data and results found no error and no warning.")]
    if info:
        blocks.append(
            Paragraph(
                f"{info:,} remarks of severity info are in the file. What a code means: immunocast check --explain "
                "CODE."
            )
        )
    return Section("checks", "Checks of data and results", words.RUN, [Part("", blocks, [_link("checks.csv")])])


def _provenance(facts: Facts) -> Section:
    code, env = facts.code, facts.environment
    dirty = code.get("dirty")
    tree = (
        "unknown"
        if dirty is None
        else "changed: " + ", ".join(map(str, code.get("dirty_files") or []))
        if dirty
        else "clean"
    )
    packages = ", ".join(f"{k} {v}" for k, v in sorted((env.get("packages") or {}).items()))
    pairs = {
        "Model": f"{facts.label} ({facts.spec.source or 'source not recorded'})",
        "Run": facts.run.run_id,
        "Made": str(facts.view.manifest.get("created") or "unknown"),
        "immunocast": str(facts.view.manifest.get("immunocast_version") or "unknown"),
        "Git commit": str(code.get("git_commit") or "unknown"),
        "Working tree": tree,
        "Digest of the source": str(code.get("source_digest") or "unknown"),
        "Digest of the lock": str(code.get("lock_digest") or "unknown"),
        "Digest of the data": str(facts.view.provenance.get("digest") or "unknown"),
        "Digest of the bundle": facts.bundle.digest,
        "Seed": str(facts.view.manifest.get("seed", "unknown")),
        "Python": str(env.get("python") or "unknown"),
        "Platform": str(env.get("platform") or "unknown"),
        "Packages": packages or "unknown",
    }
    rows = [[Cell(key), Cell(value)] for key, value in pairs.items()]
    links = [
        _link("environment.json"),
        _link("config.yaml"),
        _link("specification.json"),
        _link("coefficients.csv"),
        _link("tuning.csv"),
    ]
    blocks: list[Block] = [Sheet(["What", "Value"], rows, [], title="Code, data and environment")]
    return Section("provenance", "Code, data and environment", words.RUN, [Part("", blocks, links)])


def _cell(metric: str, row: Any) -> Cell:
    return estimate_cell(row, text.DECIMALS.get(metric, 3))


def _n(row: Any) -> list[Cell]:
    return [Cell(f"{int(row['n']):,}"), Cell(f"{int(row['n_events']):,}")]


def _count(value: int | None) -> str:
    return "not recorded" if value is None else f"{value:,}"
