"""The names of `cohort.checks` under which readers and stages know them."""

from immunocast.cohort.checks import (
    apply_waivers,
    check_cohort,
    check_performance,
    finding,
    given_as_fraction,
    raise_on_errors,
    to_checks_table,
)

__all__ = [
    "apply_waivers",
    "check_cohort",
    "check_performance",
    "finding",
    "given_as_fraction",
    "raise_on_errors",
    "to_checks_table",
]
