"""The page of one patient: one HTML file with everything in it, read without a network and without scripts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from immunocast.explain.patient_parts import PatientExplanation
from immunocast.report import text
from immunocast.report.figures_patient import curves, no_curves, waterfall
from immunocast.report.page import data_uri, environment, style_sheet
from immunocast.report.patient_words import CURVES, NOT_CAUSE, patient_words
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder

LIMITS = (
    "A forecast for research. It is no medical device and no advice on the treatment of anybody.",
    "The explanation is of the model: where the model is wrong, it explains a wrong number well.",
    "The range over refits says how far the number depends on who trained the model; whether this patient will have "
    "the event is far less certain than that.",
    "The coverage of a prediction set is a share over many patients of each outcome, not a probability for this one.",
)
_NEW = (
    "The final model trained on all patients of the run; its numbers for new patients are as good as validation says."
)


def write_patient_page(run: RunFolder, found: PatientExplanation, target: Path) -> Path:
    """Write the page of an explained patient.

    Parameters
    ----------
    run : run folder with a manifest.
    found : the explanation.
    target : HTML file to write; the same explanation gives the same bytes.
    """
    target.write_text(render_patient(run, found), encoding="utf-8")
    return target


def render_patient(run: RunFolder, found: PatientExplanation) -> str:
    """The page as HTML; everything from data is escaped."""
    view = RunView(run)
    return (
        environment()
        .get_template("patient.html.j2")
        .render(
            css=style_sheet(),
            w=patient_words(found, view.manifest.get("endpoint_settings")),
            endpoint=view.words.title,
            run_id=run.run_id,
            synthetic=view.synthetic,
            banner=text.SYNTHETIC_BANNER,
            pictures=_pictures(view, found),
            not_cause=NOT_CAUSE,
            curves_mean=CURVES,
            limits=LIMITS if found.scheme else (*LIMITS, _NEW),
        )
    )


def _pictures(view: RunView, found: PatientExplanation) -> dict[str, dict[str, str] | None]:
    def draw(make: Callable[..., tuple[str, str]], title: str) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "figure.png"
            caption, alt = make(view, found, path, title)
            uri = data_uri(path)
        return {"uri": uri, "caption": caption, "alt": alt}

    return {
        "waterfall": draw(waterfall, "What raised and what lowered it") if found.contributions else None,
        "curves": None if no_curves(found) else draw(curves, "If one value were another"),
    }
