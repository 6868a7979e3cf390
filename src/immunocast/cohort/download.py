"""One address to one file: resumed where the server allows it, checked, and never half a file under its final name.

pooch owns the final name and the checksum (it downloads to a temporary name, compares digests, renames). Its own
downloader neither resumes nor limits how slow a server may be, so this one is handed to it. The bytes gather in
`.NAME.part` beside the file, which an interrupted download leaves there for the next one, together with the
validator (ETag or Last-Modified) that tells whether the server's file is still the same.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

from immunocast.errors import ConfigError, FetchError

SCHEMES = ("https", "http", "file")
_CHUNK = 1 << 16
#: A transfer that is slower than this over a whole timeout counts as stalled.
_SLOWEST = 1024
#: Statuses that may be better in a moment.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_POINTER = b"version https://git-lfs.github.com/spec/v1"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Bar(Protocol):
    """What shows the progress of a download."""

    def start(self, name: str, total: int | None, done: int) -> None:
        """Begin with `done` of `total` bytes there (total None where the server does not tell)."""

    def advance(self, n: int) -> None:
        """Count `n` more bytes."""

    def stop(self) -> None:
        """Take the bar away."""


class LfsPointerError(FetchError):
    """The address serves a git-LFS pointer; the data lie elsewhere, with this digest and size."""

    def __init__(self, url: str, sha256: str, size: int):
        super().__init__(
            f"{url} serves a git-LFS pointer in place of the data ({size:,} bytes). Fetch the data with `git lfs pull` "
            "in a clone of that repository, or name the address of the data themselves."
        )
        self.sha256 = sha256
        self.size = size


class _PassingError(Exception):
    """An attempt failed in a way that another attempt may mend; the text says how."""

    def __init__(self, why: str, wait: float = 0.0, status: int | None = None):
        super().__init__(why)
        self.wait = wait
        self.status = status


@dataclass
class Downloader:
    """Downloads one file; an instance serves pooch as its `downloader`.

    Attributes
    ----------
    timeout : seconds to wait for a connection and for bytes; also the span over which a transfer must reach 1 KiB/s.
    retries : further attempts after a failure that may pass (time-outs, lost connections, truncation, 429, 5xx).
    pause : seconds before the first further attempt, doubled for each one after it.
    bar : what shows the progress; None shows nothing.
    part : where bytes gather; None for a name beside the file that pooch asks for.
    """

    timeout: float = 30.0
    retries: int = 3
    pause: float = 1.0
    bar: Bar | None = None
    part: Path | None = None

    def __call__(self, url: str, output_file: Any, pooch: Any = None, check_only: bool = False) -> None:
        """Download `url` to `output_file`, as pooch asks for it."""
        target = Path(str(output_file))
        part = self.part or target.with_name(f".{target.name}.part")
        with _only_one(part), self._told_if_full(part):
            if urllib.parse.urlsplit(url).scheme == "file":
                self._copy(url, part)
            else:
                self._with_retries(url, part)
            _refuse_what_is_no_data(url, part)
        part.replace(target)
        _note_of(part).unlink(missing_ok=True)

    # -- attempts -------------------------------------------------------------------------------------------

    def _with_retries(self, url: str, part: Path) -> None:
        for attempt in range(self.retries + 1):
            try:
                return self._attempt(url, part)
            except _PassingError as failure:
                if attempt == self.retries:
                    tries = f" ({attempt + 1} attempts)" if attempt else ""
                    raise FetchError(f"{url}: {failure}{tries}. {_MEND}", failure.status) from None
                time.sleep(min(60.0, max(failure.wait, self.pause * 2**attempt)))
        raise AssertionError("unreachable")

    def _attempt(self, url: str, part: Path) -> None:
        """One request; bytes that are there already are asked for no more, where that is safe."""
        import requests
        import urllib3

        there, validator = _resumable(part, url)
        headers = {"Accept-Encoding": "identity", "User-Agent": "immunocast"}
        if there:
            headers |= {"Range": f"bytes={there}-", "If-Range": validator}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
                if response.status_code == 416:
                    _forget(part)
                    raise _PassingError("the server's file is shorter than what was there")
                _refuse_status(url, response)
                resumed = response.status_code == 206
                if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
                    _forget(part)
                    raise _PassingError("the server resumed at another place than asked for")
                self._receive(url, response, part, there if resumed else 0)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise _PassingError(f"no byte came for {self.timeout:g} seconds (time-out)") from None
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            raise _PassingError(_lost(error)) from None
        except (requests.RequestException, UnicodeError) as error:
            raise FetchError(f"{url}: the address cannot be used: {error}. Check it in the registry.") from None

    def _receive(self, url: str, response: Any, part: Path, there: int) -> None:
        """Write the body to the part file, from byte `there` on."""
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        length = response.headers.get("Content-Length", "")
        total = there + int(length) if length.isdigit() and not encoded else None
        if total is not None and total - there > shutil.disk_usage(part.parent).free:
            raise OSError(errno.ENOSPC, f"{total - there:,} bytes are needed")
        validator = _validator(response.headers) if not encoded else ""
        _note_of(part).write_text(json.dumps({"url": url, "validator": validator}))
        done, begin, before = there, time.monotonic(), there
        with part.open("ab" if there else "wb") as out, self._shown(part, total, there):
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                out.write(chunk)
                done += len(chunk)
                if self.bar is not None:
                    self.bar.advance(len(chunk))
                now = time.monotonic()
                if now - begin > self.timeout:
                    if done - before < _SLOWEST * self.timeout:
                        raise _PassingError(
                            f"the server sent less than 1 KiB/s for {self.timeout:g} seconds (time-out)"
                        )
                    begin, before = now, done
        if total is not None and done != total:
            raise _PassingError(f"truncated: {done:,} of {total:,} bytes came")

    def _copy(self, url: str, part: Path) -> None:
        """A `file://` address."""
        source = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
        try:
            stream: IO[bytes] = source.open("rb")
        except OSError as error:
            raise FetchError(f"{url}: {error.strerror}. Check the address in the registry.") from None
        with stream, part.open("wb") as out, self._shown(part, source.stat().st_size, 0):
            while chunk := stream.read(_CHUNK):
                out.write(chunk)
                if self.bar is not None:
                    self.bar.advance(len(chunk))

    @contextlib.contextmanager
    def _shown(self, part: Path, total: int | None, done: int) -> Iterator[None]:
        if self.bar is not None:
            self.bar.start(_final_name(part), total, done)
        try:
            yield
        finally:
            if self.bar is not None:
                self.bar.stop()

    @contextlib.contextmanager
    def _told_if_full(self, part: Path) -> Iterator[None]:
        """No space: said so, and the part is removed, because it fills what is full."""
        try:
            yield
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _forget(part)
            free = shutil.disk_usage(part.parent).free
            raise FetchError(
                f"No space for {_final_name(part)} in {part.parent}: {error.strerror} ({free:,} bytes are free). "
                "Make room, or name another place with --to DIR or the environment variable IMMUNOCAST_CACHE."
            ) from None


_MEND = (
    "Try again later (what came is kept, where the server can resume), or put the file there by hand: see "
    "`immunocast cohorts describe`"
)


def download(url: str, target: Path, sha256: str | None, downloader: Downloader) -> str:
    """Download to `target` through pooch, unless the file with that digest is there already.

    Parameters
    ----------
    url : https, http or file.
    target : final name; its folder is made.
    sha256 : expected digest, None where none is known.
    downloader : how; bytes gather beside `target`, whatever its `part`.

    Returns
    -------
    The SHA-256 of the file.

    Raises
    ------
    ConfigError
        For an address of another kind.
    FetchError
        With the reason. Under the final name there is then what was there before, or nothing.
    """
    import pooch

    try:
        scheme = urllib.parse.urlsplit(url).scheme
    except ValueError as error:
        raise ConfigError(f"The address {url!r} is none: {error}.") from None
    if scheme not in SCHEMES:
        raise ConfigError(f"The address {url!r} begins with none of {', '.join(s + '://' for s in SCHEMES)}.")
    pooch.get_logger().setLevel("WARNING")
    downloader = replace(downloader, part=target.with_name(f".{target.name}.part"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, sha256, fname=target.name, path=target.parent, downloader=downloader)
    except ValueError as error:
        got = re.search(r"but got ([0-9a-f]{64})", str(error))
        if got is None:
            raise
        raise FetchError(
            f"{url}: another file than expected. SHA-256 expected {sha256}, got {got.group(1)}. The download was "
            "thrown away. Try again; if it stays so, the publisher has replaced the file: look at what changed before "
            "its digest in the registry is renewed."
        ) from None
    except OSError as error:
        raise FetchError(
            f"Cannot write {error.filename or target.parent}: {error.strerror}. Name another place with --to DIR or "
            "the environment variable IMMUNOCAST_CACHE."
        ) from None
    return str(pooch.file_hash(str(target)))


# -- what came ------------------------------------------------------------------------------------------------


def _refuse_status(url: str, response: Any) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in _PASSING:
        wait = response.headers.get("Retry-After", "")
        raise _PassingError(
            f"the server is busy or in trouble (HTTP {status})", float(wait) if wait.isdigit() else 0, status
        )
    what = {
        401: "the server wants a login",
        403: "the server refuses access",
        404: "there is no such file at this address",
        410: "the file was taken away",
    }.get(status, "the server did not send the file")
    raise FetchError(
        f"{url}: {what} (HTTP {status}). Look at the address in a browser; a copy put in place by hand works as well: "
        "see `immunocast cohorts describe`.",
        status,
    )


def _refuse_what_is_no_data(url: str, part: Path) -> None:
    """Pages and pointers that servers send with a friendly status in place of the data."""
    with part.open("rb") as stream:
        head = stream.read(1024)
    if not head:
        _forget(part)
        raise FetchError(f"{url}: the file is empty (0 bytes). Try again later.")
    if head.startswith(_POINTER):
        found = re.search(rb"oid sha256:([0-9a-f]{64})\s+size (\d+)", head)
        _forget(part)
        raise LfsPointerError(url, found.group(1).decode() if found else "", int(found.group(2)) if found else 0)
    page = re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)", head, re.IGNORECASE)
    if page and not urllib.parse.urlsplit(url).path.lower().endswith((".html", ".htm")):
        _forget(part)
        raise FetchError(
            f"{url}: a web page came in place of the data (a login, a notice, or a proxy of your network). "
            "Open the address in a browser to see what it says."
        )


def _lost(error: BaseException) -> str:
    """Why there is no connection, in plain words."""
    text = f"{error!r}"
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service not known" in text:
        return "the host's name is not known: no network, or a mistake in the address"
    if "refused" in text:
        return "the host refuses the connection"
    if "unreachable" in text.lower():
        return "the network cannot be reached"
    if "SSL" in text or "CERTIFICATE" in text.upper():
        return "the secure connection failed (certificates, a proxy of your network, or the clock)"
    received = re.search(r"IncompleteRead\((\d+) bytes read, (\d+) more expected\)", text)
    if received:
        return f"truncated: the connection ended with {int(received.group(2)):,} bytes to come"
    return "the connection was lost"


# -- the part file --------------------------------------------------------------------------------------------


def _final_name(part: Path) -> str:
    return part.name.removeprefix(".").removesuffix(".part")


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _validator(headers: Any) -> str:
    """What tells whether the server's file is still the same; "" where the server says nothing of the kind."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _resumable(part: Path, url: str) -> tuple[int, str]:
    """Bytes that are there of the same file at the same address, and its validator; 0 where that is not certain."""
    try:
        note = json.loads(_note_of(part).read_text())
        there = part.stat().st_size
    except (OSError, ValueError):
        return 0, ""
    if not isinstance(note, dict) or note.get("url") != url or not note.get("validator"):
        return 0, ""
    return there, str(note["validator"])


@contextlib.contextmanager
def _only_one(part: Path) -> Iterator[None]:
    """One process at a time writes a part file (where the system has file locks)."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with part.with_name(part.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FetchError(f"Another process is fetching {_final_name(part)}. Wait until it is done.") from None
        try:
            yield
        finally:
            Path(lock.name).unlink(missing_ok=True)
