from __future__ import annotations

from immunocast.report.flow import participant_flow
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder


def test_flow_adds_up(toy_run: RunFolder) -> None:
    total, cohorts = participant_flow(RunView(toy_run))
    assert total.read == total.n_excluded + total.analysed
    assert sum(c.analysed for c in cohorts) == total.analysed
    assert sum(c.n_excluded for c in cohorts) == total.n_excluded
    assert list(total.excluded) == ["not evaluable", "no <outcome>"]  # largest first


def test_flow_without_a_record_takes_counts_from_predictions(make_run) -> None:
    run = make_run()
    manifest = run.read_json("manifest.json")
    manifest.pop("flow")
    run.write_json("manifest.json", manifest)
    view = RunView(run)
    total, cohorts = participant_flow(view)
    assert total.read is None
    assert total.analysed == view.counts["n"] == len(run.table("cohort"))
    assert total.events == view.counts["n_events"]
    assert cohorts == []
