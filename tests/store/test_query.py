"""The SQL door opens inwards only: reads of a run's tables, nothing else, and words that help."""

import pandas as pd
import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import ConfigError, NotFoundError
from immunocast.store.query import describe, meaning, run_sql
from immunocast.store.runfolder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    tables = SyntheticCohort(n_patients=60, seed=1).load()
    folder.write_table("cohort", tables.cohort)
    folder.write_table("metrics", pd.DataFrame())
    return folder


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.csv"
    path.write_text("word\nswordfish\n")
    return path


def test_reads(run):
    found = run_sql(run, "select cohort_id, count(*) as n from cohort group by cohort_id order by cohort_id;")
    assert found["n"].tolist() == [20, 20, 20]
    assert run_sql(run, "with x as (select 1 as a) select a + 1 as b from x")["b"].tolist() == [2]
    assert len(run_sql(run, "describe metrics")) > 10
    assert not run_sql(run, "explain select * from cohort").empty
    assert run_sql(run, "show tables")["name"].tolist() == ["cohort", "metrics"]


def test_values_equal_the_table(run):
    found = run_sql(run, "select patient_id, nlr, responder from cohort order by patient_id")
    table = run.table("cohort").sort_values("patient_id", ignore_index=True)
    assert found["patient_id"].tolist() == table["patient_id"].tolist()
    assert found["nlr"].equals(table["nlr"])


def test_an_empty_table_answers(run):
    assert run_sql(run, "select * from metrics").shape[0] == 0
    assert run_sql(run, "select count(*) as n from metrics")["n"].tolist() == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into cohort select * from cohort",
        "update cohort set nlr = 1",
        "delete from cohort",
        "drop view cohort",
        "create table x (a int)",
        "create table x as select * from cohort",
        "copy cohort to '{out}'",
        "copy (select 1) to '{out}'",
        "export database '{out}'",
        "attach '{out}' as x",
        "pragma database_list",
        "set threads = 1",
        "set enable_external_access = true",
        "reset threads",
        "install httpfs",
        "load httpfs",
        "call pragma_version()",
        "checkpoint",
        "vacuum",
        "begin",
        "use main",
        "prepare v as select 1",
        "detach memory",
        "alter table cohort rename to x",
        "select * from read_csv('{file}')",
        "select * from read_csv_auto('{file}')",
        "select * from '{file}'",
        "select * from read_text('{file}')",
        "select * from read_blob('{file}')",
        "select * from sniff_csv('{file}')",
        "select * from read_parquet('{parquet}')",
        "select * from '{parquet}'",
        "select * from parquet_scan('{parquet}')",
        "select * from glob('{folder}/*')",
        "select * from read_json('{file}')",
        "from '{file}'",
        "with x as (select * from read_csv('{file}')) select * from x",
        "explain analyze copy cohort to '{out}'",
        "explain analyze select * from read_csv('{file}')",
        "select * from read_csv('https://example.org/x.csv')",
        "select getenv('HOME')",
        "summarize '{file}'",
    ],
)
def test_nothing_else_is_possible(run, secret, tmp_path, statement):
    out = tmp_path / "out"
    before = run.digests()
    text = statement.format(out=out, file=secret, folder=tmp_path, parquet=run.table_path("cohort"))
    with pytest.raises(ConfigError) as error:
        run_sql(run, text)
    assert "swordfish" not in str(error.value)
    assert not out.exists()
    assert run.digests() == before


def test_pythons_own_variables_are_no_tables(run):
    leak = pd.DataFrame({"a": [1]})
    for name in ("leak", "run", "statement", "TABLES", "connection"):
        with pytest.raises(ConfigError, match="does not exist"):
            run_sql(run, f"select * from {name}")
    assert len(leak) == 1


@pytest.mark.parametrize(("statement", "n"), [("", 0), ("  ", 0), ("-- nothing", 0), ("select 1; select 2", 2)])
def test_one_statement(run, statement, n):
    with pytest.raises(ConfigError, match=f"Give one SQL statement; there are {n}"):
        run_sql(run, statement)


def test_two_statements_cannot_hide_a_write(run):
    with pytest.raises(ConfigError, match="there are 2"):
        run_sql(run, "select 1; drop view cohort")
    assert run_sql(run, "select 1 as a")["a"].tolist() == [1]


def test_mistakes_are_answered_with_help(run):
    with pytest.raises(ConfigError, match=r'"nlrr" not found(.|\n)*"nlr"(.|\n)*Tables of this run: cohort, metrics'):
        run_sql(run, "select nlrr from cohort")
    with pytest.raises(ConfigError, match=r"metric does not exist(.|\n)*Tables of this run"):
        run_sql(run, "select * from metric")
    with pytest.raises(ConfigError, match="Parser Error"):
        run_sql(run, "selec 1")


def test_describe(run):
    assert describe(run)[["table", "rows"]].to_numpy().tolist() == [["cohort", 60], ["metrics", 0]]
    columns = describe(run, "cohort").set_index("column")
    assert columns.loc["nlr", "meaning"].startswith("Neutrophil-to-lymphocyte ratio")
    assert columns.loc["albumin_g_dl", "meaning"] == "Albumin in serum. Unit: g/dL."
    assert meaning("cohort", "nlr_measured").startswith("0 where whoever published")
    assert meaning("shap", "nlr") == "SHAP value of NLR"
    assert (columns["meaning"] != "").all()
    assert (describe(run, "metrics")["meaning"] != "").all()
    with pytest.raises(NotFoundError, match="no table 'x'"):
        describe(run, "x")
    with pytest.raises(NotFoundError, match="has not run"):
        describe(run, "shap")
