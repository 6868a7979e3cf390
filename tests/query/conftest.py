"""Three small runs: two of this version, one of an older one, with other columns and one more table."""

import pandas as pd
import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.store.runfolder import RunFolder

OLD, MID, NEW = (f"2026010{i}T000000000Z-{name}-00000{i}" for i, name in ((1, "old"), (2, "site"), (3, "site")))


def importance(features, kind=True, scale="log-odds", shift=0.0, low=0, high=0):
    """A table of importance: features in order of rank, for all and by tumor_type."""
    rows = []
    for subgroup, level in (("all", "all"), ("tumor_type", "melanoma"), ("tumor_type", "nsclc")):
        for i, feature in enumerate(features):
            size = 1.0 / (i + 1) + shift
            rows.append(
                {
                    **{"model": "ridge", "scheme": "loco", "repeat": -1, "endpoint": "response", "subgroup": subgroup},
                    **{"level": level, "kind": "feature", "feature": feature, "members": "", "n": 60, "n_measured": 50},
                    **{"group": {"nlr": "blood", "tmb_mut_mb": "dna"}.get(feature, "clinical")},
                    **{"mean_abs_shap": size, "ci_low": size - 0.1, "ci_high": size + 0.1, "rank": i + 1},
                    **{"rank_low": max(1, i + 1 - low), "rank_high": i + 1 + high, "sign": 0.5 - i},
                    "output_scale": scale,
                }
            )
    frame = pd.DataFrame(rows)
    blocks = frame[frame["feature"] == features[0]].assign(kind="block", feature="blood", rank=1, members="nlr")
    frame = pd.concat([frame, blocks], ignore_index=True)
    return frame if kind else frame[frame["kind"] == "feature"].drop(columns=["kind", "members"])


def metrics(estimate, rows=1):
    """A table of metrics with the headline AUROC, and as many cohorts as asked for."""
    base = {
        **{"metric": "auroc", "model": "ridge", "recalibration": "none", "scheme": "loco", "endpoint": "response"},
        **{"subgroup": "all", "level": "all", "threshold_or_horizon": None, "n": 60, "n_events": 20, "n_abstained": 0},
        **{"estimate": estimate, "ci_low": estimate - 0.1, "ci_high": estimate + 0.1, "ci_method": "delong"},
        "note": "",
    }
    cohorts = ["combined", *(f"site-{i}" for i in range(rows))]
    frame = pd.DataFrame([{**base, "cohort_id": c} for c in cohorts])
    return frame.astype({"threshold_or_horizon": float})


def make_run(folder, run_id, tables, name="site", **about):
    """A finished run folder with tables as given, not validated."""
    run = RunFolder(folder / run_id)
    (run.path / "tables").mkdir(parents=True)
    for table, frame in tables.items():
        frame.to_parquet(run.table_path(table), index=False)
    defaults = {
        "provenance": {"name": name, "synthetic": True},
        "flow": {"analysed": 60, "events": 20, "cohorts": [{"cohort_id": f"{name}-0"}]},
        **{"endpoint": "response", "scheme": "loco", "headline_model": "ridge", "immunocast_version": "0.1.0"},
        "models": {"ridge": {"params": {"penalty": 1.0}}},
    }
    run.update_manifest(run_id=run_id, digests=run.digests(), **{**defaults, **about})
    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folder of the three runs; tests must not write into it."""
    folder = tmp_path_factory.mktemp("query_runs")
    cohort = SyntheticCohort(n_patients=60, seed=1).load().cohort
    make_run(
        folder,
        OLD,
        {
            "cohort": cohort.drop(columns=["nlr"]).assign(retired=1),
            "metrics": metrics(0.6).drop(columns=["n_abstained"]),
            "importance": importance(["nlr", "tmb_mut_mb", "sex"], kind=False),
            "spectra": pd.DataFrame({"peak": [1, 2]}),
        },
        name="old",
    )
    make_run(
        folder,
        MID,
        {
            "cohort": cohort,
            "metrics": metrics(0.7, rows=2),
            "importance": importance(["tmb_mut_mb", "nlr", "sex"], low=1),
        },
        models={"ridge": {"params": {"penalty": 2.0}}},
    )
    make_run(
        folder,
        NEW,
        {
            "cohort": cohort.assign(age_years=cohort["age_years"].fillna(60).astype("int64")),
            "metrics": metrics(0.8, rows=3),
            "importance": importance(["tmb_mut_mb", "sex", "age_years"], shift=1.0),
        },
    )
    return folder
