"""All gates on one candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from immunocast.errors import DataError
from immunocast.gates.calibration import calibration_intercept, calibration_slope
from immunocast.gates.champion import auroc_vs_champion
from immunocast.gates.evidence import Evidence
from immunocast.gates.provenance import clean_tree, data_checks, digests, real_data, reproduction
from immunocast.gates.reference import auroc_vs_loris
from immunocast.gates.settings import GateSettings
from immunocast.gates.size import min_events, min_patients
from immunocast.gates.subgroups import subgroups
from immunocast.gates.verdict import FAILED, NOT_ASSESSABLE, OFF, Finding, Verdict, unknown

_FUNCTIONS: dict[str, Callable[[Evidence, Any], Finding]] = {
    function.__name__: function
    for function in (
        min_patients,
        min_events,
        auroc_vs_loris,
        auroc_vs_champion,
        calibration_slope,
        calibration_intercept,
        data_checks,
        subgroups,
        real_data,
        clean_tree,
        digests,
        reproduction,
    )
}


def judge(evidence: Evidence, settings: GateSettings, alias: str) -> list[Verdict]:
    """What every gate says of a candidate for an alias, in the order of `settings`."""
    return [_verdict(name, evidence, gate, alias) for name, gate in settings.gates.items()]


def _verdict(name: str, evidence: Evidence, gate: Any, alias: str) -> Verdict:
    if gate is None:
        return Verdict(name, OFF, "switched off by configuration", False)
    try:
        finding = _FUNCTIONS[name](evidence, gate)
    except (DataError, OSError, ValueError, KeyError) as error:  # a damaged or foreign table is no pass
        finding = unknown(f"a table can't be read: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
    blocks = finding.status == FAILED or (finding.status == NOT_ASSESSABLE and gate.not_assessable == "fail")
    return Verdict(name, finding.status, finding.words, blocks and alias in gate.aliases)
