"""Many runs below one parent, and many writers at once."""

from __future__ import annotations

import functools
import multiprocessing
import time

import pytest

from immunocast.tracking import records as rec
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.log import log

pytestmark = pytest.mark.slow

WRITER = """
import time
from immunocast.tracking import records as rec
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.log import log
ready.wait(300)
tracker = Tracker(uri)
with tracker.pipeline_run(f"writer-{number}") as handle:
    for child in range(4):
        below = tracker.start(f"child-{child}", {"model": str(child)}, handle.run_id).run_id
        with tracker.closing(below):
            for part in range(5):
                log(tracker, below, [
                    *(rec.Metric(f"m{part}/{i}", number + i / 100) for i in range(40)),
                    rec.Tag(f"part{part}", "done"), rec.Param(f"p{part}", str(number)),
                ])
"""


@pytest.mark.parametrize("round_", range(3))
def test_eight_first_writers_at_once_on_a_fresh_sqlite_file(tmp_path, round_, capfd):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["immunocast.tracking.mlflow.log", "mlflow.store.tracking.sqlalchemy_store"])
    uri, ready = f"sqlite:///{tmp_path}/new.db", context.Barrier(8)
    writers = [context.Process(target=exec, args=(WRITER, {"uri": uri, "number": n, "ready": ready})) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(500)
    assert [writer.exitcode for writer in writers] == [0] * 8
    said = capfd.readouterr().err
    assert "locked" not in said
    assert "Traceback" not in said
    tracker = Tracker(uri)
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert len(runs) == 8 * (1 + 4)
    assert {r.info.status for r in runs} == {"FINISHED"}
    children = [r for r in runs if "model" in r.data.tags]
    assert {len(r.data.metrics) for r in children} == {200}
    assert {len(r.data.params) for r in children} == {5}
    tops = {r.info.run_id: int(r.info.run_name.removeprefix("writer-")) for r in runs if "model" not in r.data.tags}
    for child in children:
        number = tops[child.data.tags["mlflow.parentRunId"]]
        assert child.data.metrics["m4/39"] == pytest.approx(number + 0.39)
        assert child.data.params["p4"] == str(number)


def test_two_hundred_runs_below_one_parent(any_store, record_property):
    started = time.process_time(), time.perf_counter()
    with any_store.pipeline_run("sweep") as parent:
        for i in range(200):
            child = any_store.start(f"job {i}", {"sweep": "s1", "job": str(i)}, parent.run_id).run_id
            with any_store.closing(child):
                log(any_store, child, [rec.Metric("auroc", 0.5 + i / 1000), rec.Param("seed", str(i))])
    record_property("cpu_s", round(time.process_time() - started[0], 2))
    record_property("wall_s", round(time.perf_counter() - started[1], 2))
    whole = any_store.find({"sweep": "s1"})
    assert [tags["job"] for tags in whole.values()] == [str(i) for i in range(200)]

    # the same in pages of 30
    fresh = Tracker(any_store.uri, any_store.experiment)
    calls = []
    search = fresh.client.search_runs

    def in_pages(*args, **more):
        calls.append(more["page_token"])
        return search(*args, max_results=30, **more)

    fresh.client.search_runs = functools.wraps(search)(in_pages)
    assert fresh.find({"sweep": "s1"}) == whole
    assert len(calls) == 7
    page = fresh.client.__class__.search_runs(
        fresh.client, [fresh.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
    )
    assert len(page) == 200
