"""Synthetic cohorts that know their truth; docs/synthetic.md says how patients come about."""

from immunocast.cohort.synthetic.generator import SyntheticCohort

__all__ = ["SyntheticCohort"]
