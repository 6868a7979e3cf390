"""The HTML report: one file with everything in it, read without a network and without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from immunocast.explain.stability_words import agreement_sentences, draw_sentences
from immunocast.explain.truth_sentences import truth_sentences
from immunocast.report import sections, sections_explain, text
from immunocast.report import sections_comparisons as comparisons
from immunocast.report import sections_controls as controls
from immunocast.report import sections_decisions as decisions
from immunocast.report import sections_evaluation as evaluation
from immunocast.report import sections_survival as survival
from immunocast.report.contents import contents
from immunocast.report.explained import agreement_rows, stability_rows
from immunocast.report.figures import CATALOGUE, Figure, why_missing
from immunocast.report.flow import participant_flow
from immunocast.report.guide import reading_guide
from immunocast.report.page import data_uri, environment, style_sheet
from immunocast.report.patients import KINDS, ExplainOne, in_depth
from immunocast.report.table_one import table_one
from immunocast.report.verdict import best_sentence, prognostic_sentence, verdict
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder
from immunocast.store.single_patients import BEGIN, END, PATIENT_FIGURES

REPORT = "report.html"


def write_report(
    run: RunFolder, figures: Sequence[Figure], explain: ExplainOne | None = None, view: RunView | None = None
) -> Path:
    """Write `report.html` into the run folder.

    Parameters
    ----------
    run : a run folder with a manifest. A table that is absent costs its section, which then says why.
    figures : what `make_figures` returned; pictures are put into the file.
    explain : explains the example patients in words; None for their pictures only.
    view : the same run as already read, so that its tables are read once; None reads them.

    Returns
    -------
    Path of the file. The same run gives the same bytes; everything from data is escaped.

    Raises
    ------
    NotFoundError
        Where the run has no manifest.
    """
    view = view or RunView(run)
    path = run.path / REPORT
    path.write_text(render(view, figures, explain), encoding="utf-8")
    return path


def render(view: RunView, figures: Sequence[Figure], explain: ExplainOne | None = None) -> str:
    """The report as HTML."""
    total, flow = participant_flow(view)
    config = view.run.path / "config.yaml"
    templates = environment()
    said: dict[str, Any] = dict(
        css=style_sheet(),
        view=view,
        run_id=view.run.run_id,
        created=str(view.manifest.get("created", ""))[:19].replace("T", " "),
        banner=text.SYNTHETIC_BANNER,
        verdict=verdict(view),
        prognostic=prognostic_sentence(view),
        best=best_sentence(view),
        guide=reading_guide(view),
        told=_told(view),
        tiles=_tiles(view),
        n_waived=int(view.warnings["waived_because"].notna().sum()),
        flow_total=total,
        flow=flow,
        reasons=list(dict.fromkeys(r for row in (total, *flow) for r in row.excluded)),
        table_one=table_one(view.cohort).to_dict("split") if len(view.cohort) else None,
        overall=sections.metric_sheet(view),
        by_cohort=[sections.metric_sheet(view, c) for c in view.cohort_ids] if len(view.cohort_ids) > 1 else [],
        subgroups=evaluation.subgroup_sheet(view),
        differences=evaluation.difference_sheet(view),
        discordance=evaluation.discordance_sheet(view),
        meta=evaluation.meta_sheet(view),
        meta_others=evaluation.meta_sheet(view, main=False),
        nulls=controls.null_sheet(view),
        recalibration=evaluation.recalibration_sheet(view),
        decisions=decisions.decision_sheets(view),
        survival=survival.survival_sheets(view),
        risk_groups=survival.risk_group_sheet(view),
        controls=controls.control_sheet(view),
        stability=controls.stability_sheet(view),
        tuning=controls.tuning_sheet(view),
        horizons=survival.horizon_sheets(view),
        irae=survival.irae_sheet(view),
        decisions_by_cohort=decisions.decision_cohort_sheets(view),
        thresholds=decisions.threshold_sheet(view),
        prediction_sets=decisions.prediction_set_sheet(view),
        pairs=comparisons.pair_sheet(view),
        net_benefit=sections.net_benefit_sheet(view),
        comparison=comparisons.comparison_sheet(view, ("auroc",)),
        other_comparisons=comparisons.other_comparisons(view),
        importance=sections.importance_sheet(view),
        kinds=KINDS,
        single_patients=(BEGIN, END),
        patient_figures=PATIENT_FIGURES,
        patients=in_depth(view, explain),
        explained=_explained(view),
        models=sections.model_sheet(view),
        findings=sections.finding_sheet(view, ("error", "warning")),
        remarks=sections.finding_sheet(view, ("info",)),
        limits=sections.limits(view),
        endpoint=view.words.title,
        settings=_settings(view),
        scheme=text.scheme_label(view.scheme),
        scheme_means=text.SCHEMES.get(view.scheme, ""),
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
        pictures={f.name: {"figure": f, "uri": data_uri(f.path)} for f in figures},
        titles={name: drawing.title_for(view) for name, drawing in CATALOGUE.items()},
        missing=why_missing(view),
        share=text.percent,
    )
    opening = Markup(templates.get_template("_summary.html.j2").render(said))
    body = Markup(templates.get_template("_body.html.j2").render(said))
    frame = templates.get_template("report.html.j2")
    return frame.render(said, opening=opening, body=body, contents=contents(opening + body))


def _explained(view: RunView) -> dict[str, Any]:
    """What the section on explanations prints beside the pictures."""
    return {
        "methods": sections_explain.method_sheet(view),
        "groups": sections_explain.group_sheet(view),
        "stability": sections_explain.stability_sheet(view),
        "ways": sections_explain.ways_sheet(view),
        "agreement": sections_explain.agreement_sheet(view),
        "interactions": sections_explain.interaction_sheet(view),
        "discordant": sections_explain.discordant_sheets(view),
        "maps": sections_explain.map_lines(view),
        "stability_words": draw_sentences(stability_rows(view), label=view.label),
        "agreement_words": agreement_sentences(
            view.table("importance_methods"), agreement_rows(view), label=view.label
        ),
        "truth_words": [view.relabel(line) for line in truth_sentences(view.table("truth_recovery"))],
        "truth": sections_explain.truth_sheet(view),
    }


def _told(view: RunView) -> list[str]:
    """What training and evaluation could not do, or did otherwise than asked, each said once."""
    keys = ("validation_notes", "evaluation_notes", "survival_notes", "explanation_notes")
    notes = [view.manifest.get(key) or [] for key in keys]
    said = (view.relabel(note.removeprefix(f"{view.scheme}: ")) for part in notes for note in part)
    return list(dict.fromkeys(text.sentence(note) for note in said if note))


def _settings(view: RunView) -> str:
    """Settings of the endpoint as a line; "" where the run recorded none."""
    recorded = view.manifest.get("endpoint_settings") or {}
    return ", ".join(
        f"{key} {' and '.join(value) if isinstance(value, list) else 'none' if value is None else value}"
        for key, value in recorded.items()
        if key != "name"
    )


def _tiles(view: RunView) -> list[dict[str, str]]:
    """The numbers of the headline box."""
    tiles = []
    for metric, ideal in (
        ("auroc", ""),
        ("calibration_slope", "ideal 1"),
        ("calibration_intercept", "ideal 0"),
        ("brier", ""),
    ):
        row, decimals = view.metric(metric, view.headline), text.DECIMALS.get(metric, 3)
        tiles.append(_tile(text.METRIC_LABELS[metric], row, decimals, "estimate", ideal))
    if view.reference and view.reference != view.headline:
        row = view.comparison("auroc", view.headline)
        tiles.append(_tile("AUROC difference", row, 3, "difference", f"vs {view.label(view.reference)}"))
    return tiles


def _tile(name: str, row: dict | None, decimals: int, column: str, under: str) -> dict[str, str]:
    sign = column == "difference"
    if row is None or not text.is_number(row[column]):
        return {"name": name, "value": "–", "span": text.estimate(row, decimals, column), "under": under}
    span = text.interval(row["ci_low"], row["ci_high"], decimals, sign) or "no interval"
    return {"name": name, "value": text.number(row[column], decimals, sign), "span": span, "under": under}
