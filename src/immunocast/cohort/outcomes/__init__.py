"""Labels are made here and nowhere else: a cohort table and an endpoint in, y and reasons out.

Six months are 182.6 days everywhere (6 x 30.4375). The table of definitions stands in docs/endpoints.md.
"""

from immunocast.cohort.outcomes.catalogue import ENDPOINTS, make_endpoint, make_labels, require_labels, words_of
from immunocast.cohort.outcomes.endpoint import Endpoint, Words
from immunocast.cohort.outcomes.flow import flow_table, participant_flow
from immunocast.cohort.outcomes.follow_up import median_follow_up
from immunocast.cohort.outcomes.labels import Labels
from immunocast.cohort.outcomes.time_to_event import Survival, survival_of

__all__ = [
    "ENDPOINTS",
    "Endpoint",
    "Labels",
    "Survival",
    "Words",
    "flow_table",
    "make_endpoint",
    "make_labels",
    "median_follow_up",
    "participant_flow",
    "require_labels",
    "survival_of",
    "words_of",
]
