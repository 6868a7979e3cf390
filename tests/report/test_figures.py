from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.text import Text

from immunocast.report.figures import CATALOGUE, Figure, make_figures, why_missing
from immunocast.report.figures_explain import ranked_features
from immunocast.report.patients import choose, explained_values
from immunocast.report.style import INK, MARK, ink_on
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder

from .contrast import contrast


def _only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Draw these figures only: each drawing takes a part of a second."""
    monkeypatch.setattr("immunocast.report.figures.CATALOGUE", {n: CATALOGUE[n] for n in names})


def test_every_figure_is_drawn_and_described(toy_figures: list[Figure], toy_run: RunFolder) -> None:
    assert [f.name for f in toy_figures] == list(CATALOGUE)
    assert why_missing(RunView(toy_run)) == {}
    for figure in toy_figures:
        assert figure.path == toy_run.path / "figures" / f"{figure.name}.png"
        assert figure.caption.startswith("Synthetic data")
        assert figure.alt.startswith("Synthetic data")
        assert "nan" not in (figure.caption + figure.alt).lower().replace("finance", "")
        assert "causes" not in figure.caption
        width, height = struct.unpack(">II", figure.path.read_bytes()[16:24])
        assert width == 1440
        assert 400 < height < 4000


def test_same_tables_give_same_bytes_without_time_or_version(toy_figures: list[Figure], make_run, monkeypatch) -> None:
    names = ("roc", "shap_beeswarm", "shap_waterfall_responder")
    _only(monkeypatch, *names)
    before = {f.name: f.path.read_bytes() for f in toy_figures if f.name in names}
    after = {f.name: f.path.read_bytes() for f in make_figures(make_run())}
    assert before == after
    assert not any(b"Software" in data or b"tIME" in data or b"tEXt" in data for data in after.values())


def test_real_run_is_not_marked_synthetic(real_figures: list[Figure], toy_figures: list[Figure]) -> None:
    assert not any("ynthetic" in f.caption + f.alt for f in real_figures)
    # the mark stands in the picture too, at the lower right
    assert all(_has_mark(f) for f in toy_figures)
    assert not any(_has_mark(f) for f in real_figures)


def test_words_in_pictures_stand_out_from_their_ground(toy_run: RunFolder, tmp_path, monkeypatch) -> None:
    faint, draw = [], FigureCanvasAgg.draw

    def record(canvas) -> None:
        draw(canvas)
        for words in canvas.figure.findobj(Text):
            # white words stand on dark cells only, where `ink_on` chose them
            if words.get_visible() and words.get_text().strip() and words.get_color() != "white":
                colour = to_rgb(words.get_color())
                faint.extend([words.get_text()] if contrast(colour, (1, 1, 1)) < 4.5 else [])

    monkeypatch.setattr(FigureCanvasAgg, "draw", record)
    view = RunView(toy_run)
    for name in ("auroc_forest", "survival", "subgroups"):
        CATALOGUE[name].draw(view, tmp_path / f"{name}.png", name)
    assert not faint


def test_alt_texts_say_what_the_picture_shows(toy_figures: list[Figure]) -> None:
    alts = {f.name: f.alt for f in toy_figures}
    assert all(re.search(r"\d", alt.replace("Synthetic data, no patient exists. ", "")) or name in _IN_WORDS
               for name, alt in alts.items())  # fmt: skip
    assert "By cohort the AUROC lies between" in alts["auroc_forest"]
    assert "At a threshold of 0.3: Ridge logistic regression" in alts["decision_curve"]
    assert "Less treat all: above 0 with its interval in" in alts["decision_difference"]
    assert "median months by probability low 8.0, middle 12.0, high not reached" in alts["survival"]
    assert "TMB (mut/Mb) rises" in alts["shap_dependence"]
    assert "highest" in alts["subgroups"]


#: Pictures whose finding has no number: an order, a direction, the strongest feature.
_IN_WORDS = ("shap_beeswarm", "shap_dependence", "shap_by_tumor_type")


def _has_mark(figure: Figure) -> bool:
    corner = imread(figure.path)[-30:, -480:, :3]
    return bool((np.abs(corner - to_rgb(MARK)).max(axis=2) < 0.05).any())


def test_absent_tables_cost_their_figures_only(make_run) -> None:
    run = make_run(shap=False)
    run.table_path("curves").unlink()
    names = {f.name for f in make_figures(run)}
    assert names == {"auroc_forest", "probability_distribution", "comparison", "subgroups", "instability"}
    reasons = why_missing(RunView(run))
    assert set(reasons) == set(CATALOGUE) - names
    assert "no SHAP values" in reasons["shap_beeswarm"]
    assert "roc curves" in reasons["roc"]


def test_figure_that_can_no_longer_be_drawn_does_not_linger(make_run, monkeypatch) -> None:
    _only(monkeypatch, "shap_beeswarm")
    run = make_run()
    assert (run.path / "figures" / "shap_beeswarm.png") == make_figures(run)[0].path
    run.table_path("shap").unlink()
    assert make_figures(run) == []
    assert not (run.path / "figures" / "shap_beeswarm.png").exists()


@pytest.mark.parametrize("kind", ["responder", "non_responder", "pdl1_negative"])
def test_patients_are_chosen_by_the_stated_rule(toy_run: RunFolder, kind: str) -> None:
    view = RunView(toy_run)
    chosen = choose(view, kind).row
    cohort = toy_run.table("cohort").set_index("patient_id")
    values = explained_values(view).set_index("patient_id")
    group = values[values["y_true"] == (0 if kind == "non_responder" else 1)]
    if kind == "pdl1_negative":
        group = group[(cohort.loc[group.index, "pdl1_tps"] < 1).fillna(False)]
    below, above = (group["output"] < chosen["output"]).sum(), (group["output"] > chosen["output"]).sum()
    assert chosen["patient_id"] in group.index
    assert above - below in (0, 1)


def test_no_pdl1_negative_responder_is_said(make_run, monkeypatch) -> None:
    _only(monkeypatch, "shap_waterfall_pdl1_negative")
    run = make_run()
    cohort = run.table("cohort")
    cohort["pdl1_tps"] = cohort["pdl1_tps"].clip(lower=1)
    run.write_table("cohort", cohort)
    assert make_figures(run) == []
    assert "PD-L1 TPS below 1 %" in why_missing(RunView(run))["shap_waterfall_pdl1_negative"]


def test_steps_of_a_waterfall_add_up_to_the_output(toy_run: RunFolder) -> None:
    from immunocast.report.figures_explain import _steps

    view = RunView(toy_run)
    values, row = explained_values(view), choose(view, "responder").row
    patient = toy_run.table("cohort").set_index("patient_id").loc[row["patient_id"]]
    for most in (2, 5, 9):
        steps = _steps(row, values, patient, most)
        assert row["base_value"] + sum(v for _, v in steps) == pytest.approx(row["output"])
    assert len(_steps(row, values, patient, 2)) == 3


def test_features_that_no_model_uses_are_left_out(toy_run: RunFolder) -> None:
    values = explained_values(RunView(toy_run)).assign(plr=np.nan, sii=0.0)
    assert set(ranked_features(values)) == set(ranked_features(explained_values(RunView(toy_run))))


def test_dependence_shows_the_explained_model_then_pairs_of_one_with_interactions(toy_run: RunFolder) -> None:
    from immunocast.report.figures_explain_dependence import _dependence_panels

    panels = _dependence_panels(RunView(toy_run))
    assert [m for m, _, _ in panels] == ["ridge"] * 6 + ["forest"] * 2
    assert panels[6] == ("forest", "nlr", "tmb_mut_mb")
    assert panels[7] == ("forest", "tumor_type", "pdl1_tps")  # the partner is the one whose values have an order


def test_dependence_is_coloured_by_the_strongest_partner_of_its_own_model(make_run) -> None:
    from immunocast.report.figures_explain_dependence import _dependence_panels

    run = make_run()
    run.write_table("interactions", run.table("interactions").assign(model="ridge"))
    partners = {f: p for _, f, p in _dependence_panels(RunView(run))}
    assert partners["nlr"] == "tmb_mut_mb"
    assert partners["tmb_mut_mb"] == "nlr"
    assert partners["tumor_type"] == "pdl1_tps"
    assert partners["pdl1_tps"] == ""  # its partner has no order


def test_numbers_lie_along_the_axis_where_the_partner_is_yes_or_no(make_run) -> None:
    from immunocast.report.figures_explain_dependence import _dependence_panels

    run = make_run()
    pairs = run.table("interactions")
    pairs.loc[pairs["rank"] == 1, ["feature_a", "feature_b"]] = ["prior_systemic_therapy", "tmb_mut_mb"]
    run.write_table("interactions", pairs)
    assert _dependence_panels(RunView(run))[6] == ("forest", "tmb_mut_mb", "prior_systemic_therapy")


def test_tumour_types_with_too_few_patients_stay_blank(make_run, monkeypatch) -> None:
    _only(monkeypatch, "shap_by_tumor_type")
    run = make_run()
    importance = run.table("importance")
    run.write_table("importance", importance[importance["level"] != "Renal"])
    (figure,) = make_figures(run)
    assert "Renal" not in figure.alt
    assert "Melanoma: TMB" in figure.alt
    run.write_table("importance", importance[importance["subgroup"] == "all"])
    assert make_figures(run) == []
    assert "fewer than 20" in why_missing(RunView(run))["shap_by_tumor_type"]


def test_ranks_that_are_not_distinguishable_are_named(toy_figures: list[Figure]) -> None:
    alts = {f.name: f.alt for f in toy_figures}
    assert alts["shap_ranks"].endswith("Not distinguishable: Tumour type.")
    assert "Responders (n\u00a0=\u00a021) against non-responders (n\u00a0=\u00a040)" in alts["shap_discordant"]


@pytest.mark.parametrize(
    ("figure", "table"),
    [("shap_ranks", "importance_stability"), ("shap_agreement", "agreement"), ("shap_discordant", "discordant"),
     ("recalibration_map", "recalibration_maps"), ("shap_truth", "truth_recovery")],
)  # fmt: skip
def test_figure_without_its_table_says_why(make_run, monkeypatch, figure: str, table: str) -> None:
    _only(monkeypatch, figure)
    run = make_run()
    run.table_path(table).unlink()
    assert make_figures(run) == []
    assert len(why_missing(RunView(run))[figure]) > 20


def test_words_on_a_ground_have_contrast() -> None:
    assert ink_on((1.0, 1.0, 1.0, 1.0)) == INK
    assert ink_on((0.0, 0.2, 0.4, 1.0)) == "white"
