"""`immunocast publish`: exit codes and messages, in this process."""

from tests.tracking.conftest import run, run_template, store, store_template  # noqa: F401

from immunocast.store.runfolder import find_run


def test_published_and_again_and_no_such_run(call, run, store):  # noqa: F811
    words = ("publish", "latest", "--tracking-uri", store)
    first = call(run.path.parent, *words)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("MLflow: published, 3 models, http://127.0.0.1:5000/#/experiments/")
    again = call(run.path.parent, *words, "--take-over")
    assert "was published before, nothing changed" in again.stdout
    assert find_run(run.path.parent).read_json("mlflow.json")["tracking_uri"] == store
    unknown = call(run.path.parent, "publish", "2019")
    assert (unknown.returncode, "There is no run '2019'" in unknown.stderr) == (2, True)
    nobody = call(run.path.parent, "publish", "--tracking-uri", "http://127.0.0.1:9")
    assert nobody.returncode == 4
    assert "no server answers there" in nobody.stderr
