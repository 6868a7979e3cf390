"""What a model must show before an alias of the registry moves to it: pure functions over run folders.

`GateSettings.from_plain` checks the settings of conf/promotion, `judge` gives a `Verdict` a gate. Nothing here knows
MLflow; `tracking.promote` stores the verdicts and moves the alias.
"""

from immunocast.gates.evidence import Champion, Evidence
from immunocast.gates.judge import judge
from immunocast.gates.settings import ALIASES, GATES, GateSettings
from immunocast.gates.verdict import FAILED, NOT_ASSESSABLE, OFF, PASSED, Finding, Verdict

__all__ = [
    "ALIASES",
    "FAILED",
    "GATES",
    "NOT_ASSESSABLE",
    "OFF",
    "PASSED",
    "Champion",
    "Evidence",
    "Finding",
    "GateSettings",
    "Verdict",
    "judge",
]
