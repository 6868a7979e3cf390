"""A card goes with its version to MLflow, and is judged there by what is really among the version's artifacts."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from immunocast.cli import main
from immunocast.errors import ConfigError, NotFoundError
from immunocast.report.card import Status, checklist, write_cards
from immunocast.report.card.checklist import lost_files
from immunocast.tracking import records as rec
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.cards import fetch_card
from immunocast.tracking.publish import publish, publish_key


@pytest.fixture
def tracker(store):
    return Tracker(store)


def artifacts_of(tracker, version):
    """Folder of the artifacts of a version's model."""
    name, number = version.split("/")
    model_id = tracker.client.get_model_version(name, number).source.removeprefix("models:/")
    return Path(unquote(urlparse(tracker.client.get_logged_model(model_id).artifact_location).path))


def test_a_version_carries_its_card_and_loses_an_item_with_a_file(run, tracker, tmp_path, monkeypatch, capsys):
    key = publish_key(run)
    cards = write_cards(run)
    assert [c.name for c in cards] == ["xgboost", "ridge"]
    assert publish_key(run) == key  # what is derived makes no other publication
    published = publish(run, tracker)
    version = published.model_versions["ridge"]
    card = cards[1]

    # the same files beside the version's model and in the model's run
    place = artifacts_of(tracker, version)
    ours = {f.relative_to(card).as_posix(): f.read_bytes() for f in card.rglob("*") if f.is_file()}
    assert {
        f.relative_to(place / "card").as_posix(): f.read_bytes() for f in (place / "card").rglob("*") if f.is_file()
    } == ours
    of_run = Path(tracker.client.download_artifacts(published.model_runs["ridge"], "card"))
    assert (of_run / "model_card.html").read_bytes() == ours["model_card.html"]
    assert "card" not in {f.path for f in tracker.client.list_artifacts(published.model_runs["loris_routed"])}

    # the version's page: banner, verdict, where the card is
    lines = tracker.client.get_model_version(*version.split("/")).description.split("\n\n")
    assert lines[0] == rec.SYNTHETIC_BANNER
    assert lines[1].startswith("**Ridge")
    assert "AUROC" in lines[1]
    told = next(line for line in lines if "card/model_card.html" in line)
    run_id, experiment = published.model_runs["ridge"], tracker.experiment_id
    assert f"(#/experiments/{experiment}/runs/{run_id}/artifacts/card/model_card.html?" in told
    assert "), 52 items: " in told
    assert "parent:" not in "".join(lines)

    # judged by the version's own artifacts, with the bundle of the version
    rows = {row.item.number: row for row in checklist(fetch_card(tracker, version, tmp_path / "got"))}
    assert {n: r.status for n, r in rows.items()} == {r.item.number: r.status for r in checklist(card)}
    assert rows["22"].status is Status.EVIDENCED
    (place / "card" / "evidence" / "characteristics.csv").unlink()
    after = checklist(fetch_card(tracker, version, tmp_path / "got"))
    assert [row.item.number for row in after if row.status is Status.MISSING] == ["20b"]
    assert lost_files(after) == ["evidence/characteristics.csv (gone)"]
    words = ["immunocast", "card", "--version", version, "--tracking-uri", tracker.uri, "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    with contextlib.suppress(SystemExit):
        main()
    said = capsys.readouterr().out
    assert f"SYNTHETIC DATA, no patient exists. TRIPOD+AI of {version}" in said
    assert "Missing: evidence/characteristics.csv (gone)" in said
    assert (tmp_path / "out" / "card" / "model_card.html").is_file()
    next((place / "artifacts").rglob("bundle.json")).write_text("{}")
    after = checklist(fetch_card(tracker, version, tmp_path / "got"))
    assert "22" in {row.item.number for row in after if row.status is Status.MISSING}

    # once more changes nothing, also where the card was written anew
    write_cards(run)
    again = publish(run, tracker)
    assert again.already
    assert len(tracker.client.search_model_versions("name = 'synthetic-immunocast-ridge'")) == 1


def test_a_run_from_before_there_were_cards_is_published_without(run, tracker, tmp_path):
    published = publish(run, tracker)
    version = published.model_versions["ridge"]
    description = tracker.client.get_model_version(*version.split("/")).description
    assert "model_card" not in description
    assert description.startswith(rec.SYNTHETIC_BANNER)
    with pytest.raises(NotFoundError, match="before there were cards"):
        fetch_card(tracker, version, tmp_path / "got")
    with pytest.raises(NotFoundError, match="has no version synthetic-immunocast-ridge/9"):
        fetch_card(tracker, "synthetic-immunocast-ridge/9", tmp_path / "got")
    for wrong in ("ridge", "ridge/x", "ridge/0", "/"):
        with pytest.raises(ConfigError, match="write NAME/NUMBER"):
            fetch_card(tracker, wrong, tmp_path / "got")
