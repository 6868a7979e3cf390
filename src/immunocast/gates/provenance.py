"""Gates of provenance: data checks, real patients, clean code, files as they were, and a run made again."""

from __future__ import annotations

from immunocast.gates.evidence import Evidence
from immunocast.gates.settings import DataChecks, Gate, Reproduction
from immunocast.gates.verdict import FAILED, PASSED, Finding, passed_if, unknown

#: What `immunocast reproduce` leaves in a run folder.
REPRODUCTION = "reproduction.json"


def data_checks(evidence: Evidence, settings: DataChecks) -> Finding:
    """No finding of severity error, of the data or of the results; waived ones are named."""
    if not evidence.run.has_table("checks"):
        return unknown("the run has no table of data checks")
    still, waived, warnings = [], [], 0
    for table in ("checks", "model_checks"):
        if not evidence.run.has_table(table):
            continue
        for row in evidence.run.table(table).itertuples():
            if row.severity == "warning":
                warnings += 1
            if row.severity != "error":
                continue
            because = row.waived_because
            if isinstance(because, str) and because:
                waived.append(f"{row.code} ({because})")
            else:
                still.append(str(row.code))
    words = [f"errors: {', '.join(dict.fromkeys(still))}"] if still else ["no error"]
    if waived:
        words.append(f"waived: {', '.join(dict.fromkeys(waived))}")
    words.append(f"{warnings} warning{'' if warnings == 1 else 's'}")
    return passed_if(not still and (settings.waived == "pass" or not waived), "; ".join(words))


def real_data(evidence: Evidence, settings: Gate) -> Finding:
    """Patients who exist."""
    provenance = evidence.run.manifest().get("provenance") or {}
    synthetic, name = provenance.get("synthetic"), provenance.get("name", "cohort")
    if synthetic is None:
        return unknown("unknown: the run does not say whether its patients are real")
    return passed_if(synthetic is False, f"{name}: {'synthetic patients' if synthetic else 'real patients'}")


def clean_tree(evidence: Evidence, settings: Gate) -> Finding:
    """Code that is a commit: whoever has the commit has the code."""
    code = evidence.run.manifest().get("code") or {}
    dirty, commit = code.get("dirty"), code.get("git_commit")
    if dirty is None:
        return unknown("unknown: the run does not say which commit made it")
    if dirty:
        files = code.get("dirty_files") or []
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return Finding(FAILED, f"commit {str(commit)[:12]} with changes in {', '.join(files[:3])}{more}")
    return Finding(PASSED, f"commit {str(commit)[:12]} without changes")


def digests(evidence: Evidence, settings: Gate) -> Finding:
    """Tables, and bundles where they are at hand, as the manifest says they were."""
    then: dict[str, str] = evidence.run.manifest().get("digests") or {}
    if not any(path.startswith("tables/") for path in then):
        return unknown("the manifest holds no digests of tables")
    now = evidence.run.digests()
    bundles = any(path.startswith("bundles/") for path in now)
    if not bundles:  # a folder that was fetched from MLflow has none
        then = {path: digest for path, digest in then.items() if path.startswith("tables/")}
    missing = sorted(then.keys() - now.keys())
    changed = sorted(path for path in then.keys() & now.keys() if then[path] != now[path])
    added = sorted(now.keys() - then.keys())
    parts = [
        f"{len(files)} {what} ({', '.join(files[:3])}{', ...' if len(files) > 3 else ''})"
        for what, files in (("missing", missing), ("changed", changed), ("added", added))
        if files
    ]
    if parts:
        return Finding(FAILED, "; ".join(parts))
    tables = sum(path.startswith("tables/") for path in then)
    models = f" and {len(then) - tables} files of models" if bundles else ", the models' files apart,"
    return Finding(PASSED, f"{tables} tables{models} have the digests of the manifest")


def reproduction(evidence: Evidence, settings: Reproduction) -> Finding:
    """What `immunocast reproduce` said of the run: identical, close (within its tolerance), different, impossible."""
    try:
        found = evidence.run.read_json(REPRODUCTION)
    except ValueError:
        return unknown(f"{REPRODUCTION} can't be read")
    if not found:
        return unknown(f"nobody has made the run again: immunocast reproduce {evidence.run.run_id}")
    verdict, when = str(found.get("verdict")), f"made again on {str(found.get('when'))[:10]}"
    if verdict == "identical":
        return Finding(PASSED, f"identical, {when}")
    if verdict == "close":
        within = f"no number differs by more than {found.get('tolerance')}, {when}"
        return passed_if(settings.close == "pass", f"close: {within}")
    if verdict == "different":
        return Finding(FAILED, f"different, {when}")
    lines = str(found.get("why") or "").splitlines() or [""]
    return unknown(f"it could not be {when}: {verdict}: {lines[0][:200]}".rstrip(": "))
