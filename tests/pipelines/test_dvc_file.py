"""dvc.yaml says of each stage what it reads and writes: else `dvc repro` passes over a change, or loses a table.

What a run on two threads reads and writes is watched; its tables are those of the run on one.
"""

import ast

import pytest
import yaml

from immunocast.config import frozen, load_config
from immunocast.store.runfolder import RunFolder, list_runs
from immunocast.store.schemas import TABLES

PACKAGES = ("cohort", "features", "metrics", "models", "validation", "explain", "report")
#: Says how a stage runs, and never what comes out.
HOW = {"engine", "paths", "tracking"}
#: Read only to refuse settings that do not fit together: another value changes no table of these stages.
REFUSALS = {
    "load": {"evaluation", "controls"},
    "train": {"controls"},
    "evaluate": {"controls"},
    "explain": {"evaluation", "controls"},
}


@pytest.fixture(scope="module")
def stages(root):
    return yaml.safe_load((root / "dvc.yaml").read_text())["stages"]


def tables(paths):
    return {p.split("/")[-1].removesuffix(".parquet") for p in paths if p.endswith(".parquet")}


class Sections:
    """A configuration that keeps which of its sections were asked for."""

    def __init__(self, cfg, seen):
        self._cfg, self._seen = cfg, seen

    def __getattr__(self, name):
        self._seen.add(name)
        return getattr(self._cfg, name)

    __getitem__ = __getattr__

    def get(self, name, default=None):
        self._seen.add(name)
        return self._cfg.get(name, default)


class Plain(dict):
    """The same for the configuration as plain values."""

    def __init__(self, plain, seen):
        super().__init__(plain)
        self._seen = seen

    def __getitem__(self, name):
        self._seen.add(name)
        return super().__getitem__(name)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The folder of the watched run."""
    return RunFolder(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def watched(pipelines, finished, work):
    """Stage -> sections, tables read, tables written and metas written by the run of `finished`, on two threads."""
    cfg = load_config([*finished.settings, f"paths.work={work.path}", "engine=threads", "engine.n_jobs=2"])
    found = {}
    patch = pytest.MonkeyPatch()
    read, write, meta = RunFolder.table, RunFolder.write_table, RunFolder.write_meta
    for name, run in pipelines.STAGES.items():
        seen = {"sections": set(), "read": set(), "written": set(), "meta": set()}
        with patch.context() as m:
            module = getattr(pipelines, name)
            if hasattr(module, "frozen"):
                m.setattr(module, "frozen", lambda _, s=seen: Plain(frozen(cfg), s["sections"]))
            m.setattr(RunFolder, "table", lambda self, t, s=seen: (s["read"].add(t), read(self, t))[1])
            m.setattr(
                RunFolder, "has_table", lambda self, t, s=seen: (s["read"].add(t), self.table_path(t).is_file())[1]
            )
            m.setattr(RunFolder, "write_table", lambda self, t, f, s=seen: (s["written"].add(t), write(self, t, f))[1])
            m.setattr(RunFolder, "write_meta", lambda self, t, s=seen, **f: (s["meta"].add(t), meta(self, t, **f))[1])
            run(Sections(cfg, seen["sections"]), work)
        found[name] = seen
    return found


def test_every_section_that_a_stage_reads_is_among_its_params(watched, stages):
    for name, seen in watched.items():
        listed = {str(p).split(".")[0] for p in stages[name]["params"]}
        asked = seen["sections"] - HOW - REFUSALS.get(name, set())
        assert "seed" in asked or name == "explain"
        assert asked <= listed, f"{name} reads {asked - listed}"


def test_every_table_that_a_stage_reads_is_a_dep_and_what_it_writes_an_out(watched, stages):
    for name, seen in watched.items():
        # a table that a stage writes and reads again is no dep
        assert seen["read"] - seen["written"] <= tables(stages[name]["deps"]), name
        assert seen["written"] == tables(stages[name]["outs"]), name
        assert {f"data/processed/meta/{m}.json" for m in seen["meta"]} <= set(stages[name]["outs"]), name


def test_tables_are_the_same_bytes_with_one_worker_and_with_two(watched, work, finished):
    """And in another process."""
    (made,) = list_runs(finished.cwd / "runs")
    one, two = ({p.stem: p.read_bytes() for p in (r.path / "tables").iterdir()} for r in (made, work))
    assert set(one) == set(two) == set(TABLES)
    assert [n for n in one if one[n] != two[n]] == []


def test_the_report_and_the_sealed_folder_wait_for_every_table_and_every_section(stages):
    assert tables(stages["report"]["deps"]) == set(TABLES)
    made = [t for name, stage in stages.items() for t in tables(stage.get("outs", []))]
    assert sorted(made) == sorted(TABLES), "each by one stage"
    # the author's file is of this machine, so that it is in no frozen configuration; the cards are made anew with it
    assert {str(p) for p in stages["report"]["params"]} == (set(frozen(load_config())) | {"card"}) - HOW


def test_a_stage_depends_on_the_packages_that_its_file_imports(stages, root):
    for name, stage in stages.items():
        if name == "publish":  # it hands on what is sealed
            continue
        tree = ast.parse((root / "pipelines" / f"{name}.py").read_text())
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        packages = {m.split(".")[1] for m in modules if m.startswith("immunocast.")}
        assert {f"src/immunocast/{p}" for p in packages & set(PACKAGES)} <= set(stage["deps"]), name
        assert f"pipelines/{name}.py" in stage["deps"]
