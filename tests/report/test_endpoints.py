"""Reports of other endpoints than response: the right word for the event, and what was done to the models."""

from __future__ import annotations

import pytest

from immunocast.cohort.outcomes import make_endpoint
from immunocast.report.figures import CATALOGUE
from immunocast.report.flow import participant_flow
from immunocast.report.html import render
from immunocast.report.summary import summary_markdown
from immunocast.report.verdict import verdict
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder
from immunocast.tracking.describe import describe_model

#: A finding that the fabricated run carries.
PLANTED = "fewer than 10 responders"


@pytest.fixture
def run_of(make_run):
    """A run of another endpoint; the toy's outcome is whatever that endpoint says."""

    def make(name: str, **more) -> RunFolder:
        run = make_run()
        settings = make_endpoint(name).to_dict()
        run.update_manifest(endpoint=name, endpoint_settings=settings, **more)
        return run

    return make


@pytest.mark.parametrize("name", ["dcb", "os", "irae"])
def test_nobody_is_called_a_responder(run_of, name):
    run = run_of(name)
    view = RunView(run)
    words = make_endpoint(name).words
    said = verdict(view)
    assert words.events in said.answer
    assert words.title in said.question
    html = render(view, [])
    summary = summary_markdown(run)
    page = describe_model(run, "ridge", "Ridge", _spec())
    for text in (said.answer, said.question, summary, page, " ".join(d.title_for(view) for d in CATALOGUE.values())):
        assert "responder" not in text.replace(PLANTED, "")
    assert "ORR" not in summary
    assert f"({words.rate} " in summary
    assert "responder" not in html.replace(PLANTED, "")
    assert words.title.split(" (")[0] in html
    assert ("Act on all" in {view.label("treat_all")}) is words.harm
    assert f"probability of {words.title}" in page


def test_settings_stand_in_the_method(run_of):
    run = run_of("os")
    run.update_manifest(endpoint_settings={"name": "os", "horizon_months": 24, "arms": ["ici", "control"]})
    html = render(RunView(run), [])
    assert "death within 24 months. Settings: arms ici and control, horizon_months 24" in html


def test_what_was_done_to_models_stands_in_the_limits(run_of):
    note = "Routed LORIS predict response; here they are turned round."
    html = render(RunView(run_of("os", model_notes=[note])), [])
    assert note in html[html.index('id="limits"') :]


def test_nothing_to_compare_with_is_explained(run_of):
    run = run_of("irae", left_out_models={"loris_routed": "..."}, reference_model=None)
    assert "does not tell the direction of immune-related adverse events" in verdict(RunView(run)).comparison


def test_flow_shows_what_the_command_shows(run_of):
    run = run_of("dcb")
    flow = {
        **run.manifest()["flow"],
        "source": 400,
        "dropped": {"by Arm: chemotherapy": 107},
        "linked": 12,
        "flags": {"exposure unknown, taken from PFS": 31},
        "follow_up": {"os": {"n": 250, "median_months": None}, "pfs": {"n": 251, "median_months": 18.04}},
    }
    run.update_manifest(flow=flow)
    view = RunView(run)
    total, _ = participant_flow(view)
    assert (total.source, total.n_dropped, total.linked) == (400, 107, 12)
    html = render(view, [])
    for words in (
        '<span class="what">In the source</span><b>400</b>',
        "by Arm: chemotherapy: 107",
        "12 of them in two under different ids",
        "exposure unknown, taken from PFS: 31 patients",
        "Median follow-up for OS, by reverse Kaplan-Meier: not reached (n = 250)",
        "Median follow-up for PFS, by reverse Kaplan-Meier: 18.0 months (n = 251)",
    ):
        assert words in html, words
    assert "Exposure unknown, taken from PFS: 31 patients." in html[html.index('id="limits"') :]


def test_reasons_keep_the_names_of_columns(run_of):
    run = run_of("os")
    run.update_manifest(flow={**run.manifest()["flow"], "no_endpoint": {"the source has no column os_months": 4}})
    assert list(participant_flow(RunView(run))[0].excluded) == ["the source has no column os_months"]


def test_titles_are_in_the_words_of_the_endpoint(run_of):
    titles = {name: d.title_for(RunView(run_of("pfs"))) for name, d in CATALOGUE.items()}
    assert titles["shap_waterfall_responder"] == "One patient: a patient with progression or death"
    assert titles["shap_waterfall_non_responder"] == "One patient: a patient without progression"
    assert titles["shap_waterfall_pdl1_negative"].endswith("progression or death, PD-L1-negative")


def _spec():
    from immunocast.models.spec import ModelSpec

    return ModelSpec(required=("tumor_type",))
