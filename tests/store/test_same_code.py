"""Whether two runs were made by the same code, in the same environment."""

from __future__ import annotations

import pytest

from immunocast.store.same_code import code_differences, environment_differences

CODE = {"git_commit": "a" * 40, "dirty": False, "dirty_files": [], "source_digest": "1" * 64, "lock_digest": "2" * 64}


@pytest.mark.parametrize(
    ("then", "now", "same", "said"),
    [
        ({}, {}, True, "the same: commit aaaaaaaa"),
        ({"dirty": True}, {}, True, "the run came from commit aaaaaaaa with changes"),
        ({"git_commit": "b" * 40}, {}, True, "the same package (source digest 111111111111), from commit aaaaaaaa"),
        ({"git_commit": None, "dirty": None}, {}, True, "the run came from no known commit"),
        ({"git_commit": None}, {"git_commit": None}, True, "the same: no known commit (source digest 111111111111)"),
        ({"source_digest": "3" * 64}, {}, False, "other code: commit aaaaaaaa now"),
        ({"source_digest": "3" * 64}, {"dirty": True}, False, "commit aaaaaaaa with changes now"),
        ({"source_digest": None}, {}, None, "unknown"),
    ],
)
def test_code(then, now, same, said):
    found = code_differences({**CODE, **then}, {**CODE, **now})
    assert found["same"] is same
    assert said in found["words"]


def test_a_run_from_before_code_was_recorded_is_unknown():
    assert code_differences(None, CODE)["same"] is None
    assert environment_differences(None, {"python": "3.12"}) is None


def test_environments_differ_by_name_and_version():
    then = {"python": "3.12.1", "platform": "Linux-6", "machine": "x86_64", "packages": {"numpy": "2.5.5", "shap": "1"}}
    now = {**then, "python": "3.13.0", "packages": {"numpy": "2.5.6", "scipy": "1.18"}}
    assert environment_differences(then, then, "a", "a") == []
    found = {d["what"]: (d["then"], d["now"]) for d in environment_differences(then, now, "a" * 64, "b" * 64)}
    assert found == {
        "python": ("3.12.1", "3.13.0"),
        "numpy": ("2.5.5", "2.5.6"),
        "scipy": (None, "1.18"),
        "shap": ("1", None),
        "requirements.lock": ("a" * 12, "b" * 12),
    }
    # the lock of a wheel is not known: that is no difference
    assert environment_differences(then, then, "a" * 64, None) == []
