"""A publication that is killed, repeated, or made by two at once is there once in the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.tracking.conftest import FOLDS

from immunocast.store.runfolder import RunFolder
from immunocast.tracking import process
from immunocast.tracking.mlflow import PROCESS, Tracker
from immunocast.tracking.publish import KEY, publish, publish_key

from .publisher import publish_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def processes():
    """Real processes, forked from one that has imported MLflow already: an import takes seconds.

    They find `publisher` by the path of this process: an earlier test may have started the one that they are forked
    from, without it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.servers.publisher", "mlflow.store.tracking.sqlalchemy_store"])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])
        yield context


@pytest.fixture
def one_model(run):
    """The run folder with one learned model, which has every kind of call."""
    manifest = run.read_json("manifest.json")
    manifest["models"] = {"ridge": manifest["models"]["ridge"]}
    run.write_json("manifest.json", manifest | {"headline_model": "ridge"})
    return run


def signed_in() -> dict[str, str]:
    """The user and the password of this process, for others."""
    return {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_TRACKING_")}


def is_there_once(tracker, run, models=1, registered=1):
    """One parent, one child a model, one logged model each, one version each, all closed."""
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert len(runs) == 1 + models + FOLDS, [r.data.tags for r in runs]
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert {r.data.tags["published"] for r in runs} == {"complete"}
    assert not [r for r in runs if PROCESS in r.data.tags]
    logged = tracker.client.search_logged_models([tracker.experiment_id])
    assert len(logged) == models
    assert {str(m.status) for m in logged} == {"READY"}
    ids = {r.info.run_id for r in runs}
    versions = [v for v in tracker.client.search_model_versions() if v.run_id in ids]
    assert len(versions) == registered
    (parent,) = (r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    assert len(parent.outputs.model_outputs) == 1
    assert len(parent.inputs.dataset_inputs) == 1
    assert publish(run, tracker).already


def test_killed_before_every_call_and_completed(any_store, one_model, processes):
    """kill -9 before call 1, again before call 2, and so on, all on one store."""
    step = 1 if any_store.database else 4
    kill_at, deaths = 1, 0
    while True:
        answers = processes.SimpleQueue()
        publisher = processes.Process(
            target=publish_here,
            args=(any_store.uri, any_store.experiment, one_model.path, answers, signed_in()),
            kwargs={"kill_at": kill_at},
        )
        publisher.start()
        publisher.join(300)
        if publisher.exitcode == 0:
            break
        assert publisher.exitcode == -9
        assert not (one_model.path / "mlflow.json").exists()
        deaths += 1
        kill_at += step
    assert deaths >= (15 if step == 1 else 4)
    said, calls = answers.get()
    # the last deaths come when all is there
    assert "published, 1 models" in said or "published before, nothing changed, 1 models" in said
    assert calls < kill_at
    is_there_once(any_store, one_model)


@pytest.mark.parametrize("kill_at", [4, 9, 16, 23])
def test_killed_once_on_a_fresh_store(any_store, one_model, processes, kill_at):
    answers = processes.SimpleQueue()
    publisher = processes.Process(
        target=publish_here,
        args=(any_store.uri, any_store.experiment, one_model.path, answers, signed_in()),
        kwargs={"kill_at": kill_at},
    )
    publisher.start()
    publisher.join(300)
    assert publisher.exitcode == -9
    assert not publish(one_model, any_store).already
    is_there_once(any_store, one_model)


def at_once(processes, store, folder, hosts):
    answers, ready = processes.SimpleQueue(), processes.Barrier(len(hosts))
    publishers = [
        processes.Process(
            target=publish_here,
            args=(store.uri, store.experiment, copy, answers, signed_in()),
            kwargs={"host": host, "ready": ready},
        )
        for host, copy in zip(hosts, folder, strict=True)
    ]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join(300)
    assert [p.exitcode for p in publishers] == [0] * len(hosts)
    return sorted(answers.get()[0] for _ in publishers)


def test_two_processes_of_one_host(any_store, one_model, processes):
    said = at_once(processes, any_store, [one_model.path] * 2, ["", ""])
    assert sorted("nothing changed" in text for text in said) == [False, True]
    is_there_once(any_store, one_model)


@pytest.mark.parametrize("attempt", range(3))
def test_two_hosts(any_store, one_model, processes, tmp_path, attempt):
    """Each has its own locks, and its own copy of the folder; at most one of them publishes."""
    copies = [tmp_path / host / one_model.path.name for host in ("north", "south")]
    for copy in copies:
        shutil.copytree(one_model.path, copy)
    said = at_once(processes, any_store, copies, ["north", "south"])
    published = [text for text in said if text.startswith("MLflow: published")]
    gave_way = [text for text in said if text.startswith("Not published: ")]
    assert len(published) <= 1
    assert len(published) + len(gave_way) + sum("nothing changed" in text for text in said) == 2
    # both at once, or the later one found what the earlier one had begun
    told = ("publishes this run at the moment, or just did", "publishes this run, or did until it was cut off")
    assert all(any(words in text for words in told) for text in gave_way)
    assert not publish(RunFolder(copies[0]), any_store).twice
    assert publish(RunFolder(copies[1]), any_store).already
    is_there_once(any_store, RunFolder(copies[1]))


def test_what_another_host_began_is_left_alone_until_one_says_that_it_is_dead(any_store, one_model):
    key = publish_key(one_model)
    handle = any_store.start("theirs", {KEY: key, PROCESS: "elsewhere 12 3-4"})
    with pytest.raises(Exception, match=r"process 12 on elsewhere publishes this run.*--take-over"):
        publish(one_model, any_store)
    assert publish(one_model, any_store, take_over=True).run_id == handle.run_id
    is_there_once(any_store, one_model)


def test_a_publication_that_was_made_twice_all_the_same_is_told(any_store, one_model, monkeypatch):
    """As if the claims had failed: another complete publication turns up at the end."""
    from immunocast.tracking import claims

    real = claims.others

    def late(tracker, key, ours):
        other = tracker.start("theirs", {KEY: key, "published": "complete"})
        tracker.end(other.run_id)
        return real(tracker, key, ours)

    monkeypatch.setattr(claims, "others", late)
    published = publish(one_model, any_store)
    assert len(published.twice) == 1
    assert "published more than once" in published.message()
    assert published.twice[0] in published.message()


class Lossy(ThreadingHTTPServer):
    """A proxy before a server that hands calls on, and drops the answer to the first call of each listed path."""

    def __init__(self, upstream: str, lose: list[str], delay: dict[str, float]):
        self.upstream, self.lose, self.delay, self.lost = upstream, lose, delay, []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    """One call through the proxy."""

    protocol_version = "HTTP/1.0"

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        request = Request(self.server.upstream + self.path, body, kept, method=self.command)
        try:
            with urlopen(request, timeout=100) as answer:
                status, content, kind = answer.status, answer.read(), answer.headers.get("Content-Type")
        except HTTPError as error:
            status, content, kind = error.code, error.read(), error.headers.get("Content-Type")
        for path in self.server.lose:
            if self.path.endswith(path) and status == 200:
                self.server.lose.remove(path)
                self.server.lost.append(path)
                self.connection.close()
                return
        for path in [p for p in self.server.delay if self.path.endswith(p)]:
            threading.Event().wait(self.server.delay.pop(path))
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


for verb in ("GET", "POST", "PATCH", "PUT", "DELETE"):
    setattr(Handler, f"do_{verb}", Handler._pass_on)


@pytest.fixture
def through(server):
    """Opens a proxy before the server: (paths whose first answer is lost, seconds of delay by path) -> proxy."""
    opened = []

    def open_proxy(lose=(), delay=None):
        proxy = Lossy(server.uri, list(lose), dict(delay or {}))
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        opened.append(proxy)
        return proxy

    yield open_proxy
    for proxy in opened:
        proxy.shutdown()
        proxy.server_close()


def test_an_answer_that_is_lost_on_the_way_makes_nothing_twice(through, server, alice, experiment, one_model):
    """The client repeats a call whose answer it did not get, though the server had done it."""
    paths = ["/runs/create", "/logged-models", "/runs/log-batch", "/model-versions/create"]
    proxy = through(lose=paths)
    uri = f"http://127.0.0.1:{proxy.server_port}"
    tracker = Tracker(uri, experiment)
    _ = tracker.experiment_id
    published = publish(one_model, tracker)
    assert sorted(proxy.lost) == sorted(paths)
    assert published.twice == ()
    is_there_once(Tracker(server.uri, experiment), one_model)


def test_a_slow_answer_is_waited_for(through, alice, experiment, one_model):
    proxy = through(delay={"/runs/create": 20.0, "/registered-models/create": 8.0})
    tracker = Tracker(f"http://127.0.0.1:{proxy.server_port}", experiment)
    publish(one_model, tracker)
    assert proxy.delay == {}
    is_there_once(tracker, one_model)


def test_the_identity_of_a_process_is_in_the_tag_only_while_it_works(any_store, one_model):
    publish(one_model, any_store)
    tags = json.dumps([r.data.tags for r in any_store.client.search_runs([any_store.experiment_id])])
    assert process.host() not in tags
