"""Every figure of a run: `make_figures` draws them into `figures/`, `why_missing` says why one is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from immunocast.report import figures_decision as decision
from immunocast.report import figures_discrimination as discrimination
from immunocast.report import figures_evaluation as evaluation
from immunocast.report import figures_explain as explain
from immunocast.report import figures_explain_dependence as explain_dependence
from immunocast.report import figures_explain_groups as explain_groups
from immunocast.report import figures_explain_patients as explain_patients
from immunocast.report import figures_explain_trust as explain_trust
from immunocast.report import figures_probability as probability
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder
from immunocast.store.single_patients import PATIENT_FIGURES


@dataclass(frozen=True)
class Figure:
    """A figure on disk.

    Attributes
    ----------
    name : stable name, the file's stem.
    path : the PNG file.
    title : what it shows, in a few words.
    caption : how to read it, with the numbers that a reader needs.
    alt : what it shows, for those who can't see it.
    """

    name: str
    path: Path
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Drawing:
    """How a figure is made: its title, what stands in its way ("" for nothing), and the drawing itself.

    A title may name `{event}` and `{other}`, one patient with and without the endpoint's event.
    """

    title: str
    obstacle: Callable[[RunView], str]
    draw: Callable[[RunView, Path, str], tuple[str, str]]

    def title_for(self, view: RunView) -> str:
        """The title in the words of the run's endpoint."""
        return self.title.format(event=view.words.event, other=view.words.other)


CATALOGUE: dict[str, Drawing] = {
    "roc": Drawing("ROC curves", discrimination.no_curve("roc"), discrimination.roc),
    "auroc_forest": Drawing("AUROC by cohort and model", discrimination.no_auroc, discrimination.forest),
    "calibration": Drawing("Calibration", discrimination.no_curve("calibration"), probability.calibration),
    "recalibration": Drawing(
        "Calibration before and after recalibration", evaluation.no_recalibration, evaluation.recalibration
    ),
    "decision_curve": Drawing("Decision curves", discrimination.no_curve("decision"), probability.decision),
    "decision_difference": Drawing("Gain in net benefit", decision.no_gain, decision.decision_difference),
    "probability_distribution": Drawing(
        "Predicted probability by outcome", probability.no_probabilities, probability.distribution
    ),
    "comparison": Drawing(
        "Difference to the published reference", discrimination.no_comparison, discrimination.comparison
    ),
    "subgroups": Drawing("AUROC in subgroups", evaluation.no_subgroups, evaluation.subgroups),
    "survival": Drawing("Survival by predicted probability", evaluation.no_survival, evaluation.survival),
    "instability": Drawing("Instability of predictions", evaluation.no_stability, evaluation.instability),
    "shap_importance": Drawing("Importance of features", explain.no_importance, explain.importance),
    "shap_beeswarm": Drawing("SHAP values of all patients", explain.no_shap, explain.beeswarm),
    "shap_ranks": Drawing("Stability of ranks", explain_trust.no_ranks, explain_trust.ranks),
    "shap_agreement": Drawing("Agreement of importances", explain_trust.no_agreement, explain_trust.agreement),
    "shap_dependence": Drawing(
        "SHAP value by value of the feature", explain_dependence.no_dependence, explain_dependence.dependence
    ),
    "shap_by_tumor_type": Drawing(
        "Importance by tumour type", explain_groups.no_tumor_types, explain_groups.by_tumor_type
    ),
    "shap_groups": Drawing("Importance of groups of features", explain_groups.no_groups, explain_groups.groups),
    "shap_discordant": Drawing(
        "Patients whose outcome and PD-L1 disagree", explain_patients.no_discordant, explain_patients.discordant
    ),
    "recalibration_map": Drawing(
        "From explanation to recalibrated probability", explain_patients.no_map, explain_patients.recalibration_map
    ),
    "shap_truth": Drawing("Explanations beside the truth", explain_trust.no_truth, explain_trust.truth),
    **{
        f"{PATIENT_FIGURES}{kind}": Drawing(f"One patient: {words}", explain.no_patient(kind), explain.waterfall(kind))
        for kind, words in explain.KINDS.items()
    },
}


def make_figures(run: RunFolder, view: RunView | None = None) -> list[Figure]:
    """Draw all figures that the run's tables allow.

    Parameters
    ----------
    run : a run folder with a manifest; an absent table costs the figures that need it.
    view : the same run as already read, so that its tables are read once; None reads them.

    Returns
    -------
    The figures in reading order. PNG files under `figures/`, the same bytes for the same tables.

    Raises
    ------
    NotFoundError
        Where the run has no manifest.
    """
    view = view or RunView(run)
    mark = "Synthetic data, no patient exists. " if view.synthetic else ""
    figures = []
    for name, drawing in CATALOGUE.items():
        path = run.path / "figures" / f"{name}.png"
        if drawing.obstacle(view):
            path.unlink(missing_ok=True)
            continue
        title = drawing.title_for(view)
        caption, alt = drawing.draw(view, path, title)
        figures.append(Figure(name, path, title, mark + caption, mark + alt))
    return figures


def why_missing(view: RunView) -> dict[str, str]:
    """Reasons, by figure name, for the figures that can't be drawn for this run."""
    reasons = {name: drawing.obstacle(view) for name, drawing in CATALOGUE.items()}
    return {name: reason for name, reason in reasons.items() if reason}
