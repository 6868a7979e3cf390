"""The SQL door opens inwards only: nothing but reads of the views, whatever is asked, and within limits."""

import contextlib
import signal
import threading

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import immunocast.query as q
from immunocast.errors import ConfigError, ImmunocastError
from immunocast.query import watch
from immunocast.query.ask import answer, connect
from immunocast.query.guard import check
from immunocast.query.select import select
from immunocast.query.watch import Limits, QueryInterrupted, QueryLimitError, run_watched

WRITES = """
insert into cohort select * from cohort
update cohort set nlr = 1
delete from cohort
merge into cohort using metrics on true when matched then delete
truncate cohort
drop view cohort
drop schema main cascade
create table x (a int)
create table x as select * from cohort
create view x as select 1
create or replace view metrics as select 1
create macro f(a) as a
create function f() as table select 1
create type t as enum ('a')
create sequence s
create schema s
create secret s (type s3)
create temp table x as select 1
alter table cohort rename to x
comment on view cohort is 'x'
copy cohort to '{out}'
copy (select 1) to '{out}'
copy cohort from '{file}'
copy cohort to '{out}' (format parquet)
copy from database memory to x
export database '{out}'
import database '{folder}'
attach '{out}' as x
attach ':memory:' as x
attach 'https://example.org/x.db'
detach memory
use main
checkpoint
force checkpoint
vacuum
analyze
begin
begin transaction
commit
rollback
prepare v as select 1
execute v
deallocate v
call pragma_version()
call range(3)
pragma database_list
pragma version
pragma threads=4
pragma enable_profiling
pragma memory_limit='1TB'
set threads = 1
set enable_external_access = true
set global lock_configuration = false
set session memory_limit = '1TB'
set variable x = 1
reset threads
reset lock_configuration
install httpfs
force install httpfs from 'https://example.org'
load httpfs
load '{file}'
update extensions
with x as (insert into cohort select * from cohort returning *) select * from x
with x as (update cohort set nlr = 1 returning *) select * from x
with x as (delete from cohort returning *) select * from x
with x as (copy cohort to '{out}') select 1
with x as (copy (select 1) to '{out}' returning *) select * from x
with a as (select 1), b as materialized (copy cohort to '{out}') select * from a
select * from (with x as (copy cohort to '{out}') select 1)
select 1 where exists (with x as (copy cohort to '{out}') select 1)
explain analyze copy cohort to '{out}'
explain copy cohort to '{out}'
explain analyze with x as (copy cohort to '{out}') select 1
explain explain select 1
explain (format json) select 1
select 1; drop view cohort
select 1; select 2
select 1; copy cohort to '{out}'
; ; select 1; select 2
copy cohort to '{out}'; select 1
pivot cohort on tumor_type using count(*)
""".strip().splitlines()

READS = """
select * from read_csv('{file}')
select * from read_csv_auto('{file}')
select * from '{file}'
from '{file}'
select * from "{file}"
select * from main."{file}"
table '{file}'
select * from read_text('{file}')
select * from read_text('/etc/passwd')
select * from READ_TEXT('{file}')
select * from "read_text"('{file}')
select * from system.main.read_text('{file}')
select * from main.read_text('{file}')
select * from read_blob('{file}')
select * from sniff_csv('{file}')
select * from read_parquet('{parquet}')
select * from read_parquet(['{parquet}'])
select * from '{parquet}'
select * from '{folder}/*.parquet'
select * from '{folder}/link/metrics.parquet'
select * from parquet_scan('{parquet}')
select * from parquet_metadata('{parquet}')
select * from parquet_schema('{parquet}')
select * from parquet_kv_metadata('{parquet}')
select * from glob('{folder}/*')
select * from read_json('{file}')
select * from read_ndjson_objects('{file}')
select * from read_duckdb('{file}')
select * from read_xlsx('{file}')
select * from sqlite_scan('{file}', 'x')
select * from postgres_scan('', '', '')
select * from st_read('{file}')
select * from delta_scan('{folder}')
select * from iceberg_scan('{folder}')
with x as (select * from read_csv('{file}')) select * from x
with x as materialized (select * from read_text('{file}')) select 1 from x
select (select content from read_text('{file}'))
select * from cohort where patient_id in (select content from read_text('{file}'))
select * from cohort, lateral (select * from read_text('{file}'))
select 1 union all select 1 from read_text('{file}')
select * from cohort order by (select content from read_text('{file}'))
select * from cohort limit (select count(*) from read_text('{file}'))
explain analyze select * from read_csv('{file}')
explain select * from '{file}'
describe '{file}'
describe select * from '{file}'
summarize '{file}'
summarize select * from read_csv('{file}')
show tables from x
show databases
show variables
pivot '{file}' on a in (1) using count(*)
select * from read_csv('https://example.org/x.csv')
select * from 'https://example.org/x.parquet'
select * from read_text('s3://bucket/x')
select getenv('HOME')
select current_setting('home_directory')
select system.main.current_setting('secret_directory')
select getvariable('x')
select write_log('x')
select * from duckdb_secrets()
select * from which_secret('s3://x', 's3')
select * from duckdb_settings()
select * from duckdb_settings
select * from duckdb_databases()
select * from duckdb_logs
select * from duckdb_extensions()
select * from pragma_database_size()
select * from pragma_version()
select * from pg_catalog.pg_settings
select * from sqlite_master
select * from information_schema.schemata
select * from system.information_schema.tables
select * from temp.main.x
select * from query('select 1')
select * from query('copy cohort to ''{out}''')
select * from query_table('cohort')
select * from query_table('{file}')
select * from json_execute_serialized_sql(json_serialize_sql('select 1'))
select * from enable_logging('QueryLog', storage := 'file', storage_path := '{out}')
select * from enable_profiling(save_location := '{out}')
select * from create_external_resource('x')
select * from register_external_resource('x')
select * from checkpoint()
select * from force_checkpoint()
select * from truncate_duckdb_logs()
select * from arrow_scan(1, 2, 3)
select * from pandas_scan(1)
select * from python_map_function(1)
select * from seq_scan()
select * from test_all_types()
select * from summary(cohort)
select * from histogram(cohort, nlr)
select nextval('s')
select load_extension('x')
""".strip().splitlines()


@pytest.fixture(scope="module")
def parser():
    with connect(Limits()) as connection:
        yield connection


@pytest.fixture
def places(made, tmp_path):
    (tmp_path / "secret.csv").write_text("word\nswordfish\n")
    (tmp_path / "link").symlink_to(select(made)[0].path / "tables")
    parquet = select(made)[-1].table_path("cohort")
    return {"out": tmp_path / "out", "file": tmp_path / "secret.csv", "folder": tmp_path, "parquet": parquet}


VIEWS = ["runs", "cohort", "metrics"]


@pytest.mark.parametrize("statement", WRITES + READS)
def test_nothing_but_reads_of_the_views(parser, places, statement):
    with pytest.raises((ConfigError, duckdb.Error)) as error:
        check(parser, statement.format(**places), VIEWS)
    # what is refused is no read at all, or read as far as its names of tables and functions; a few can't be parsed
    assert isinstance(error.value, ConfigError) or "Parser Error" in str(error.value)


@pytest.mark.parametrize("statement", [*WRITES[::9], *READS[::9]])
def test_what_is_refused_leaves_no_trace(made, places, statement):
    run = select(made)[-1]
    before = run.digests()
    with pytest.raises(ConfigError) as error:
        q.sql(statement.format(**places), runs_dir=made, run="latest", timeout=10)
    assert "swordfish" not in str(error.value)
    assert not places["out"].exists()
    assert run.digests() == before


def test_duckdb_alone_would_not_open_a_file_either(places):
    """The second lock: what the guard would miss finds no file, no network, no setting."""
    with connect(Limits()) as connection:
        for statement in [*READS, *(w for w in WRITES if "copy" in w)]:
            if "summary(" in statement:  # DuckDB 2.0 never comes back from it
                continue
            with contextlib.suppress(duckdb.Error):
                rows = str(connection.execute(statement.format(**places)).fetchall())
                assert "swordfish" not in rows
                assert "root:" not in rows
            assert not places["out"].exists()


def test_settings_are_locked():
    with connect(Limits()) as connection:
        for name in ("enable_external_access = true", "lock_configuration = false", "memory_limit = '1TB'"):
            with pytest.raises(duckdb.Error):
                connection.execute(f"SET {name}")


def test_pythons_own_variables_are_no_tables(made):
    leak = pd.DataFrame({"a": [1]})
    for name in ("leak", "made", "statement", "TABLES", "connection"):
        with pytest.raises(ConfigError, match="does not exist"):
            q.sql(f"select * from {name}", runs_dir=made)
    with connect(Limits()) as connection, pytest.raises(duckdb.Error):
        connection.execute("select * from leak")
    assert len(leak) == 1


@pytest.mark.parametrize(("statement", "n"), [("", 0), ("  ", 0), ("-- nothing", 0), ("select 1; select 2", 2)])
def test_one_statement(made, statement, n):
    with pytest.raises(ConfigError, match=f"Give one SQL statement; there are {n}"):
        q.sql(statement, runs_dir=made)


@pytest.mark.parametrize(
    "statement",
    [
        "select " + "(" * 5_000 + "1" + ")" * 5_000,
        "select " + "1 + " * 5_000 + "1",
        "select " + "not " * 5_000 + "true",
        "select " + "[" * 900 + "1" + "]" * 900,
        "select 1 -- " + "x" * 200_000,
        "select 1\0; drop view cohort",
    ],
)
def test_shapes_that_exhaust_a_parser(made, statement):
    with contextlib.suppress(ConfigError, QueryLimitError):
        q.sql(statement, runs_dir=made, run="latest", timeout=5)


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from range(100000000000) a, range(100000) b where a.range < b.range",
        "with recursive x as (select 1 as a union all select a + 1 from x) select max(a) from x",
        "select count(*) from metrics a, metrics b, range(100000000000) d where a.estimate * d.range < b.estimate",
    ],
)
def test_too_long(made, statement):
    with pytest.raises(QueryLimitError, match=r"longer than 0.3 s \(--timeout\).*Ask for less"):
        q.sql(statement, runs_dir=made, timeout=0.3, memory_mb=8192)


@pytest.mark.parametrize(
    "statement",
    [
        "select string_agg(range::varchar, ',') from range(1000000000)",
        "select * from range(300000000)",
        "select range, random() from range(1000000000) order by random()",
    ],
)
def test_too_large(made, statement):
    with pytest.raises(QueryLimitError, match=r"more than 64 MiB \(--memory\)"):
        q.sql(statement, runs_dir=made, memory_mb=64)


def test_after_a_limit_the_next_query_answers(made):
    with pytest.raises(QueryLimitError):
        q.sql("select count(*) from range(100000000000) a, range(100000) b", runs_dir=made, timeout=0.2)
    assert len(q.sql("select * from runs", runs_dir=made)) == 3


class Deaf:
    """A connection that does not hear an interrupt."""

    heard = 0

    def interrupt(self):
        self.heard += 1


def test_what_does_not_stop_is_left_behind(monkeypatch):
    monkeypatch.setattr(watch, "_GRACE_S", 0.01)
    release, deaf = threading.Event(), Deaf()
    with pytest.raises(QueryLimitError) as stopped:
        run_watched(deaf, release.wait, Limits(seconds=0.1))
    release.set()
    assert stopped.value.running
    assert deaf.heard == 1


@pytest.mark.parametrize("hears", [True, False])
def test_ctrl_c_interrupts(monkeypatch, hears):
    release = threading.Event()

    class Connection:
        def interrupt(self):
            if hears:
                release.set()

    calls = iter([lambda: 0.0, lambda: signal.raise_signal(signal.SIGINT)])
    monkeypatch.setattr(watch, "_resident_mb", lambda: next(calls)())
    monkeypatch.setattr(watch, "_GRACE_S", 10 if hears else 0.01)
    with pytest.raises(QueryInterrupted) as stopped:
        run_watched(Connection(), release.wait, Limits())
    release.set()
    assert stopped.value.running is not hears


def test_an_error_of_the_query_is_handed_on():
    def fails():
        raise ZeroDivisionError("x")

    with pytest.raises(ZeroDivisionError):
        run_watched(Deaf(), fails, Limits())


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"timeout": float("nan")}, {"memory_mb": 1}])
def test_limits_that_are_none(made, limits):
    with pytest.raises(ConfigError, match=r"limit of .* is not possible"):
        q.sql("select 1", runs_dir=made, **limits)


PIECES = """
select * from cohort metrics with x as ( ) , ; ' " -- /* */ $$ copy to '/nowhere/out' read_text ('/etc/passwd') insert
into delete returning set attach union all where exists lateral describe 1 \\ run_id = é 😀 explain
"""
WORDS = st.sampled_from(sorted(PIECES.split()))


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=60))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_answered_or_refused(made, text):
    run = select(made)[-1:]
    with contextlib.suppress(ImmunocastError):
        assert "root:" not in str(answer(text, run, Limits(seconds=5, memory_mb=512)).slice(0, 5).to_pydict())


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


@given(name=NAMES | st.sampled_from(["RUNS", "metrics", "Metrics ", "metric"]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_names_of_views_are_tables(parser, name):
    """However a name is quoted, it is a view's or it is refused."""
    text = 'select * from "' + name.replace('"', '""') + '"'
    if name.lower() in VIEWS:
        assert check(parser, text, VIEWS) == [name.lower()]
    else:
        with pytest.raises(ConfigError, match="Views: runs, cohort, metrics"):
            check(parser, text, VIEWS)
