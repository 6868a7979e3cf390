"""One table over all runs: united by name, and only the runs that are asked for are read."""

import pandas as pd
import pytest
from tests.query.conftest import MID, NEW, OLD, make_run, metrics

import immunocast.query as q
from immunocast.errors import ConfigError, NotFoundError


@pytest.fixture
def sql(made):
    return lambda statement, **kw: q.sql(statement, runs_dir=made, **kw)


def test_every_table_has_the_runs_id(sql):
    for table, runs in (("metrics", 3), ("cohort", 3), ("importance", 3), ("spectra", 1), ("runs", 3)):
        assert sql(f"select count(distinct run_id) as n from {table}")["n"].tolist() == [runs], table
    assert sql("select * from metrics limit 1").columns[0] == "run_id"


def test_runs_of_other_versions_are_united_by_name(sql):
    found = sql("select run_id, count(nlr) as nlr, count(retired) as retired from cohort group by 1 order by 1")
    assert found["run_id"].tolist() == [OLD, MID, NEW]
    assert found["nlr"].tolist()[0] == 0
    assert found["nlr"].tolist()[1] > 0
    assert found["retired"].tolist() == [60, 0, 0]
    kinds = sql("select run_id, count(kind) as n from importance group by 1 order by 1")
    assert kinds["n"].tolist() == [0, 12, 12]


def test_whole_numbers_and_fractions_are_one_column(sql, made):
    whole = sql("select run_id, sum(age_years) as s from cohort group by 1 order by 1")
    for run_id, total in zip(whole["run_id"], whole["s"], strict=True):
        ages = pd.read_parquet(made / run_id / "tables/cohort.parquet")["age_years"].astype(float)
        assert total == pytest.approx(ages.sum())


def test_the_overview_is_what_runs_gives(sql, made):
    found = sql("select * from runs order by run_id")
    pd.testing.assert_frame_equal(found, q.runs(made), check_dtype=False)
    assert found["auroc"].tolist() == [0.6, 0.7, 0.8]
    assert found["n_patients"].tolist() == [60, 60, 60]
    assert str(found["created"].iloc[0]) == "2026-01-01 00:00:00"


def test_values_equal_the_table(sql, made):
    found = sql(f"select patient_id, nlr, responder from cohort where run_id = '{MID}' order by patient_id")
    table = pd.read_parquet(made / MID / "tables/cohort.parquet").sort_values("patient_id", ignore_index=True)
    assert found["patient_id"].tolist() == table["patient_id"].tolist()
    assert found["nlr"].equals(table["nlr"])


def test_which_runs(sql):
    asked = "select distinct run_id from metrics order by 1"
    assert sql(asked, run="latest")["run_id"].tolist() == [NEW]
    assert sql(asked, run=["20260102", "20260101"])["run_id"].tolist() == [OLD, MID]
    assert sql(asked, since="2026-01-02")["run_id"].tolist() == [MID, NEW]
    assert sql(asked, since=pd.Timestamp("2026-01-02 00:00:01"))["run_id"].tolist() == [NEW]
    assert sql(asked, since=pd.Timestamp("2026-01-03").date())["run_id"].tolist() == [NEW]
    assert sql(asked, cohort="site-0")["run_id"].tolist() == [MID, NEW]
    assert sql(asked, cohort=["old", "site"])["run_id"].tolist() == [OLD, MID, NEW]
    assert sql(asked, cohort="site", since="2026-01-03")["run_id"].tolist() == [NEW]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"run": "2027"}, "There is no run '2027'"),
        ({"run": "2026"}, "3 runs start with '2026'"),
        ({"since": "2026-02-01"}, "the newest is of 2026-01-03"),
        ({"since": "yesterday"}, "'yesterday' is no date"),
        ({"cohort": "site-9"}, "Cohorts: old, old-0, site, site-0"),
    ],
)
def test_a_choice_that_is_not_there(sql, choice, says):
    with pytest.raises((NotFoundError, ConfigError), match=says):
        sql("select 1", **choice)


def test_no_runs_at_all(tmp_path):
    with pytest.raises(NotFoundError, match="make run"):
        q.sql("select 1", runs_dir=tmp_path)


def test_the_folder_comes_from_the_environment(made, monkeypatch):
    monkeypatch.setenv("IMMUNOCAST_RUNS", str(made))
    assert len(q.sql("select * from runs")) == 3


@pytest.fixture
def broken(tmp_path):
    """Two runs, the file of the first one damaged."""
    for i, run_id in enumerate((OLD, NEW)):
        make_run(tmp_path, run_id, {"metrics": metrics(0.5 + i / 10)})
    (tmp_path / OLD / "tables/metrics.parquet").write_bytes(b"PAR1 no longer a table PAR1")
    return tmp_path


@pytest.mark.parametrize(
    "condition",
    [
        f"run_id = '{NEW}'",
        f"run_id in ('{NEW}', 'x')",
        f"run_id > '{MID}' and metric = 'auroc'",
        f"run_id <> '{OLD}'",
        f"run_id = '{NEW}' or run_id = '{MID}'",
    ],
)
def test_a_condition_on_the_run_reads_only_its_file(broken, condition):
    found = q.sql(f"select estimate from metrics where {condition}", runs_dir=broken)
    assert found["estimate"].tolist() == [0.6, 0.6]


def test_so_does_the_choice_of_runs(broken):
    for choice in ({"run": "latest"}, {"since": "2026-01-03"}):
        assert len(q.sql("select * from metrics", runs_dir=broken, **choice)) == 2


def test_a_damaged_file_is_told_where_it_is_asked_for(broken):
    with pytest.raises(ConfigError, match=f"(?s){OLD}.*Views"):
        q.sql("select * from metrics", runs_dir=broken)


def test_a_damaged_manifest_is_told(tmp_path):
    run = make_run(tmp_path, NEW, {"metrics": metrics(0.5)})
    (run.path / "manifest.json").write_text("{")
    assert len(q.sql("select * from metrics", runs_dir=tmp_path)) == 2
    with pytest.raises(NotFoundError, match=f"manifest of run {NEW}"):
        q.sql("select * from runs", runs_dir=tmp_path)


def test_kinds_that_cannot_be_one_column_are_told(tmp_path):
    make_run(tmp_path, OLD, {"metrics": metrics(0.5).assign(note=1)})
    make_run(tmp_path, NEW, {"metrics": metrics(0.5)})
    with pytest.raises(ConfigError, match=f"Column note .* is int64 in run {OLD} and .*string in run {NEW}"):
        q.sql("select * from metrics", runs_dir=tmp_path)
    assert q.sql("select note from metrics", runs_dir=tmp_path, run=OLD)["note"].tolist() == [1, 1]


def test_a_link_out_of_a_run_is_not_followed(tmp_path):
    run = make_run(tmp_path / "runs", NEW, {"metrics": metrics(0.5)})
    (tmp_path / "other").mkdir()
    metrics(0.9).to_parquet(tmp_path / "other/curves.parquet")
    run.table_path("curves").symlink_to(tmp_path / "other/curves.parquet")
    with pytest.raises(ConfigError, match="link out of its run folder"):
        q.sql("select * from curves", runs_dir=tmp_path / "runs")
    run.table_path("curves").unlink()
    run.table_path("curves").symlink_to("metrics.parquet")
    assert len(q.sql("select * from curves", runs_dir=tmp_path / "runs")) == 2


def test_names_of_files_become_no_sql(tmp_path):
    run = make_run(tmp_path, NEW, {"metrics": metrics(0.5)})
    for name in ('x"; drop view metrics; --', "a b", "Upper", "1st", "select"):
        metrics(0.5).to_parquet(run.path / "tables" / f"{name}.parquet")
    assert q.sql("show tables", runs_dir=tmp_path)["name"].tolist() == ["metrics", "runs", "select"]
    assert len(q.sql('from "select"', runs_dir=tmp_path)) == 2


def test_a_run_id_with_quotes_is_a_value(tmp_path):
    odd = "20260101T000000000Z-o'neil\"-%_000001"
    make_run(tmp_path, odd, {"metrics": metrics(0.5)})
    assert q.sql("select run_id from metrics", runs_dir=tmp_path)["run_id"].tolist() == [odd, odd]
    assert len(q.sql("select 1 from metrics where run_id = '" + odd.replace("'", "''") + "'", runs_dir=tmp_path)) == 2


def test_answers_have_unique_columns_and_plain_numbers(sql):
    joined = "runs a join runs b using (run_id)"
    found = sql(f"select a.run_id, b.run_id, sum(a.events) as s, sum(1.5) as d from {joined} group by all")
    assert found.columns.tolist() == ["run_id", "run_id_2", "s", "d"]
    assert str(found["s"].dtype) == "int64"
    assert str(found["d"].dtype) == "float64"
    big = sql("select 170141183460469231731687303715884105727::hugeint as h, date '2026-01-01' as day, null as nothing")
    assert big["h"].iloc[0] == pytest.approx(1.7014e38, rel=1e-4)
    assert big["day"].iloc[0] == pd.Timestamp("2026-01-01")


@pytest.mark.parametrize(
    "statement",
    [
        "select 1 as a",
        "  SELECT 1;",
        "select 1 -- a comment",
        "/* first */ select 1 /* then */",
        "with x as (select 1 as a) select a + 1 from x",
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n) from t",
        "from metrics select count(*)",
        "(select 1) union all (select 2)",
        "values (1), (2)",
        "describe metrics",
        "show tables",
        "show all tables",
        "summarize runs",
        "explain select * from metrics",
        "explain analyze select * from metrics",
        "select * from information_schema.columns limit 1",
        "select * from main.metrics limit 1",
        'select * from "METRICS" limit 1',
        "select model, rank() over (partition by run_id order by estimate) from metrics",
        "select * from metrics a join importance b using (run_id, model) limit 1",
        "pivot metrics on model in ('ridge', 'forest') using avg(estimate) group by run_id",
        "unpivot (select n_patients, events from runs) on n_patients, events",
        "select i from range(3) t(i)",
        "select unnest([1, 2])",
        "select list_transform([1, 2], lambda x: x + 1)",
        "select regexp_extract(run_id, '[a-z]+'), strftime(created, '%Y') from runs",
        "select (select max(estimate) from metrics)",
        "select * exclude (note) from metrics using sample 50%",
        "select quantile_cont(estimate, 0.5), corr(estimate, ci_low) from metrics",
        "select 'copy metrics to ''x''' as words, 'read_csv(''/etc/passwd'')' as more",
    ],
)
def test_reads_of_all_kinds(sql, statement):
    assert len(sql(statement)) > 0 or "sample" in statement


def test_mistakes_are_answered_with_help(sql):
    with pytest.raises(ConfigError, match=r'"nlrr" not found(.|\n)*"nlr"(.|\n)*Views: runs, cohort, metrics'):
        sql("select nlrr from cohort")
    with pytest.raises(ConfigError, match=r"'metric' does not exist. Did you mean metrics\? Views: runs, cohort"):
        sql("select * from metric")
    with pytest.raises(ConfigError, match="Parser Error"):
        sql("selec 1")
