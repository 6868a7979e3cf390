"""Whether two runs were made by the same code, in the same environment; see `code_state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = "unknown"


def code_differences(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> dict[str, Any]:
    """Compare the code of two runs.

    Parameters
    ----------
    then, now : `code_state()` of the first and of the second run; None or {} where a run folder lacks it.

    Returns
    -------
    dict with
    same : True where commit and package are the same and neither has changes that the other lacks; False; None where
        that is not known.
    words : what to say, a sentence.
    """
    if not then or not now or not then.get("source_digest") or not now.get("source_digest"):
        return {"same": None, "words": "unknown: the run does not say which code made it"}
    same_package = then["source_digest"] == now["source_digest"]
    same_commit = then.get("git_commit") == now.get("git_commit")
    if same_package and same_commit and not then.get("dirty") and not now.get("dirty"):
        return {"same": True, "words": f"the same: {name_of(now)}"}
    if same_package:
        return {
            "same": True,
            "words": f"the same package (source digest {now['source_digest'][:12]}), from {name_of(now)}; the run came "
            f"from {name_of(then)}",
        }
    return {"same": False, "words": f"other code: {name_of(now)} now, the run came from {name_of(then)}"}


def name_of(code: Mapping[str, Any]) -> str:
    """A state of the code in words: commit, and whether it had changes.

    >>> name_of({"git_commit": "3bd2499aa1", "dirty": True})
    'commit 3bd2499a with changes'
    """
    commit = code.get("git_commit")
    if not commit:
        return f"no known commit (source digest {str(code.get('source_digest') or UNKNOWN)[:12]})"
    return f"commit {commit[:8]}" + (" with changes" if code.get("dirty") else "")


def environment_differences(
    then: Mapping[str, Any] | None,
    now: Mapping[str, Any] | None,
    lock_then: str | None = None,
    lock_now: str | None = None,
) -> list[dict[str, Any]] | None:
    """What differs between two environments: interpreter, platform, packages, and the lock.

    Parameters
    ----------
    then, now : `environment()` of the first and of the second run.
    lock_then, lock_now : digests of requirements.lock; compared where both are known.

    Returns
    -------
    A dict each (what, then, now; None where a package is absent), sorted; [] where all is the same; None where one
    side is not known.
    """
    if not then or not now:
        return None
    found = [
        {"what": key, "then": then.get(key), "now": now.get(key)}
        for key in ("python", "platform", "machine")
        if then.get(key) != now.get(key)
    ]
    before, after = then.get("packages") or {}, now.get("packages") or {}
    found += [
        {"what": name, "then": before.get(name), "now": after.get(name)}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    if lock_then and lock_now and lock_then != lock_now:
        found.append({"what": "requirements.lock", "then": lock_then[:12], "now": lock_now[:12]})
    return found
