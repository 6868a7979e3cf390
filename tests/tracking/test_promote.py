"""Promotion on a real store: gates, aliases, the log, and what is left where somebody dies or is faster."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml

from immunocast.config import conf_dir
from immunocast.errors import ConfigError, ConflictError, NotFoundError
from immunocast.gates import GateSettings
from immunocast.store.runfolder import RunFolder
from immunocast.tracking import process, registry_state
from immunocast.tracking.mlflow import Tracker, registry
from immunocast.tracking.mlflow.promotions import EXPERIMENT, read_log
from immunocast.tracking.promote import GATES_TAG, promote, rollback
from immunocast.tracking.publish import publish
from immunocast.tracking.run_folders import published_folder, run_folder

NAME = "immunocast-ridge"


def settings(**changes) -> GateSettings:
    """The shipped gates, of a size that the tiny run reaches."""
    plain = yaml.safe_load((conf_dir() / "promotion" / "default.yaml").read_text())["gates"]
    plain["min_patients"]["value"] = plain["min_events"]["value"] = 50
    plain["calibration_intercept"] = None
    for name, change in changes.items():
        plain[name] |= change
    return GateSettings.from_plain(plain)


@pytest.fixture(scope="module")
def published(tmp_path_factory, store_template, run_template):
    """Two published runs of the same models, and the store that holds them."""
    folder = tmp_path_factory.mktemp("published")
    runs = folder / "runs"
    code = {"git_commit": "c" * 40, "dirty": False, "dirty_files": []}
    first = RunFolder(runs / "20261101T100000-demo")
    shutil.copytree(run_template.path, first.path)
    provenance = {**first.manifest()["provenance"], "synthetic": False}
    metrics = first.table("metrics")
    metrics.loc[metrics["subgroup"] != "all", ["n", "n_events"]] = 60, 30
    first.write_table("metrics", metrics)
    models = {k: v for k, v in first.manifest()["models"].items() if k != "xgboost"}
    first.update_manifest(
        code=code, digests=first.digests(), models=models, headline_model="ridge", provenance=provenance
    )
    shutil.copytree(first.path, runs / "20261102T100000-demo")
    ridge = {"ridge": models["ridge"]}
    RunFolder(runs / "20261102T100000-demo").update_manifest(run_id="20261102T100000-demo", models=ridge)
    shutil.copyfile(store_template, folder / "mlflow.db")
    tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}", artifact_root=str(folder / "artifacts"))
    for path in sorted(runs.iterdir()):
        publish(RunFolder(path), tracker)
    return folder


class Host(Tracker):
    """A tracker whose locks nobody else sees, as on another machine."""

    def __init__(self, uri: str, locks: Path):
        super().__init__(uri)
        self.locks = locks

    def lock(self, name):
        return process.file_lock(self.locks / f"{name.replace(' ', '-')}.lock")


@pytest.fixture
def desk(published, tmp_path):
    return Desk(published, tmp_path)


class Desk:
    """A copy of the store, and calls with few words."""

    def __init__(self, published: Path, tmp_path: Path):
        shutil.copyfile(published / "mlflow.db", tmp_path / "mlflow.db")
        self.database = tmp_path / "mlflow.db"
        self.uri, self.tmp_path, self.runs = f"sqlite:///{self.database}", tmp_path, published / "runs"

    def host(self, name="here") -> Host:
        return Host(self.uri, self.tmp_path / name)

    def run(self, number: int) -> RunFolder:
        return RunFolder(self.runs / f"2026110{number}T100000-demo")

    def promote(self, number=1, to="champion", tracker=None, model="ridge", gates=None, **more):
        tracker = tracker or self.host()

        def find(run_id, key, mlflow_run):
            return published_folder(tracker, run_id, key, mlflow_run, self.runs, self.tmp_path / "scratch")

        return promote(tracker, self.run(number), model, to, gates or settings(), find, **more)

    def aliases(self, name=NAME):
        return registry.aliases(self.host("reader"), name)

    def publish_synthetic(self):
        """A third run, whose model is another one in the registry."""
        path = self.tmp_path / "runs" / "20261103T100000-demo"
        shutil.copytree(self.run(1).path, path)
        run = RunFolder(path)
        provenance = {**run.manifest()["provenance"], "synthetic": True}
        run.update_manifest(run_id=path.name, provenance=provenance)
        publish(run, Tracker(self.uri, artifact_root=str(self.tmp_path / "artifacts")))
        self.runs = path.parent

    def look(self):
        return registry_state.look(self.host("reader"))

    def entries(self):
        return [(e.action, e.alias, e.before, e.to) for e in read_log(self.host("reader")).entries]

    def sql(self, statement, *values):
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)


def test_the_first_champion_and_what_its_version_says(desk):
    done = desk.promote(1)
    assert done.moved
    assert desk.aliases() == {"champion": 1}
    found = desk.host().client.get_model_version(NAME, "1")
    assert found.tags["gate.auroc_vs_champion"] == "passed: no champion yet"
    assert found.tags["gate.min_events"] == "passed: 60 events and 60 others; at least 50 of each"
    assert found.tags["gate.calibration_intercept"] == "off: switched off by configuration"
    assert found.tags["gate.reproduction"].startswith("not assessable, which does not block: ")
    kept = json.loads(found.tags[GATES_TAG])
    assert kept["settings"]["min_events"]["value"] == 50
    assert {v["gate"]: v["status"] for v in kept["verdicts"]}["real_data"] == "passed"
    assert "AUROC" in found.description  # what publish said
    assert "- min_events: **passed**: 60 events" in found.description
    assert f"- **champion**: {found.tags['promotion.champion']}" in found.description
    assert done.entry.short in found.tags["promotion.champion"]
    look = desk.look()
    assert look.whole
    assert not look.unfinished
    assert not look.moved
    (entry,) = look.log.entries
    assert (entry.before, entry.to, entry.run_id, entry.override) == (None, 1, "20261101T100000-demo", False)
    assert entry.gates["auroc_vs_champion"] == ["passed", "no champion yet"]
    assert entry.who.endswith(f"@{process.host()}")
    assert entry.when.endswith("+00:00")
    assert set(entry.code) == {"version", "commit", "dirty"}
    (log,) = desk.host().client.search_runs([desk.host().client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert f"| 1 | {entry.when[:16].replace('T', ' ')} | {NAME} | champion |" in log.data.tags["mlflow.note.content"]


@pytest.mark.slow
def test_the_second_is_compared_with_the_first_and_challengers_are_apart(desk):
    desk.promote(1)
    done = desk.promote(2, "challenger")
    words = {v.gate: v.words for v in done.verdicts}["auroc_vs_champion"]
    assert f"that of {NAME} version 1 +0.000 (+0.000 to +0.000) on 120 common patients" in words
    assert desk.aliases() == {"champion": 1, "challenger": 2}
    assert desk.promote(2).before == 1
    assert desk.aliases() == {"champion": 2, "challenger": 2}
    again = desk.promote(2)
    assert (again.moved, again.entry, again.verdicts) == (True, None, [])
    assert len(desk.entries()) == 3


def test_a_gate_that_fails_keeps_the_alias_and_is_stored(desk):
    desk.promote(1)
    done = desk.promote(2, gates=settings(min_events={"value": 61}))
    assert not done.moved
    assert desk.aliases() == {"champion": 1}
    found = desk.host().client.get_model_version(NAME, "2")
    assert found.tags["gate.min_events"] == "failed: 60 events and 60 others; at least 61 of each"
    assert "promotion.champion" not in found.tags
    assert desk.entries()[-1] == ("refused", "champion", 1, 2)
    assert done.entry.blocked == ["min_events"]


@pytest.mark.slow
def test_an_override_needs_a_reason_and_is_stored(desk):
    gates = settings(min_events={"value": 61})
    for reason in ("", "  \n "):
        with pytest.raises(ConfigError, match="needs a reason"):
            desk.promote(1, gates=gates, override=True, reason=reason)
    assert desk.entries() == []
    done = desk.promote(1, gates=gates, override=True, reason="an  emergency", changed=["promotion.gates.x=1"])
    assert done.moved
    assert (done.entry.override, done.entry.reason, done.entry.blocked) == (True, "an emergency", ["min_events"])
    assert done.entry.changed == ["promotion.gates.x=1"]
    assert "OVERRIDE of min_events; reason: an emergency" in desk.host().client.get_model_version(NAME, "1").tags[
        "promotion.champion"
    ]  # fmt: skip
    # where nothing blocks, nothing is overridden
    assert not desk.promote(2, override=True, reason="to be sure").entry.override


@pytest.mark.slow
def test_synthetic_patients_never_come_near_the_real_model(desk):
    desk.publish_synthetic()
    done = desk.promote(3)
    assert (done.moved, done.version.name) == (False, f"synthetic-{NAME}")
    assert [v.gate for v in done.verdicts if v.blocks] == ["real_data"]
    assert desk.aliases(f"synthetic-{NAME}") == {}


def test_rollback_restores_the_champion_before_and_is_logged(desk):
    with pytest.raises(NotFoundError, match="has no champion: there is nothing to roll back to"):
        rollback(desk.host(), NAME, "champion", "why")
    desk.promote(1)
    with pytest.raises(NotFoundError, match="before version 1: there is nothing"):
        rollback(desk.host(), NAME, "champion", "why")
    desk.promote(2)
    with pytest.raises(ConfigError, match="needs a reason"):
        rollback(desk.host(), NAME, "champion", " ")
    done = rollback(desk.host(), NAME, "champion", "drift at site 4")
    assert desk.aliases() == {"champion": 1}
    assert (done.entry.action, done.entry.before, done.entry.to) == ("rollback", 2, 1)
    former = desk.host().client.get_model_version(NAME, "2")
    assert former.tags["promotion.champion"].startswith("until 20")
    assert f"{done.entry.short}; before: promoted 20" in former.tags["promotion.champion"]
    assert "- **champion**: until 20" in former.description
    assert desk.host().client.get_model_version(NAME, "1").tags["promotion.champion"].startswith("rolled back to 20")
    assert done.entry.reason == "drift at site 4"
    with pytest.raises(NotFoundError, match="nothing to roll back"):
        rollback(desk.host(), NAME, "champion", "again")
    rollback(desk.host(), NAME, "champion", "it was no drift", to=2)
    assert desk.aliases() == {"champion": 2}
    with pytest.raises(NotFoundError, match=r"version 7 was never champion. Versions that were: 1, 2"):
        rollback(desk.host(), NAME, "champion", "x", to=7)
    with pytest.raises(NotFoundError, match="no registered model 'nothing'"):
        rollback(desk.host(), "nothing", "champion", "x")


@pytest.mark.slow
def test_the_log_outlives_its_versions_and_models(desk):
    desk.promote(1)
    desk.promote(2)
    client = desk.host().client
    client.delete_model_version(NAME, "2")
    assert [m.now for m in desk.look().moved] == [None]
    with pytest.raises(NotFoundError, match=r"version 2.*was deleted.*Promote another version"):
        desk.promote(2)
    client.delete_model_version(NAME, "1")
    with pytest.raises(NotFoundError, match="version 1, the champion before, was deleted"):
        rollback(desk.host(), NAME, "champion", "x")
    client.delete_registered_model(NAME)
    assert desk.look().whole
    assert [e[3] for e in desk.entries()] == [1, 2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (dict(model="loris_routed"), NotFoundError, "not registered, as all published models are"),
        (dict(model="nn"), NotFoundError, "no model 'nn'. It has: loris_routed, ridge"),
        (dict(to="winner"), ConfigError, "no alias 'winner'"),
    ],
)
def test_what_cannot_be_promoted_is_told_and_leaves_nothing(desk, call, error, message):
    with pytest.raises(error, match=message):
        desk.promote(1, **call)
    assert desk.entries() == []
    assert desk.aliases() == {}


def test_an_unpublished_run_is_told(desk, tmp_path):
    shutil.copytree(desk.run(1).path, tmp_path / "other")
    other = RunFolder(tmp_path / "other")
    other.update_manifest(run_id="other")
    with pytest.raises(NotFoundError, match="Run other is not published in MLflow at sqlite"):
        promote(desk.host(), other, "ridge", "champion", settings(), lambda *a: other)


@pytest.mark.slow
def test_a_run_is_found_by_any_name_also_where_only_mlflow_has_it(desk, tmp_path):
    tracker = desk.host()
    for name in ("20261101", "20261101T100000-demo"):
        assert run_folder(tracker, name, desk.runs, tmp_path).path == desk.run(1).path
    mlflow_id = desk.run(2).read_json("mlflow.json")["model_runs"]["ridge"]
    assert run_folder(tracker, mlflow_id, desk.runs, tmp_path).path == desk.run(2).path
    away = run_folder(tracker, mlflow_id, tmp_path / "nothing", tmp_path / "scratch")
    assert away.run_id == desk.run(2).run_id
    assert not (away.path / "bundles").exists()
    find = lambda *a: desk.run(1)  # noqa: E731
    done = promote(tracker, away, "ridge", "champion", settings(), find)
    assert done.moved
    assert "models' files apart" in {v.gate: v.words for v in done.verdicts}["digests"]
    with pytest.raises(NotFoundError, match="2 runs start with '2026110'"):
        run_folder(tracker, "2026110", desk.runs, tmp_path)


def test_a_folder_that_was_changed_after_publishing_is_not_taken_for_the_champion(desk, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(desk.runs, runs)
    changed = RunFolder(runs / desk.run(1).run_id)
    changed.update_manifest(digests={"tables/x.parquet": "0"})
    version = registry.version(desk.host(), NAME, 1)
    found = published_folder(desk.host(), version.run_id, version.publish_key, version.mlflow_run, runs, tmp_path)
    assert found.path != changed.path


# -- the chain ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_changed_a_missing_and_a_cut_log_show_and_stop_promotion(desk):
    desk.promote(1)
    desk.promote(2)
    assert desk.look().whole
    desk.sql("update params set value = replace(value, '\"to\":1', '\"to\":9') where key = 'entry.000001'")
    assert "entry 1 was changed: its content does not have its hash" in desk.look().log.problems
    with pytest.raises(ConfigError, match=r"chain of the promotion log is broken.*entry 1 was changed"):
        desk.promote(1)
    desk.sql("delete from params where key = 'entry.000001'")
    assert "entry 1 is missing" in desk.look().log.problems
    done = desk.promote(1, override=True, reason="looked at it with the administrator")
    assert done.moved
    assert "broken" in done.entry.note


@pytest.mark.slow
def test_a_log_that_was_cut_at_its_end_is_found_by_the_registry(desk):
    desk.promote(1)
    desk.promote(2)
    desk.sql("delete from params where key = 'entry.000002'")
    (problem,) = desk.look().log.problems
    assert problem.startswith(f"{NAME}: its champion was moved by entry 2 (")
    assert problem.endswith("does not hold it")


@pytest.mark.slow
def test_a_deleted_log_is_told(desk):
    desk.promote(1)
    client = desk.host().client
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    (run,) = client.search_runs([experiment])
    client.delete_run(run.info.run_id)
    with pytest.raises(ConfigError, match=f"mlflow runs restore --run-id {run.info.run_id}"):
        desk.promote(2)
    client.restore_run(run.info.run_id)
    client.delete_experiment(experiment)
    with pytest.raises(ConfigError, match=f"mlflow experiments restore --experiment-id {experiment}"):
        desk.look()


@pytest.mark.slow
def test_an_alias_that_was_moved_by_hand_is_told_and_noted(desk):
    desk.promote(1)
    desk.host().client.set_registered_model_alias(NAME, "champion", "2")
    (moved,) = desk.look().moved
    assert "champion of immunocast-ridge is version 2, by the log version 1" in moved.words()
    done = desk.promote(1)
    assert (done.before, done.entry.to) == (2, 1)
    assert "outside of immunocast" in done.entry.note


# -- death between two writes ------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: no clean-up of immunocast's catches this."""


WRITES = (
    "create_experiment", "create_run", "set_terminated", "log_param", "set_registered_model_alias", "set_tag",
    "set_model_version_tag", "update_model_version", "set_registered_model_tag",
)  # fmt: skip


def at_write(monkeypatch, tracker, when, act):
    """Call `act` when the tracker is at its write number `when`; returns the list of writes so far."""
    seen: list[str] = []
    client = tracker.client

    def watched(name):
        real = getattr(client, name)

        def call(*args, **more):
            seen.append(name)
            if len(seen) == when:
                act()
            return real(*args, **more)

        return call

    for name in WRITES:
        monkeypatch.setattr(client, name, watched(name))
    return seen


def turning_points(desk, monkeypatch):
    """Numbers of the writes of a second promotion before which something else was written, and one past the last."""
    tracker = desk.host("count")
    with monkeypatch.context() as patch:
        seen = at_write(patch, tracker, 0, lambda: None)
        desk.promote(2, tracker=tracker)
    return [i + 1 for i, name in enumerate(seen) if i == 0 or seen[i - 1] != name], seen


#: The order of writes of a promotion; repeated ones count once.
ORDER = (
    "set_model_version_tag", "update_model_version", "log_param", "set_registered_model_alias",
    "set_model_version_tag", "update_model_version", "set_model_version_tag", "update_model_version",
    "set_registered_model_tag", "set_tag",
)  # fmt: skip


def test_whoever_dies_after_the_decision_has_decided(desk, monkeypatch):
    """The cheap one of the tests below, which try every write."""
    tracker = desk.host()

    def die(*args, **more):
        raise Killed

    monkeypatch.setattr(tracker.client, "set_registered_model_alias", die)
    with pytest.raises(Killed):
        desk.promote(1, tracker=tracker)
    assert desk.aliases() == {}
    assert [entry.to for entry in desk.look().unfinished] == [1]
    done = desk.promote(1)
    assert (done.entry, desk.aliases()) == (None, {"champion": 1})
    assert "was not carried out yet: done now" in done.said[0]
    assert not desk.look().unfinished
    assert len(desk.entries()) == 1


@pytest.mark.slow
def test_whoever_dies_between_two_writes_leaves_nothing_half(desk, monkeypatch, tmp_path):
    """Dead at a turn of the order of writes, then the next call, and all is as if nobody had died."""
    desk.promote(1)
    shutil.copyfile(desk.database, tmp_path / "kept.db")
    points, seen = turning_points(desk, monkeypatch)
    assert tuple(seen[i - 1] for i in points) == ORDER
    for point in points:
        shutil.copyfile(tmp_path / "kept.db", desk.database)
        tracker = desk.host()

        def die():
            raise Killed

        with monkeypatch.context() as patch:
            at_write(patch, tracker, point, die)
            with pytest.raises(Killed):
                desk.promote(2, tracker=tracker)
        decided = ("promote", "champion", 1, 2) in desk.entries()
        look = desk.look()
        assert look.whole, point
        assert decided == (seen[: point - 1].count("log_param") > 0)
        carried = desk.aliases() == {"champion": 2}
        assert carried == ("set_registered_model_alias" in seen[: point - 1])
        assert bool(look.unfinished) == (decided and "set_registered_model_tag" not in seen[: point - 1])
        # the next call, also one about another version, completes what was decided and never undoes it
        done = desk.promote(2)
        assert (done.entry is None) == decided
        assert bool(done.said) == bool(look.unfinished)
        assert desk.aliases() == {"champion": 2}
        assert desk.entries() == [("promote", "champion", None, 1), ("promote", "champion", 1, 2)]
        look = desk.look()
        assert look.whole
        assert not look.unfinished
        assert not look.moved


@pytest.mark.slow
def test_whoever_dies_while_beginning_the_log_leaves_one_log(desk, monkeypatch, tmp_path):
    shutil.copyfile(desk.database, tmp_path / "kept.db")
    for name in ("create_experiment", "create_run", "set_terminated"):
        shutil.copyfile(tmp_path / "kept.db", desk.database)
        tracker = desk.host()
        with monkeypatch.context() as patch:
            real = getattr(tracker.client, name)

            def die(*args, _real=real, **more):
                _real(*args, **more)
                raise Killed

            patch.setattr(tracker.client, name, die)
            with pytest.raises(Killed):
                desk.promote(1, tracker=tracker)
        assert desk.promote(1).moved
        assert desk.look().whole
        assert len(desk.entries()) == 1


@pytest.mark.slow
def test_a_version_that_goes_between_decision_and_alias_leaves_the_old_champion(desk, monkeypatch):
    desk.promote(1)
    tracker = desk.host()
    real = tracker.client.set_registered_model_alias

    def late(name, alias, version):
        monkeypatch.setattr(tracker.client, "set_registered_model_alias", real)
        desk.host("other").client.delete_model_version(NAME, "2")
        return real(name, alias, version)

    monkeypatch.setattr(tracker.client, "set_registered_model_alias", late)
    with pytest.raises(NotFoundError, match="version 2 was deleted meanwhile: the champion stays what it was"):
        desk.promote(2, tracker=tracker)
    assert desk.aliases() == {"champion": 1}
    assert [e[0] for e in desk.entries()] == ["promote", "promote", "void"]
    look = desk.look()
    assert look.whole
    assert not look.unfinished
    assert look.log.holders(NAME, "champion") == [1]


@pytest.mark.slow
def test_a_server_that_fails_before_and_after_the_decision_is_told(desk, monkeypatch):
    from mlflow.exceptions import MlflowException

    def down(*args, **more):
        raise MlflowException("Max retries exceeded")

    tracker = desk.host()
    with monkeypatch.context() as patch:
        patch.setattr(tracker.client, "set_model_version_tag", down)
        with pytest.raises(
            ConfigError, match=r"server does not answer any more. See whether it runs. Nothing was promoted"
        ):
            desk.promote(1, tracker=tracker)
    assert desk.entries() == []
    with monkeypatch.context() as patch:
        patch.setattr(tracker.client, "set_registered_model_alias", down)
        with pytest.raises(ConfigError, match=r"Entry 1 \(\w{12}\) stands in the log but is not carried out yet"):
            desk.promote(1, tracker=tracker)
    assert desk.aliases() == {}
    done = desk.promote(1)
    assert (done.entry, desk.aliases()) == (None, {"champion": 1})
    assert "was not carried out yet: done now" in done.said[0]


@pytest.mark.slow
def test_an_answer_that_was_lost_is_not_written_twice(desk, monkeypatch):
    from mlflow.exceptions import MlflowException

    tracker = desk.host()
    real = tracker.client.log_param

    def lost(*args, **more):
        real(*args, **more)
        raise MlflowException("connection reset")

    monkeypatch.setattr(tracker.client, "log_param", lost)
    assert desk.promote(1, tracker=tracker).moved
    assert len(desk.entries()) == 1


# -- two at once -------------------------------------------------------------------------------------------

SCRIPT = """
import pathlib, sys
sys.path.insert(0, str(pathlib.Path(tests)))
import test_promote as t
desk = t.Desk.__new__(t.Desk)
desk.uri, desk.tmp_path, desk.runs = uri, pathlib.Path(tmp), pathlib.Path(runs)
answers.put("ready")
go.get()
done = desk.promote(number, tracker=t.Tracker(uri))
answers.put((number, done.moved, done.before))
"""


@pytest.mark.slow
def test_two_processes_of_one_host_promote_one_after_the_other(desk, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["immunocast.tracking.mlflow", "mlflow.store.tracking.sqlalchemy_store"])
    answers, go = context.SimpleQueue(), context.SimpleQueue()
    names = dict(
        tests=str(Path(__file__).parent), uri=desk.uri, tmp=str(tmp_path), runs=str(desk.runs), answers=answers, go=go
    )
    both = [context.Process(target=exec, args=(SCRIPT, names | {"number": n})) for n in (1, 2)]
    for one in both:
        one.start()
    assert [answers.get(), answers.get()] == ["ready", "ready"]
    go.put(1)
    go.put(1)
    for one in both:
        one.join(120)
    assert [one.exitcode for one in both] == [0, 0]
    (first, moved, before), (second, too, after) = answers.get(), answers.get()
    assert {first, second} == {1, 2}
    assert (moved, too) == (True, True)
    assert {before, after} == {None, first if before is None else second}
    assert [e[0] for e in desk.entries()] == ["promote", "promote"]
    assert desk.aliases()["champion"] == desk.entries()[-1][3]
    assert desk.look().whole


def test_across_hosts_the_slower_one_is_told(desk, monkeypatch):
    """Host b promotes version 1 while a, having judged version 2, is about to write its decision."""
    here = desk.host("a")
    real = here.client.log_param

    def between(*args, **more):
        monkeypatch.setattr(here.client, "log_param", real)
        desk.promote(1, tracker=desk.host("b"))
        return real(*args, **more)

    monkeypatch.setattr(here.client, "log_param", between)
    with pytest.raises(ConflictError, match=r"was faster: immunocast-ridge version 1 became champion") as told:
        desk.promote(2, tracker=here)
    assert told.value.exit_code == 7
    assert desk.aliases() == {"champion": 1}
    assert desk.entries() == [("promote", "champion", None, 1)]
    assert desk.look().whole


@pytest.mark.slow
def test_across_hosts_the_loser_is_told_wherever_the_other_comes_between(desk, monkeypatch, tmp_path):
    """Host a promotes version 2; at a turn of its writes host b promotes version 1 from beginning to end."""
    desk.promote(2)
    desk.promote(1)
    shutil.copyfile(desk.database, tmp_path / "kept.db")
    points, seen = turning_points(desk, monkeypatch)
    for point in points:
        shutil.copyfile(tmp_path / "kept.db", desk.database)
        here, elsewhere = desk.host("a"), desk.host("b")
        decided = "log_param" in seen[: point - 1]

        def between(decided=decided, elsewhere=elsewhere):
            if decided:  # b sees 2 as champion, and wants 1
                desk.promote(1, tracker=elsewhere)
            else:  # b is faster: takes the champion away and back, two entries
                rollback(elsewhere, NAME, "champion", "b was faster", to=2)
                rollback(elsewhere, NAME, "champion", "and again", to=1)

        with monkeypatch.context() as patch:
            at_write(patch, here, point, between)
            if seen[point - 1] == "set_tag":  # all is done and read again: b comes after it
                assert desk.promote(2, tracker=here).moved
                continue
            with pytest.raises(ConflictError) as told:
                desk.promote(2, tracker=here)
        assert told.value.exit_code == 7
        assert ("was faster" in str(told.value)) == (not decided)
        assert ("moved it on since" in str(told.value)) == decided
        assert desk.aliases()["champion"] == desk.entries()[-1][3] == 1, point
        look = desk.look()
        assert look.whole, point
        assert not look.unfinished
        assert not look.moved, point


@pytest.mark.slow
def test_promotions_of_other_models_and_challengers_do_not_disturb(desk, monkeypatch):
    runs = desk.runs
    desk.publish_synthetic()
    synthetic, desk.runs = desk.runs, runs
    here, elsewhere = desk.host("a"), desk.host("b")
    real = here.client.log_param

    def between(*args, **more):
        monkeypatch.setattr(here.client, "log_param", real)
        desk.promote(2, "challenger", tracker=elsewhere)
        desk.runs = synthetic
        other = desk.promote(3, tracker=elsewhere, override=True, reason="shown in a talk")
        desk.runs = runs
        assert other.moved
        return real(*args, **more)

    monkeypatch.setattr(here.client, "log_param", between)
    done = desk.promote(1, tracker=here)
    assert done.entry.n == 3
    assert desk.aliases() == {"challenger": 2, "champion": 1}
    assert desk.look().whole


@pytest.mark.slow
def test_two_hosts_begin_the_log_at_once(desk, monkeypatch):
    """Host b writes the whole first promotion while a is about to make the log's run: one log, and a is told."""
    here, elsewhere = desk.host("a"), desk.host("b")
    for name in ("create_experiment", "create_run"):
        real = getattr(here.client, name)

        def between(*args, _real=real, _name=name, **more):
            monkeypatch.setattr(here.client, _name, _real)
            if not desk.entries():
                desk.promote(1, tracker=elsewhere)
            return _real(*args, **more)

        monkeypatch.setattr(here.client, name, between)
    with pytest.raises(ConflictError, match="was faster"):
        desk.promote(2, tracker=here)
    client = desk.host().client
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert len(runs) == 1
    assert desk.aliases() == {"champion": 1}
    assert desk.look().whole


@pytest.mark.slow
def test_the_champion_of_a_foreign_version_cannot_be_compared(desk):
    client = desk.host().client
    made = client.create_model_version(NAME, "file:///nowhere")
    client.set_registered_model_alias(NAME, "champion", made.version)
    done = desk.promote(1)
    assert [v.gate for v in done.verdicts if v.blocks] == ["auroc_vs_champion"]
    assert "was not made by immunocast's publish" in {v.gate: v.words for v in done.verdicts}["auroc_vs_champion"]


def test_long_verdicts_still_fit_mlflow():
    tags = {f"gate.{name}": "failed: " + "long words " * 200 for name in ("min_events", "subgroups", "digests")}
    text = registry.with_verdicts("head " * 300, tags | {"promotion.champion": "promoted by me"})
    assert len(text) <= registry.MAX_DESCRIPTION
    assert "- **champion**: promoted by me" in text
    assert text.count("**failed**") == 3
    assert len(registry.with_verdicts("head " * 3000, tags)) <= registry.MAX_DESCRIPTION


@pytest.mark.slow
def test_the_tables_behind_a_promotion_are_real(desk):
    """The fixture's metrics name what the gates read; a renamed column would let everything be unknown."""
    verdicts = {v.gate: v.status for v in desk.promote(1).verdicts}
    assert verdicts["min_events"] == verdicts["auroc_vs_loris"] == verdicts["subgroups"] == "passed"
