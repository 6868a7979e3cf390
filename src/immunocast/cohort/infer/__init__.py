"""Proposing a column mapping for a file that nobody has described: by its headers and by its values.

A proposal is for a person to correct. Each line says how sure it is and why; what is doubtful is marked, what could
not be placed is listed with the reason. A wrong line that looks sure is worse than a missing one.
"""

from immunocast.cohort.infer.propose import Placed, Proposal, Unplaced, propose_mapping
from immunocast.cohort.infer.write import to_yaml

__all__ = ["Placed", "Proposal", "Unplaced", "propose_mapping", "to_yaml"]
