"""What makes the page readable for everybody: contrast, structure, print, size. Read from the CSS and the HTML."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from immunocast.report.contents import contents
from immunocast.report.html import render
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder

from .contrast import colour_of, contrast, style_rules
from .test_html import _read

CSS = resources.files("immunocast.report").joinpath("templates/report.css").read_text(encoding="utf-8")
RULES = style_rules(CSS)
VARIABLES = {k: v for _, body in RULES for k, v in body.items() if k.startswith("--")}
#: Grounds that words of any class may stand on: the page, quiet boxes, the headline box, the banner.
GROUNDS = {name: VARIABLES.get(name, "#ffffff") for name in ("white", "--wash", "--blue-wash", "--amber-wash")}


@pytest.fixture(scope="module")
def html(toy_run: RunFolder) -> str:
    """The page with its tables; pictures are a matter of test_html, and cost seconds."""
    return render(RunView(toy_run), [])


def test_every_text_colour_has_enough_contrast_on_every_ground() -> None:
    weak, n = [], 0
    for selector, body in RULES:
        ink = colour_of(body.get("color", ""), VARIABLES)
        if ink is None or selector.startswith(("@", ":root")):
            continue
        n += 1
        for name, ground in GROUNDS.items():
            ratio = contrast(ink, colour_of(ground, VARIABLES))
            weak += [f"{selector} on {name}: {ratio}"] if ratio < 4.5 else []
    assert n > 20  # the style sheet was read
    assert not weak


def test_focus_is_shown() -> None:
    shown = {s for selector, body in RULES for s in selector.split(",") if "outline" in body}
    focused = {s.strip() for s in shown if ":focus-visible" in s}
    assert {"a:focus-visible", "summary:focus-visible", ".box:focus-visible", ".picture:focus-visible"} <= focused
    blue = colour_of(VARIABLES["--blue"], VARIABLES)
    assert all(contrast(blue, colour_of(g, VARIABLES)) >= 3 for g in GROUNDS.values())


def test_page_has_language_landmarks_and_a_way_past_the_contents(html: str) -> None:
    page, _ = _read(html)
    tags = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert tags.count("main") == tags.count("h1") == 1
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links[0] == "#main"  # the first stop of the tab key
    assert ("main", {"id": "main", "tabindex": "-1"}) in page.tags
    labels = [a.get("aria-label") for tag, a in page.tags if tag in ("nav", "aside")]
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_ids_are_unique_and_labels_have_their_target(html: str) -> None:
    page, _ = _read(html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(ids)


def test_tables_have_captions_and_heads_of_rows_and_columns(html: str) -> None:
    tables = re.findall(r"<table>(.*?)</table>", html, re.S)
    assert len(tables) > 25
    for table in tables:
        assert re.match(r"\s*<caption><span>[^<]+</span></caption>\s*<thead>", table), table[:200]
        assert "<th>" not in table
        assert not re.search(r"<th (?![^>]*scope=\"(col|row|rowgroup|colgroup)\")", table)
        body = table.partition("<tbody>")[2]
        assert all('<th scope="row' in row for row in re.findall(r"<tr.*?</tr>", body, re.S))


def test_contents_name_every_section_and_land_there(html: str) -> None:
    page, said = _read(html)
    sections = [a["id"] for tag, a in page.tags if tag == "section"]
    start = html.index('<details class="toc"')
    listed = contents(html[:start] + html[html.index("</details>", start) :])
    assert [entry.id for entry in listed] == sections
    below = [sub.id for entry in listed for sub in entry.below]
    toc = html[start : html.index("</details>", start)]
    assert re.findall(r'href="#([^"]+)"', toc) == [
        i for entry in listed for i in (entry.id, *(sub.id for sub in entry.below))
    ]
    assert {"prediction-sets", "does-a-threshold-travel", "tuning"} <= set(below)
    assert "nav.side, .skip { display: none; }" in CSS  # in print the contents inside the page stand in for it
    assert said.count("Contents") == 1


def test_reading_guide_answers_from_the_run(html: str) -> None:
    _, said = _read(html)
    said = said[said.index("On whom?") : said.index("How to read the tables")]
    for words in (
        "284 patients in 3 cohorts", "9 left out", "By cohort the AUROC lies between", "0.600 to 0.800 (95 %)",
        "Difference in AUROC to: LORIS, routed +0.020 (−0.010 to +0.060)", "Net benefit at a threshold of 0.3",
        "No difference in AUROC between levels stands after correction over 2 groupings",
        "tumour type (0.040, corrected",
        "With permuted labels the AUROC is 0.501 (0.450 to 0.550), passed.",
        "2 warnings of the checks", "Strongest in Ridge logistic regression:",
    ):  # fmt: skip
        assert words in said.replace("\N{NO-BREAK SPACE}", " "), words


def test_reading_guide_says_what_a_run_lacks(make_run) -> None:
    from immunocast.report.guide import reading_guide

    run = make_run(shap=False)
    for name in ("comparisons", "curves", "checks", "metrics", "heterogeneity", "controls", "stability", "decisions"):
        run.table_path(name).unlink()
    answers = [step.answer for step in reading_guide(RunView(run))]
    assert answers[1].startswith("One cohort or one estimate only")
    assert "The headline model was compared with no other." in answers
    assert "Net benefit was not estimated." in answers
    assert "No subgroups were compared." in answers
    assert "No model was explained." in answers
    assert not re.search(r"\b(nan|None|inf)\b", " ".join(answers))


def test_print_keeps_heads_on_every_page_and_opens_what_is_folded() -> None:
    printed = CSS[CSS.index("@media print") :]
    for rule in ("table-header-group", "break-inside: avoid", "break-after: avoid", "counter(page)",
                 "::details-content { content-visibility: visible"):  # fmt: skip
        assert rule in printed, rule
