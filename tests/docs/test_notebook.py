"""The analyst's notebook runs on a run, and is kept without answers."""

import importlib.util

import nbformat
import pytest


@pytest.fixture(scope="module")
def script(root):
    spec = importlib.util.spec_from_file_location("run_notebook", root / "scripts/run_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_runs(script, small_run):
    notebook = script.execute(small_run.path.parent, seconds=120)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert "SYNTHETIC" in str(code[0].outputs)
    for cell in code:
        assert cell.outputs, cell.source
        assert all(o.output_type in ("execute_result", "stream") for o in cell.outputs), cell.source
    ranks = next(c for c in code if "q.importance()" in c.source)
    best = small_run.table("importance").query("model == 'ridge' and level == 'all' and kind == 'feature'")
    assert best.sort_values("rank")["feature"].iloc[0] in str(ranks.outputs)


def test_a_cell_that_fails_fails_the_script(script, tmp_path):
    with pytest.raises(Exception, match="There is no finished run"):
        script.execute(tmp_path, seconds=60)


def test_it_asks_ten_questions_and_holds_no_answers(script):
    notebook = nbformat.read(script.NOTEBOOK, as_version=4)
    titles = [c.source.splitlines()[0] for c in notebook.cells if c.cell_type == "markdown"]
    assert [t.split()[1] for t in titles if t.startswith("## ")] == [f"{i}." for i in range(1, 11)]
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells if c.cell_type == "code")
