"""The model card: what it says is what the tables say, and what it claims as evidence is there."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from immunocast.errors import ConfigError, ImmunocastError, NotFoundError
from immunocast.models.bundle import save_bundle
from immunocast.models.learner import Learner
from immunocast.report import text
from immunocast.report.card import Statements, Status, checklist, read_index, read_statements, write_card, write_cards
from immunocast.report.card.checklist import counts, lost_files, told
from immunocast.report.card.probast import DOMAINS, PHASES
from immunocast.report.card.tripod import ITEMS
from immunocast.report.sections import dicts
from immunocast.store.runfolder import RunFolder

#: The items as the statement numbers them, typed from it and not from the code.
TYPED = re.findall(
    r"\S+",
    """
    1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17
    18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c
""",
)


def _with_bundle(run: RunFolder) -> RunFolder:
    cohort = run.table("cohort")
    model = Learner(
        LogisticRegression(), {"tmb_mut_mb": None, "nlr": None}, required=["tmb_mut_mb"], explainer="linear"
    )
    model.fit(cohort[["tmb_mut_mb", "nlr"]].astype("float64"), cohort["responder"].astype(int))
    save_bundle(model, run.bundle_path("ridge", "final"))
    return run


@pytest.fixture(scope="module")
def run(make_run: Callable[..., RunFolder]) -> RunFolder:
    return _with_bundle(make_run())


@pytest.fixture(scope="module")
def card(run: RunFolder) -> Path:
    return write_cards(run)[0]


@pytest.fixture(scope="module")
def real_card(make_run: Callable[..., RunFolder]) -> Path:
    return write_cards(_with_bundle(make_run(synthetic=False)))[0]


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "a":
            self.links.append(found["href"])
        if "id" in found:
            self.ids.add(found["id"])
        assert not [name for name in found if name.startswith("on")]

    def handle_endtag(self, tag) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data) -> None:
        if "style" not in self._open and "title" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(card: Path) -> _Page:
    return _Page((card / "model_card.html").read_text(encoding="utf-8"))


def status(card: Path, number: str, **more) -> Status:
    return {row.item.number: row.status for row in checklist(card, **more)}[number]


# ---- the checklist


def test_every_item_of_the_statement_is_there_once_and_in_order(card):
    assert [item.number for item in ITEMS] == TYPED
    table = pd.read_csv(card / "tripod_ai.csv", dtype=str)
    assert list(table["item"]) == TYPED
    assert set(table["status"]) <= {str(s) for s in Status}


def test_what_is_evidenced_can_be_opened(card):
    for row in checklist(card):
        assert all(path == "bundle" or (card / path).stat().st_size for path in row.paths), row.item.number
        evidenced = row.status in (Status.EVIDENCED, Status.PARTLY)
        assert evidenced == bool(row.paths)
        assert row.status is Status.EVIDENCED or row.needs  # whatever is open is named


def test_nothing_that_only_the_author_knows_is_evidenced(card):
    for number in ("3a", "3c", "8b", "8c", "9c", "17", "18a", "18b", "18c", "18d", "19", "27b", "27c"):
        assert status(card, number) is Status.AUTHOR


@pytest.mark.parametrize(
    ("name", "items"),
    [("evidence/heterogeneity.csv", {"12d", "23b"}), ("evidence/characteristics.csv", {"20b"})],
)
def test_an_item_is_missing_where_its_file_is_gone_or_changed(card, name, items):
    before = {row.item.number: row.status for row in checklist(card)}
    file = card / name
    kept = file.read_bytes()
    for break_it in (file.unlink, lambda: file.write_bytes(kept + b"\n")):
        break_it()
        try:
            rows = checklist(card)
        finally:
            file.write_bytes(kept)
        gone = {row.item.number for row in rows if row.status is Status.MISSING}
        assert gone == items
        assert all(name in lost for lost in lost_files(rows))
        assert {r.item.number: r.status for r in rows if r.item.number not in items} == {
            number: found for number, found in before.items() if number not in items
        }
    assert {row.item.number: row.status for row in checklist(card)} == before


def test_the_specification_is_missing_where_the_bundle_is_another(run, card):
    assert status(card, "22") is Status.EVIDENCED
    file = run.bundle_path("ridge", "final") / "bundle.json"
    kept = file.read_text()
    file.write_text(kept + " ")
    try:
        assert status(card, "22") is Status.MISSING
    finally:
        file.write_text(kept)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_whatever_is_lost_exactly_the_items_that_rest_on_it_are_missing(card, data):
    index = read_index(card)
    gone = data.draw(st.sets(st.sampled_from(sorted(f for f in index["files"] if f.startswith("evidence/")))))
    rest = {item.number: {e.path for e in item.evidence} for item in ITEMS}
    for name in gone:
        (card / name).rename(card / f"{name}.gone")
    try:
        rows = checklist(card)
    finally:
        for name in gone:
            (card / f"{name}.gone").rename(card / name)
    assert {r.item.number for r in rows if r.status is Status.MISSING} == {
        n for n, paths in rest.items() if paths & gone
    }


def test_without_an_index_there_is_no_card(card, tmp_path):
    copy = Path(shutil.copytree(card, tmp_path / "card"))
    (copy / "card.json").write_text("{")
    with pytest.raises(NotFoundError, match="damaged"):
        checklist(copy)
    (copy / "card.json").unlink()
    with pytest.raises(NotFoundError, match=r"card\.json is not there"):
        checklist(copy)


def test_what_a_run_did_not_do_needs_the_author_and_says_why(make_run, tmp_path):
    run = _with_bundle(make_run(sizes={"One": 160}))
    for name in ("heterogeneity", "comparisons", "checks", "importance"):
        run.table_path(name).unlink(missing_ok=True)
    run.update_manifest(scheme="repeated_kfold")
    for name in ("metrics", "predictions"):
        run.write_table(name, run.table(name).assign(scheme="repeated_kfold"))
    rows = {row.item.number: row for row in checklist(write_cards(run)[0])}
    assert rows["23b"].status is Status.AUTHOR
    assert "two cohorts" in rows["23b"].needs
    assert rows["20c"].status is Status.AUTHOR
    assert "k-fold" in rows["20c"].needs
    words = page_of(run.path / "cards" / "ridge").text
    assert "The evaluation is internal" in words
    assert "The checks have not run" in words
    assert "The model was not explained" in words


# ---- the author


def test_a_statement_is_shown_as_the_authors_and_is_no_evidence(run, card, tmp_path):
    said = Statements("A. <b>Author</b>", {"8b": "two *radiologists*", "8a": "RECIST 1.1", "23b": "none"})
    other = write_card(run, "ridge", said, tmp_path / "cards" / "ridge")
    assert status(other, "8b", bundle=run.bundle_path("ridge", "final")) is Status.STATED
    for number in ("8a", "23b"):  # evidenced before, and by the same
        assert status(other, number) is status(card, number) is Status.EVIDENCED
    page = page_of(other)
    assert "Author’s statement, no evidence: two *radiologists*" in page.text
    assert "by A. <b>Author</b>." in page.text
    assert r"two \*radiologists\*" in (other / "model_card.md").read_text()
    table = pd.read_csv(other / "tripod_ai.csv", dtype=str).set_index("item")
    assert table.loc["8b", ["status", "author_statement"]].tolist() == ["author's statement", "two *radiologists*"]
    assert pd.isna(table.loc["8b", "evidence"])


def test_an_authors_file_is_read_by_item(tmp_path):
    file = tmp_path / "author.yaml"
    file.write_text("by: A. Author\n1: A title\n8b: |\n  two\n  radiologists\n18a:\n")
    found = read_statements(file)
    assert (found.by, found.items) == ("A. Author", {"1": "A title", "8b": "two radiologists"})
    assert Statements.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("28: x", "'28' is no item of TRIPOD"),
        ("8b: 3", "the statement to 8b is 3"),
        ("- x", "must hold items"),
        ("8b: [", "is no YAML"),
        ("8b: " + "x" * 5000, "5,000 letters"),
    ],
)
def test_a_wrong_authors_file_is_refused_by_name(tmp_path, content, said):
    file = tmp_path / "author.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        read_statements(file)
    assert str(file) in str(error.value)


def test_an_authors_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFoundError, match=r"card\.author"):
        read_statements(tmp_path / "none.yaml")


@pytest.fixture(scope="module")
def some_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("author") / "a.yaml"


@settings(max_examples=20, deadline=None)
@given(content=st.one_of(st.text(), st.dictionaries(st.text(), st.text()).map(yaml.safe_dump)))
def test_any_authors_file_is_read_or_refused(some_file, content):
    file = some_file
    file.write_text(content, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(ImmunocastError):
        assert isinstance(read_statements(file), Statements)


# ---- the pages


def test_synthetic_data_are_told_in_the_first_line(card, real_card):
    first = (card / "model_card.md").read_text().splitlines()[0]
    assert first == f"**{text.SYNTHETIC_BANNER}**"
    html = (card / "model_card.html").read_text()
    assert re.search(r"<title>\s*SYNTHETIC", html)
    words = page_of(card).text.replace("Skip to the summary", "").strip()
    assert words.startswith(text.SYNTHETIC_BANNER)
    for file in sorted(card.rglob("*.csv")):
        assert "synthetic, no patient exists" in file.read_text().splitlines()[1], file.name
    for page in (real_card / "model_card.md", real_card / "model_card.html", real_card / "evidence/metrics.csv"):
        assert "synthetic" not in page.read_text().lower(), page.name


def test_both_pages_say_the_numbers_of_the_tables(run, card):
    pages = [page_of(card).text, (card / "model_card.md").read_text().replace("\\", "")]
    metrics = run.table("metrics")
    rows = metrics[
        (metrics["model"] == "ridge") & (metrics["recalibration"] == "none") & (metrics["subgroup"] == "all")
        & metrics["metric"].isin(["auroc", "brier", "calibration_slope"])
        & ((metrics["cohort_id"] == "combined") | (metrics["metric"] != "brier"))
    ]  # fmt: skip
    assert len(rows) > 5
    for row in dicts(rows[rows["estimate"].notna()]):
        decimals = text.DECIMALS.get(row["metric"], 3)
        span = text.typographic(text.interval(row["ci_low"], row["ci_high"], decimals))
        for page in pages:
            assert re.search(rf"{text.number(row['estimate'], decimals)}\s+\(?{re.escape(span)}", page), row


def test_html_and_markdown_hold_the_same_numbers(card):
    def numbers(words: str) -> set[str]:
        return set(re.findall(r"(?<![\w.])[+−]?\d[\d,]*\.\d+", words))

    source = (card / "model_card.html").read_text().split("</style>")[1]
    html = numbers(re.sub(r'<div class="picture".*?</div>', "", source, flags=re.S))
    markdown = numbers((card / "model_card.md").read_text())
    assert len(markdown) > 100
    assert html == markdown


def test_the_page_needs_no_script_no_network_and_its_links_lead_somewhere(card):
    page = page_of(card)
    assert not page.tags & {"script", "link", "iframe", "img", "object", "form"}
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (card / link).is_file(), link
    for path in re.findall(r"\]\(([^)]+)\)", (card / "model_card.md").read_text()):
        assert (card / path).is_file(), path
    source = (card / "model_card.html").read_text()
    assert not re.search(r"(src|href)=\"(https?:)?//|url\(|@import", source)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(page.headings, page.headings[1:], strict=False))


def test_words_stand_out_from_their_ground(card):
    css = (card / "model_card.html").read_text().split("</style>")[0]
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css))

    def luminance(hexa: str) -> float:
        parts = [int(hexa[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for words in ("ink", "soft", "blue", "amber", "red"):
        for ground in ("#ffffff", colour["wash"]):
            low, high = sorted((luminance(colour[words]), luminance(ground)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (words, ground)
    assert "td.words { color: var(--soft); }" in css  # the report's own is fainter


def test_no_patient_is_in_a_card(run, card):
    ids = set(run.table("cohort")["patient_id"])
    for file in sorted(f for f in card.rglob("*") if f.is_file()):
        words = set(re.findall(r"[\w-]+", file.read_text()))
        assert not words & ids, file.name


def test_names_from_data_stay_words(make_run):
    run = _with_bundle(make_run())
    models = run.manifest()["models"]
    models["ridge"]["label"] = models["ridge"]["spec"]["label"] = "<script>alert(1)</script> | **bold** [x](http://x)"
    run.update_manifest(models=models)
    card = write_cards(run)[0]
    page = page_of(card)
    assert not page.tags & {"script", "beta"}
    assert "<script>alert(1)</script> | **bold** [x](http://x)" in page.text
    assert "Alpha & <Beta>" in page.text
    assert "http://x" not in page.links
    markdown = (card / "model_card.md").read_text()
    assert "<script" not in markdown
    assert re.findall(r"(.)\]\(http://x\)", markdown) == ["\\"] * markdown.count("](http://x)")
    assert "MSK-like \\| one" in markdown


def test_the_fixed_statement_of_scope_is_told_apart(card, real_card):
    source = (card / "model_card.html").read_text()
    fixed = re.findall(r'<section id="(\w+)" class="fixed">', source)
    assert fixed == ["use"]
    parts = [re.search(r'<section id="use".*?</section>', (c / "model_card.html").read_text(), re.S)[0]
             for c in (card, real_card)]  # fmt: skip
    assert parts[0] == parts[1]  # nothing of a run is in it
    assert source.count("From this run.") > 10


def test_a_card_claims_no_more_than_a_run_can_show(real_card):
    words = page_of(real_card).text.lower()
    assert "prognostic" in words
    assert "without a control arm" in words
    assert not re.search(r"low risk of bias|\bpredictive\b|\bclinically validated|\bsafe\b|\bcauses\b", words)
    assert "was itself never evaluated" in words


def test_risk_of_bias_has_facts_for_each_domain_and_no_rating(card):
    table = pd.read_csv(card / "probast_ai.csv", dtype=str)
    pairs = set(zip(table["domain"], table["phase"], strict=True))
    assert pairs == {(d, p) for d in DOMAINS for p in PHASES}
    assert (table["bearing"] == "needs the author").sum() == len(pairs)
    assert set(table["bearing"]) == {"raises a concern", "answers a concern", "not recorded", "needs the author"}
    for path in table["evidence"].dropna():
        assert (card / path).is_file()


def test_an_old_run_says_unknown_for_what_it_did_not_record(card):
    rows = {row.item.number: row for row in checklist(card)}
    assert rows["18f"].status is Status.AUTHOR
    assert "not recorded" in rows["18f"].needs
    assert "Git commit unknown" in page_of(card).text


def test_the_same_run_gives_the_same_card(run, card):
    def everything() -> dict[str, bytes]:
        return {f.relative_to(card).as_posix(): f.read_bytes() for f in card.rglob("*") if f.is_file()}

    before = everything()
    assert write_cards(run) == [card]
    assert everything() == before
    assert sum(map(len, before.values())) < 1_500_000
    index = read_index(card)
    assert index["tripod_ai"] == {"items": 52, "told": told(checklist(card)), **counts(checklist(card))}
    assert set(index["files"]) | {"card.json"} == set(before)


def test_a_run_without_learned_models_has_an_empty_folder(make_run):
    run = make_run(shap=False)
    assert write_cards(run) == []
    assert (run.path / "cards").is_dir()
    with pytest.raises(NotFoundError, match="It has: none"):
        write_card(run, "ridge")
