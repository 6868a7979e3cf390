"""`python -m immunocast.cohort.synthetic targets` or `... tmb`: the table of targets; the fit of TMB."""

import argparse
import sys

from immunocast.cohort.synthetic import SyntheticCohort, targets, tmb


def main() -> int:
    """Print what was asked for; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m immunocast.cohort.synthetic", description=__doc__)
    parser.add_argument("what", choices=["targets", "tmb"])
    parser.add_argument("--patients", type=int, default=200_000, help="patients behind the table of targets")
    parser.add_argument("--seed", type=int, default=20260101)
    args = parser.parse_args()
    if args.what == "tmb":
        tmb.main()
        return 0
    table = targets.target_table(
        SyntheticCohort(n_patients=args.patients, seed=args.seed).load(),
        SyntheticCohort(n_patients=args.patients, seed=args.seed, control_fraction=0.5).load(),
    )
    print(targets.as_text(table))
    return int((table["verdict"] == "missed").any())


if __name__ == "__main__":
    sys.exit(main())
