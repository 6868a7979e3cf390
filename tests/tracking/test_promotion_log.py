"""The hash chain: whatever changes, goes or comes shows; what follows from the entries."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.errors import ConfigError
from immunocast.tracking.promotion_log import (
    MAX_ENTRY,
    PROMOTE,
    REFUSED,
    ROLLBACK,
    VOID,
    Entry,
    Log,
    chained,
    parse,
)


def draft(to=1, action=PROMOTE, before=None, **more) -> Entry:
    plain = dict(n=0, action=action, name="m", alias="champion", before=before, to=to, run_id="r", who="a@b")
    return Entry(**plain | dict(when="2026-01-01T00:00:00+00:00") | more)


def chain(*drafts: Entry) -> list[Entry]:
    made: list[Entry] = []
    for one in drafts:
        made.append(chained(one, made[-1] if made else None))
    return made


def stored(entries) -> list[tuple[int, str]]:
    return [(entry.n, entry.text()) for entry in entries]


def test_a_chain_comes_back_whole():
    entries = chain(*(draft(i, reason=f"why {i}", gates={"g": ["passed", "é – 3 µm"]}) for i in range(1, 6)))
    log = parse(stored(entries))
    assert not log.problems
    assert [(e.n, e.to, e.previous) for e in log.entries] == [(e.n, e.to, e.previous) for e in entries]
    assert log.last.hash == entries[-1].hash
    assert entries[0].previous == "0" * 64


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (lambda s: [s[0], (2, s[1][1].replace('"to":2', '"to":9')), s[2]], "entry 2 was changed"),
        (lambda s: [s[0], s[2]], "entry 2 is missing"),
        (lambda s: s[1:], "entry 1 is missing"),
        (lambda s: [s[0], (2, "nonsense"), s[2]], "entry 2 can't be read"),
        (lambda s: [*s, (3, s[2][1])], "entry 3 is there twice"),
        (lambda s: [s[0], (2, s[2][1]), s[2]], "entry 2 can't be read"),
    ],
)
def test_what_was_done_to_it_shows(tamper, problem):
    log = parse(tamper(stored(chain(draft(1), draft(2), draft(3)))))
    assert problem in "; ".join(log.problems)


def test_the_same_content_written_otherwise_shows_too():
    (entry,) = chain(draft(1, reason="a\x1fb"))
    assert "\\u001f" in entry.text()
    assert parse([(1, entry.text().replace("\\u001f", "\\u001F"))]).problems


def test_an_entry_that_was_made_anew_with_a_right_hash_does_not_fit_the_next():
    entries = chain(draft(1), draft(2), draft(3))
    forged = chained(draft(9), entries[0])
    log = parse(stored([entries[0], forged, entries[2]]))
    assert log.problems == ("entry 3 does not follow the one before it: it names another hash",)


def test_an_entry_of_a_later_version_is_read_and_its_hash_still_holds():
    (entry,) = chain(draft(1))
    content = json.loads(entry.text())
    del content["hash"], content["note"]  # as an earlier version, which knew no notes
    content["colour"] = "blue"  # as a later one
    import hashlib

    def canonical(c):
        return json.dumps(c, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    text = canonical(content | {"hash": hashlib.sha256(canonical(content).encode()).hexdigest()})
    assert not parse([(1, text)]).problems
    assert parse([(1, text.replace("blue", "red"))]).problems


words = st.text(max_size=200)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(words, st.dictionaries(words, st.tuples(words, words), max_size=4), st.lists(words, max_size=3))
    ),
    st.data(),
)
def test_any_text_is_kept_or_told_and_any_changed_character_shows(content, data):
    made: list[Entry] = []
    for reason, gates, changed in content:
        one = draft(1, reason=reason, gates={k: list(v) for k, v in gates.items()}, changed=changed)
        try:
            made.append(chained(one, made[-1] if made else None))
        except ConfigError:
            continue
        assert len(made[-1].text()) <= MAX_ENTRY
    assert not parse(stored(made)).problems
    if made:
        which = data.draw(st.integers(0, len(made) - 1))
        text = made[which].text()
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters().filter(lambda c: c != text[at]))
        changed = stored(made)
        changed[which] = (which + 1, text[:at] + other + text[at + 1 :])
        assert parse(changed).problems


def test_long_words_are_cut_and_a_long_reason_is_told():
    gates = {f"gate {i}": ["passed", "x" * 2000] for i in range(12)}
    (entry,) = chain(draft(1, gates=gates, reason="r" * 1000))
    assert len(entry.text()) <= MAX_ENTRY
    assert entry.gates["gate 3"][1].endswith("x...")
    with pytest.raises(ConfigError, match="1001 characters"):
        chain(draft(1, reason="r" * 1001))
    with pytest.raises(ConfigError, match="no text"):
        chain(draft(1, reason="a\udce9b"))
    with pytest.raises(ConfigError, match=r"promotion/NAME\.yaml"):
        chain(draft(1, changed=["x" * 6000]))


def test_holders_follow_promotions_rollbacks_refusals_and_voids():
    entries = chain(
        draft(1),
        draft(2),
        draft(3, REFUSED),
        draft(3),
        draft(2, ROLLBACK),
        draft(4),
        draft(4, VOID, voids=6),
        draft(7, name="other"),
        draft(8, alias="challenger"),
    )
    log = Log(tuple(entries))
    assert log.holders("m", "champion") == [1, 2]
    assert [e.n for e in log.of("m", "champion")] == [1, 2, 4, 5]
    assert log.holders("m", "challenger") == [8]
    assert log.holders("nobody", "champion") == []
