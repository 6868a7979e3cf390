"""Fetching from a server on this machine that misbehaves in every way that servers and disks do."""

import contextlib
import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import openpyxl
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunocast.cohort.download import Downloader, LfsPointerError, download
from immunocast.cohort.fetch import fetch_cohort
from immunocast.cohort.registry import REGISTRY_VARIABLE, load_registry, locate
from immunocast.cohort.tabular import TabularCohort
from immunocast.errors import ConfigError, DataError, FetchError, NotFoundError

DATA = b"patient_id,tmb_mut_mb,responder\n" + b"".join(b"P%d,%d.5,%d\n" % (i, i % 40, i % 2) for i in range(9000))
SHA = hashlib.sha256(DATA).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize {len(DATA)}\n".encode()


class Server(http.server.ThreadingHTTPServer):
    """Answers a path with what a test put there: bytes, or a function of the request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = {}
        self.asked = []
        self.stopped = threading.Event()

    def address(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        """A client that hangs up is part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.close_connection = True
        self.server.asked.append((self.path, self.headers.get("Range")))
        page = self.server.pages.get(self.path)
        if callable(page):
            page(self)
        else:
            self.answer(200 if page is not None else 404, page or b"not here")

    def answer(self, status, body, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def quick():
    return Downloader(timeout=5, retries=2, pause=0)


def nothing_half(folder):
    """Names of what a failed download left behind, apart from what a later one can resume."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


# -- one file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [SHA, None])
def test_a_file_comes_whole_under_its_name(server, quick, tmp_path, known):
    server.pages["/a.csv"] = DATA
    assert download(server.address("/a.csv"), tmp_path / "deep/er/a.csv", known, quick) == SHA
    assert (tmp_path / "deep/er/a.csv").read_bytes() == DATA
    assert [p.name for p in (tmp_path / "deep/er").iterdir()] == ["a.csv"]


def test_a_file_that_is_there_with_the_digest_is_not_asked_for(server, quick, tmp_path):
    (tmp_path / "a.csv").write_bytes(DATA)
    assert download(server.address("/a.csv"), tmp_path / "a.csv", SHA, quick) == SHA
    assert server.asked == []


def test_a_wrong_checksum_names_both_digests_and_leaves_nothing(server, quick, tmp_path):
    server.pages["/a.csv"] = DATA + b"x"
    got = hashlib.sha256(DATA + b"x").hexdigest()
    with pytest.raises(FetchError, match=f"expected {SHA}, got {got}") as caught:
        download(server.address("/a.csv"), tmp_path / "a.csv", SHA, quick)
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_replaced_only_by_the_right_one(server, quick, tmp_path):
    target = tmp_path / "a.csv"
    target.write_bytes(b"damaged")
    server.pages["/a.csv"] = DATA + b"x"
    with pytest.raises(FetchError):
        download(server.address("/a.csv"), target, SHA, quick)
    assert target.read_bytes() == b"damaged"
    server.pages["/a.csv"] = DATA
    download(server.address("/a.csv"), target, SHA, quick)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("status", "said", "attempts"),
    [
        (404, "there is no such file", 1),
        (403, "refuses access", 1),
        (401, "login", 1),
        (410, "taken away", 1),
        (418, "HTTP 418", 1),
        (503, r"HTTP 503.*3 attempts", 3),
        (429, r"HTTP 429.*3 attempts", 3),
    ],
)
def test_a_status_is_said_in_words_and_only_passing_ones_are_tried_again(
    server, quick, tmp_path, status, said, attempts
):
    server.pages["/a.csv"] = lambda h: h.answer(status, b"no")
    with pytest.raises(FetchError, match=said) as caught:
        download(server.address("/a.csv"), tmp_path / "a.csv", None, quick)
    assert caught.value.status == status
    assert "/a.csv" in str(caught.value)
    assert len(server.asked) == attempts
    assert nothing_half(tmp_path) == []


def test_trouble_that_passes_is_survived(server, quick, tmp_path):
    answers = iter([lambda h: h.answer(503, b""), lambda h: h.answer(200, DATA)])
    server.pages["/a.csv"] = lambda h: next(answers)(h)
    assert download(server.address("/a.csv"), tmp_path / "a.csv", None, quick) == SHA


def test_truncation_is_noticed_and_never_becomes_the_file(server, quick, tmp_path):
    server.pages["/a.csv"] = lambda h: h.answer(200, DATA[:1000], length=len(DATA))
    with pytest.raises(FetchError, match=r"truncated.*3 attempts"):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, quick)
    assert nothing_half(tmp_path) == []


def resuming(handler, data=None, upto=None, etag='"v1"'):
    """A server that knows ranges, and hangs up after `upto` bytes of each answer."""
    data = DATA if data is None else data
    begin = 0
    if handler.headers.get("Range") and handler.headers.get("If-Range") == etag:
        begin = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
    rest = data[begin:]
    more = {"Content_Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
    handler.answer(206 if begin else 200, rest[:upto], length=len(rest), ETag=etag, **more)


def test_a_lost_connection_is_resumed_where_it_ended(server, tmp_path):
    server.pages["/a.csv"] = lambda h: resuming(h, upto=40_000)
    assert download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 5, 0)) == SHA
    begins = [r for _, r in server.asked]
    assert begins[:3] == [None, "bytes=40000-", "bytes=80000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_a_later_call_resumes_what_an_earlier_one_left(server, tmp_path):
    server.pages["/a.csv"] = lambda h: resuming(h, upto=40_000)
    with pytest.raises(FetchError, match="truncated"):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0))
    assert nothing_half(tmp_path) == []
    server.pages["/a.csv"] = resuming
    assert download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0)) == SHA
    assert server.asked[-1][1] == "bytes=40000-"


def test_two_versions_of_a_file_are_never_stitched_together(server, tmp_path):
    server.pages["/a.csv"] = lambda h: resuming(h, upto=40_000)
    with pytest.raises(FetchError):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0))
    newer = DATA.replace(b"P1,", b"Q1,")
    server.pages["/a.csv"] = lambda h: resuming(h, data=newer, etag='"v2"')
    download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0))
    assert (tmp_path / "a.csv").read_bytes() == newer


def test_without_a_validator_a_download_begins_anew(server, tmp_path):
    server.pages["/a.csv"] = lambda h: h.answer(200, DATA[:1000], length=len(DATA))
    with pytest.raises(FetchError):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0))
    server.pages["/a.csv"] = DATA
    assert download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0)) == SHA
    assert server.asked[-1][1] is None


@pytest.mark.parametrize("odd", [416, "elsewhere"])
def test_a_server_that_resumes_wrongly_is_asked_for_the_whole(server, quick, tmp_path, odd):
    server.pages["/a.csv"] = lambda h: resuming(h, upto=40_000)
    with pytest.raises(FetchError):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 0, 0))

    def wrongly(handler):
        if not handler.headers.get("Range"):
            return handler.answer(200, DATA)
        if odd == 416:
            return handler.answer(416, b"")
        return handler.answer(206, DATA[7:], Content_Range=f"bytes 7-{len(DATA) - 1}/{len(DATA)}")

    server.pages["/a.csv"] = wrongly
    assert download(server.address("/a.csv"), tmp_path / "a.csv", None, quick) == SHA


def test_a_server_that_says_nothing_is_left_after_the_timeout(server, tmp_path):
    server.pages["/a.csv"] = lambda h: server.stopped.wait(20)
    with pytest.raises(FetchError, match=r"no byte came for 0.2 seconds \(time-out\)"):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(0.2, 0, 0))


def test_a_server_that_drips_is_left_after_the_timeout(server, tmp_path):
    def drip(handler):
        handler.answer(200, b"", length=len(DATA))
        with contextlib.suppress(OSError):
            while not server.stopped.is_set():
                handler.wfile.write(b"a")
                time.sleep(0.02)

    server.pages["/a.csv"] = drip
    with pytest.raises(FetchError, match="less than 1 KiB/s"):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(0.3, 0, 0))
    assert nothing_half(tmp_path) == []


def test_no_network_is_said_so(quick, tmp_path, monkeypatch):
    def nobody(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(FetchError, match="no network, or a mistake in the address"):
        download("http://nowhere.invalid/a.csv", tmp_path / "a.csv", None, quick)


def test_a_host_that_refuses_is_said_so(quick, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match="refuses the connection"):
        download(f"http://127.0.0.1:{port}/a.csv", tmp_path / "a.csv", None, quick)


@pytest.mark.parametrize("url", ["http://[::1/a.csv", "http:///a.csv", "http://127.0.0.1:99999/a.csv"])
def test_an_address_that_is_none_is_refused(url, quick, tmp_path):
    with pytest.raises((FetchError, ConfigError), match="address"):
        download(url, tmp_path / "a.csv", None, quick)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE html><html><title>Log in</title>", "web page"),
        (b"\xef\xbb\xbf  <html>", "web page"),
        (POINTER, "git-LFS pointer"),
        (b"", "empty"),
    ],
)
def test_what_is_no_data_is_refused(server, quick, tmp_path, body, said):
    server.pages["/a.csv"] = lambda h: h.answer(200, body)
    with pytest.raises(FetchError, match=said):
        download(server.address("/a.csv"), tmp_path / "a.csv", None, quick)
    assert list(tmp_path.iterdir()) == []


def test_a_pointer_tells_digest_and_size(server, quick, tmp_path):
    server.pages["/a.csv"] = POINTER
    with pytest.raises(LfsPointerError) as caught:
        download(server.address("/a.csv"), tmp_path / "a.csv", None, quick)
    assert (caught.value.sha256, caught.value.size) == (SHA, len(DATA))


def test_file_addresses_work_and_other_kinds_are_refused(quick, tmp_path):
    source = tmp_path / "a source.csv"
    source.write_bytes(DATA)
    assert download(source.as_uri(), tmp_path / "to/a.csv", SHA, quick) == SHA
    with pytest.raises(FetchError, match="No such file"):
        download((tmp_path / "absent.csv").as_uri(), tmp_path / "b.csv", None, quick)
    with pytest.raises(ConfigError, match="https://"):
        download("ftp://example.org/a.csv", tmp_path / "b.csv", None, quick)


def test_a_second_fetch_of_the_same_file_waits_for_nobody(server, quick, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    server.pages["/a.csv"] = DATA
    with (tmp_path / ".a.csv.part.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match=r"Another process is fetching a\.csv"):
            download(server.address("/a.csv"), tmp_path / "a.csv", None, quick)


def test_progress_counts_every_byte_also_of_a_resumed_file(server, tmp_path):
    class Bar:
        def __init__(self):
            self.calls = []

        def start(self, name, total, done):
            self.calls.append((name, total, done))

        def advance(self, n):
            self.calls.append(n)

        def stop(self):
            self.calls.append("stop")

    bar = Bar()
    server.pages["/a.csv"] = lambda h: resuming(h, upto=100_000)
    download(server.address("/a.csv"), tmp_path / "a.csv", None, Downloader(5, 3, 0, bar))
    assert ("a.csv", len(DATA), 0) in bar.calls
    assert ("a.csv", len(DATA), 100_000) in bar.calls
    assert sum(c for c in bar.calls if isinstance(c, int)) == len(DATA)
    assert bar.calls[-1] == "stop"


# -- no space ---------------------------------------------------------------------------------------------------


def test_no_space_is_seen_before_the_first_byte(server, quick, tmp_path):
    server.pages["/a.csv"] = lambda h: h.answer(200, DATA[:10], length=10**15)
    with pytest.raises(FetchError, match=r"No space for a\.csv.*Make room") as caught:
        download(server.address("/a.csv"), tmp_path / "a.csv", None, quick)
    assert "1,000,000,000,000,000 bytes are needed" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_is_said_and_cleared(server, tmp_path):
    """A limit on the size of files stands in for a full disk: the write fails in the middle."""
    server.pages["/a.csv"] = DATA
    code = f"""
        import resource, pathlib
        from immunocast.cohort.download import Downloader, download
        from immunocast.errors import FetchError
        import pooch, requests
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            download({server.address("/a.csv")!r}, pathlib.Path({str(tmp_path / "a.csv")!r}), None, Downloader(5, 0, 0))
        except FetchError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "No space for a.csv" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount")
def test_a_full_disk(server, quick, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this container may not mount a small disk")
    try:

        def no_length(handler):
            handler.send_response(200)
            handler.end_headers()
            with contextlib.suppress(OSError):
                handler.wfile.write(DATA)

        server.pages["/a.csv"] = no_length
        with pytest.raises(FetchError, match="No space"):
            download(server.address("/a.csv"), disk / "a.csv", None, quick)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# -- cohorts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """A registry whose addresses are the server's; fetched files go to a cache of the test."""
    monkeypatch.setenv("IMMUNOCAST_CACHE", str(tmp_path / "cache"))
    content = {
        "version": 1,
        "cohorts": {
            "plain": {
                "title": "A plain file",
                "config": "plain",
                "patients": 9000,
                "licence": "CC0",
                "citation": "Nobody 2026",
                "caveats": ["made up"],
                "files": [
                    {
                        "path": "cohorts/plain/cohort.csv",
                        "tested_sha256": SHA,
                        "origins": [{"address": server.address("/a.csv"), "sha256": SHA}],
                    }
                ],
            },
            "unknown_digest": {
                "title": "No digest is known",
                "files": [{"path": "cohorts/u/cohort.csv", "origins": [{"address": server.address("/u.csv")}]}],
            },
            "sheet": {
                "title": "A sheet of a workbook",
                "files": [
                    {
                        "path": "cohorts/sheet/cohort.csv",
                        "origins": [{"address": server.address("/book.xlsx")}],
                        "made": {"table": "Clinical"},
                    }
                ],
            },
            "by_hand": {
                "title": "Made by hand",
                "files": [
                    {
                        "path": "cohorts/hand/cohort.csv",
                        "origins": [{"address": server.address(p)} for p in ("/a.csv", "/u.csv")],
                        "made": {"by_hand": "join them"},
                    }
                ],
            },
        },
        "cbioportal": {
            "path": "cbioportal/{study}",
            "raw": server.address("/raw/{study}/{file}"),
            "media": server.address("/media/{study}/{file}"),
            "optional": ["meta_clinical_patient.txt", "meta_clinical_sample.txt", "case_lists/cases_all.txt"],
        },
    }
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv(REGISTRY_VARIABLE, str(path))
    server.pages |= {"/a.csv": DATA, "/u.csv": b"ID,R\nA,1\n"}
    return load_registry()


def test_a_cohort_is_fetched_into_the_cache_and_then_loads_by_its_path(registry, quick, tmp_path):
    entry = registry.entry("plain")
    assert entry.where(tmp_path / "data") == "not here"
    (done,) = fetch_cohort(entry, tmp_path / "data", quick)
    assert done.outcome == "fetched"
    assert "the very file with which the mapping was tested" in done.message
    assert entry.where(tmp_path / "data") == "cached"
    cohort = TabularCohort(
        name="plain", file="cohorts/plain/cohort.csv", data_dir=tmp_path / "data", vocabulary_names=True
    )
    assert len(cohort.load().cohort) == 9000
    (again,) = fetch_cohort(entry, tmp_path / "data", quick)
    assert again.outcome == "there"


def test_a_local_copy_stands_in_and_is_left_alone(registry, quick, server, tmp_path):
    path = tmp_path / "data/cohorts/plain/cohort.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"patient_id,responder\nX,1\n")
    entry = registry.entry("plain")
    assert entry.where(tmp_path / "data") == "local"
    (done,) = fetch_cohort(entry, tmp_path / "data", quick)
    assert (done.outcome, done.path) == ("there", path)
    assert "not the copy with which the mapping was tested" in done.message
    assert server.asked == []
    assert locate(tmp_path / "data", "cohorts/plain/cohort.csv") == path


def test_the_first_download_is_recorded_and_a_changed_one_refused(registry, quick, server, tmp_path):
    entry = registry.entry("unknown_digest")
    (first,) = fetch_cohort(entry, tmp_path / "data", quick)
    note = first.path.with_name("cohort.csv.sha256")
    checked = subprocess.run(
        ["sha256sum", "-c", note.name], cwd=note.parent, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0
    first.path.unlink()
    server.pages["/u.csv"] = b"ID,R\nA,0\n"
    (second,) = fetch_cohort(entry, tmp_path / "data", quick)
    assert second.outcome == "failed"
    assert first.sha256 in second.message
    assert not first.path.exists()


def test_a_fetched_file_that_was_damaged_is_fetched_again(registry, quick, tmp_path):
    (first,) = fetch_cohort(registry.entry("plain"), tmp_path / "data", quick)
    first.path.write_bytes(b"damaged")
    (second,) = fetch_cohort(registry.entry("plain"), tmp_path / "data", quick)
    assert second.outcome == "fetched"
    assert first.path.read_bytes() == DATA


def test_a_sheet_is_written_as_the_table_that_the_mapping_reads(registry, quick, server, tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("Clinical")
    for row in (["PtID", "PFS", "BCOR"], [318, 1.412731006, "."], ["N,1", 2, "PR"]):
        sheet.append(row)
    book.save(tmp_path / "book.xlsx")
    server.pages["/book.xlsx"] = (tmp_path / "book.xlsx").read_bytes()
    (done,) = fetch_cohort(registry.entry("sheet"), tmp_path / "data", quick)
    assert done.outcome == "made"
    assert done.path.read_text() == 'PtID,PFS,BCOR\n318,1.412731006,.\n"N,1",2,PR\n'


def test_what_must_be_made_by_hand_gets_its_origins_and_the_words(registry, quick, tmp_path):
    (done,) = fetch_cohort(registry.entry("by_hand"), tmp_path / "data", quick, tmp_path / "to")
    assert done.outcome == "by hand"
    assert "join them" in done.message
    assert sorted(p.name for p in (tmp_path / "to/cohorts/hand/origin").glob("*.csv")) == ["a.csv", "u.csv"]
    assert registry.entry("by_hand").where(tmp_path / "to") == "not here"


def test_one_failure_does_not_stop_the_others(registry, quick, server, tmp_path):
    del server.pages["/a.csv"]
    assert [f.outcome for f in fetch_cohort(registry.entry("plain"), tmp_path / "data", quick)] == ["failed"]


def test_a_missing_public_file_says_how_to_get_it(registry, tmp_path):
    cohort = TabularCohort(file="cohorts/plain/cohort.csv", data_dir=tmp_path / "data", vocabulary_names=True)
    with pytest.raises(DataError, match="immunocast cohorts fetch plain"):
        cohort.load()


def study(server, name="any_2020"):
    """A study whose sample file lies behind a git-LFS pointer."""
    pages = {
        "meta_study.txt": b"cancer_study_identifier: any_2020\n",
        "meta_clinical_patient.txt": b"datatype: PATIENT_ATTRIBUTES\ndata_filename: data_clinical_patient.txt\n",
        "meta_clinical_sample.txt": b"datatype: SAMPLE_ATTRIBUTES\ndata_filename: data_clinical_sample.txt",
        "data_clinical_patient.txt": b"PATIENT_ID\nA\n",
        "data_clinical_sample.txt": POINTER,
    }
    server.pages |= {f"/raw/{name}/{k}": v for k, v in pages.items()}
    server.pages[f"/media/{name}/data_clinical_sample.txt"] = DATA


def test_any_study_is_fetched_and_its_pointers_are_followed(registry, quick, server, tmp_path):
    study(server)
    entry = registry.entry("cbioportal:any_2020")
    done = fetch_cohort(entry, tmp_path / "data", quick)
    folder = tmp_path / "cache/cbioportal/any_2020"
    assert {f.outcome for f in done} == {"fetched"}
    assert (folder / "data_clinical_sample.txt").read_bytes() == DATA
    assert sorted(p.name for p in folder.iterdir()) == [
        "data_clinical_patient.txt",
        "data_clinical_sample.txt",
        "meta_clinical_patient.txt",
        "meta_clinical_sample.txt",
        "meta_study.txt",
    ]
    assert entry.where(tmp_path / "data") == "cached"
    assert {f.outcome for f in fetch_cohort(entry, tmp_path / "data", quick)} == {"there"}


def test_data_behind_a_pointer_must_have_its_digest(registry, quick, server, tmp_path):
    study(server)
    server.pages["/media/any_2020/data_clinical_sample.txt"] = DATA[:-1]
    done = fetch_cohort(registry.entry("cbioportal:any_2020"), tmp_path / "data", quick)
    (failed,) = [f for f in done if f.outcome == "failed"]
    assert SHA in failed.message
    assert failed.path.name == "data_clinical_sample.txt"


def test_a_meta_file_cannot_lead_out_of_the_study(registry, quick, server, tmp_path):
    study(server)
    for outside in (b"../../../../etc/passwd", b"/etc/passwd", b"C:\\x", b"a\\..\\b"):
        server.pages["/raw/any_2020/meta_clinical_patient.txt"] = b"data_filename: " + outside
        done = fetch_cohort(registry.entry("cbioportal:any_2020"), tmp_path / "data", quick, tmp_path / outside.hex())
        assert [f.outcome for f in done].count("failed") == 1
        assert not any("passwd" in path for path, _ in server.asked)


def test_a_study_that_is_not_there_is_said_so(registry, quick, tmp_path):
    with pytest.raises(FetchError, match="There is no study 'nowhere_1999'"):
        fetch_cohort(registry.entry("cbioportal:nowhere_1999"), tmp_path / "data", quick)


@pytest.mark.parametrize("name", ["cbioportal:", "cbioportal:../x", "cbioportal:a/b", "cbioportal:a..b"])
def test_a_study_id_that_is_no_folder_is_refused(registry, name):
    with pytest.raises(ConfigError, match="no study id"):
        registry.entry(name)


def test_an_unknown_cohort_gets_a_hint(registry):
    with pytest.raises(NotFoundError, match="Did you mean 'plain'"):
        registry.entry("plian")


# -- the registry -------------------------------------------------------------------------------------------------


def test_the_shipped_registry_names_every_shared_cohort_and_invents_no_digest():
    registry = load_registry()
    wanted = ["loris", "imvigor210", "liu2019", "riaz2017", "vanallen2015", "oak", "msk_mind", "khan2025", "sayer2023"]
    assert [c for c in wanted if c not in registry.cohorts] == []
    for entry in registry.cohorts.values():
        assert entry.title
        assert entry.citation
        assert entry.licence
        for file in entry.files:
            assert all(o.address.startswith("https://raw.githubusercontent.com/") for o in file.origins)
            # the digest of a copy that was cut or converted is not that of the public file
            assert all(o.sha256 is None for o in file.origins)
    assert registry.entry("cbioportal:mel_dfci_2019").id == "mel_dfci_2019"


def test_the_shipped_digests_are_those_of_the_copies_that_the_mappings_were_tested_with(data_dir):
    for entry in load_registry().cohorts.values():
        assert entry.where(data_dir) == "local"
        for file in entry.files:
            assert hashlib.sha256((data_dir / file.path).read_bytes()).hexdigest() == file.tested_sha256, file.path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version"),
        ({"cohorts": []}, "mapping of keys"),
        ({"cohorts": {"x": {"title": "t"}}}, "`files` or a `study`"),
        ({"cohorts": {"x": {"titel": "t"}}}, "Did you mean 'title'"),
        ({"cohorts": {"x": {"title": "t", "files": [{"path": "../x", "origins": [{"address": "a"}]}]}}}, "inside"),
        ({"cohorts": {"x": {"title": "t", "files": [{"path": "x", "origins": []}]}}}, "at least one origin"),
        (
            {"cohorts": {"x": {"title": "t", "files": [{"path": "x", "origins": [{"address": "a", "sha256": "12"}]}]}}},
            "64",
        ),
        ({"cohorts": {"x": {"title": "t", "study": "s"}}}, "no section `cbioportal`"),
    ],
)
def test_a_registry_with_a_mistake_names_it(tmp_path, change, said):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "cohorts": {}} | change))
    with pytest.raises(ConfigError, match=said):
        load_registry(path)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["title", "files", "study", "patients", "has", "licence", "path", "origins", "made", "address"])


@given(st.recursive(json_like, lambda i: st.dictionaries(keys, i, max_size=4) | st.lists(i, max_size=2), max_leaves=12))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_registry_loads_or_is_refused_in_words(tmp_path, content):
    path = tmp_path / "r.yaml"
    for written in (content, {"version": 1, "cohorts": {"x": content}}):
        path.write_text(json.dumps(written))
        with contextlib.suppress(ConfigError):
            load_registry(path)


def test_broken_yaml_and_no_file(tmp_path):
    (tmp_path / "r.yaml").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_registry(tmp_path / "r.yaml")
    with pytest.raises(NotFoundError):
        load_registry(tmp_path / "none.yaml")


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cohorts(capsys, monkeypatch):
    """Run `immunocast cohorts ...`; returns exit code, output and errors."""
    from immunocast.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["immunocast", "cohorts", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return run


def test_the_command_lists_describes_and_fetches(cohorts, registry, server, tmp_path, monkeypatch):
    monkeypatch.setenv("IMMUNOCAST_DATA", str(tmp_path / "data"))
    code, out, _ = cohorts("list", "--format", "csv")
    table = pd.read_csv(pd.io.common.StringIO(out))
    assert code == 0
    assert table.set_index("id").loc["plain", "where"] == "not here"
    code, out, err = cohorts("fetch", "plain")
    assert code == 0
    assert SHA[:12] in out
    assert err == ""  # no bar without a terminal
    assert "cached" in cohorts("list")[1]
    code, out, _ = cohorts("describe", "by_hand")
    assert code == 0
    assert "join them" in out
    assert cohorts("fetch", "by_hand")[0] == 4
    code, out, _ = cohorts("fetch", "sheet", "plain", "--retries", "0")
    assert code == 5
    assert "sheet: failed" in out
    assert "plain: there" in out
    assert cohorts("fetch", "nothing")[0] == 2
    study(server)
    code, out, _ = cohorts("fetch", "cbioportal:any_2020")
    assert code == 0
    assert f"cohort=cbioportal cohort.folder={tmp_path / 'cache/cbioportal/any_2020'}" in out
    assert cohorts("fetch", "all", "--to", str(tmp_path / "registry.yaml"))[0] == 2
