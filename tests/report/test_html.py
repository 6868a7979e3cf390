from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from immunocast.report.figures import Figure, make_figures
from immunocast.report.html import write_report
from immunocast.store.runfolder import RunFolder

CONF = Path(__file__).parents[2] / "conf"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class _Page(HTMLParser):
    """Collects what the assertions need, and that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] not in ("style", "pre"):
            self.text.append(data)


def _read(html: str) -> tuple[_Page, str]:
    page = _Page()
    page.feed(html)
    assert page.open == []
    return page, re.sub(r"\s+", " ", " ".join(page.text))


@pytest.fixture(scope="module")
def html(toy_run: RunFolder, toy_figures: list[Figure]) -> str:
    path = write_report(toy_run, toy_figures)
    assert path == toy_run.path / "report.html"
    return path.read_text(encoding="utf-8")


def test_report_is_one_file_without_network_or_script(html: str, toy_figures: list[Figure]) -> None:
    page, _ = _read(html)
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == len(toy_figures)
    assert all((a["src"] or "").startswith("data:image/png;base64,") and a["alt"] for a in pictures)
    links = [a["href"] or "" for _, a in page.tags if "href" in a]
    assert all(link.startswith("#") for link in links)
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert {link[1:] for link in links} <= ids  # every link lands somewhere
    assert not any(tag in ("script", "link", "iframe") for tag, _ in page.tags)
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:)?//", html)
    assert "url(" not in html
    assert "@import" not in html


def test_headings_go_down_one_step_at_a_time(html: str) -> None:
    page, _ = _read(html)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_names_from_data_are_escaped(html: str) -> None:
    assert "Alpha &amp; &lt;Beta&gt;" in html
    for raw in ("<Beta>", "<constant>", "<outcome>", "<by its publisher>", "<not a tag>"):
        assert raw not in html


def test_report_holds_every_section(html: str) -> None:
    _, said = _read(html)
    for words in (
        "Participants", "Left out", "not evaluable : 6", "Table 1.", "TMB (mut/Mb)", "Over all cohorts", "By cohort",
        "not corrected for multiplicity", "IC-IMPUTED-001", "known & told", "NLR 6.2 where it is missing",
        "Chowell_train", "associated", "log-odds", "prognostic", "Limits", "Net benefit over all cohorts", "ab" * 32,
        "Ridge logistic regression is not distinguishable from LORIS, routed", "2 warnings, 1 waived",
    ):  # fmt: skip
        assert words.replace(" :", ":") in said, words
    assert "too small" in said
    assert not re.search(r"\b(nan|None|causes? of response)\b", said)
    assert "12.3456" not in html  # timings stay out


def test_synthetic_stands_in_title_banner_and_captions(
    html: str, real_run, real_figures, toy_figures: list[Figure]
) -> None:
    assert re.search(r"<title>SYNTHETIC: ", html)
    assert 'class="banner"' in html
    assert html.count("Synthetic data, no patient exists.") >= 2 * len(toy_figures)
    said = write_report(real_run, real_figures).read_text(encoding="utf-8")
    assert "ynthetic" not in said
    assert "SYNTHETIC" not in said


def test_same_run_gives_same_bytes(toy_run: RunFolder, toy_figures: list[Figure], html: str) -> None:
    assert write_report(toy_run, toy_figures).read_bytes() == html.encode("utf-8")


def test_explanations_stand_in_the_order_of_a_review(html: str) -> None:
    _, said = _read(html)
    said = said[said.rindex("How predictions are explained") :]  # the contents name them before
    parts = [
        "How predictions are explained", "Mean absolute SHAP value of held-out", "How stable is the ranking?",
        "Ranks over 50 refits", "Do others agree?", "Other measures of importance", "Values and interactions",
        "By tumour type", "Groups of features", "Where outcome and PD-L1 disagree", "all with PD-L1 TPS below 1",
        "What recalibration does to an explanation", "logit q =", "Do explanations find the truth?",
        "If it were the truth", "Single patients",
    ]  # fmt: skip
    places = [said.index(words) for words in parts]
    assert places == sorted(places)
    assert not re.search(r"\b(pdl1_low_responders|drop_column|tmb_mut_mb|not_|tree_path)", said)


def test_truth_is_told_of_synthetic_cohorts_only(real_run, real_figures) -> None:
    _, said = _read(write_report(real_run, real_figures).read_text(encoding="utf-8"))
    assert "find the truth" not in said


def test_tables_on_explanations_that_are_empty_leave_a_reason(make_run, monkeypatch) -> None:
    from immunocast.report.figures import CATALOGUE

    drawn = {n: d for n, d in CATALOGUE.items() if d.title.startswith(("Stab", "Agree", "Patients", "From", "Expl"))}
    monkeypatch.setattr("immunocast.report.figures.CATALOGUE", drawn)
    run = make_run()
    for name in ("importance_stability", "agreement", "interactions", "discordant", "recalibration_maps",
                 "truth_recovery", "importance_methods"):  # fmt: skip
        run.table_path(name).unlink()
    _, said = _read(write_report(run, make_figures(run)).read_text(encoding="utf-8"))
    for words in (
        "The run holds no importance over several draws", "The run holds no two importances to compare",
        "The run holds no interactions of features", "PD-L1 TPS is known for nobody", "No explained model was recal",
        "The true mechanism is known for synthetic cohorts only",
    ):  # fmt: skip
        assert words in said, words
    assert "Stability as a table" not in said


def test_a_report_is_small_enough_to_send(html: str) -> None:
    assert len(html) < 3_000_000


@pytest.mark.slow
def test_report_on_the_full_list_of_models_in_eight_cohorts_stays_under_5_mb(make_run) -> None:
    """As many models as models=full has, each with all that a model brings into the tables, in eight cohorts."""
    full = [d for d in yaml.safe_load((CONF / "models" / "full.yaml").read_text())["defaults"] if isinstance(d, dict)]
    default = yaml.safe_load((CONF / "models" / "default.yaml").read_text())["defaults"]
    names = [name for d in (*default, *full) for name in d.values()]
    run = make_run(sizes={f"Cohort {k}": 120 for k in range(8)})
    present = {"ridge", "forest", "loris_routed", "loris_pan", "tmb_10", "pdl1_50"}
    extra = [n for n in names if n not in present]
    assert len(extra) >= 8
    for table in ("predictions", "metrics", "curves", "comparisons", "decisions", "risk_groups", "heterogeneity",
                  "thresholds", "conformal", "stability", "shap", "importance"):  # fmt: skip
        frame = run.table(table)
        like = "forest" if (frame["model"] == "forest").any() else "ridge"
        copies = [frame[frame["model"] == like].assign(model=name) for name in extra]
        run.write_table(table, pd.concat([frame, *copies], ignore_index=True))
    models = run.manifest()["models"]
    run.update_manifest(models=models | {n: models["forest"] | {"label": f"Model {n}"} for n in extra})
    figures = make_figures(run)
    assert len(figures) > 20
    path = write_report(run, figures)
    said = path.read_text(encoding="utf-8")
    assert all(f"Model {n}" in said for n in extra)
    assert 1_000_000 < path.stat().st_size < 5_000_000


def test_missing_pieces_say_why(make_run) -> None:
    run = make_run(shap=False)
    for name in ("comparisons", "curves", "checks", "metrics", "cohort"):
        run.table_path(name).unlink()
    (run.path / "config.yaml").unlink()
    _, said = _read(write_report(run, make_figures(run)).read_text(encoding="utf-8"))
    for words in (
        "The run holds no SHAP values", "The run holds no difference in AUROC", "no points of roc curves",
        "The checks have not run.", "The run holds no metrics", "The run holds no cohort table.",
        "could not be estimated",
    ):  # fmt: skip
        assert words in said, words


def test_picture_that_was_not_passed_is_told(toy_run: RunFolder, toy_figures: list[Figure], html: str) -> None:
    _, said = _read(write_report(toy_run, [f for f in toy_figures if f.name != "roc"]).read_text(encoding="utf-8"))
    assert "ROC curves: not shown. The picture was not made." in said.replace(" :", ":")
