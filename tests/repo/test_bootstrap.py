"""The set-up scripts, run against fake interpreters and a fake uv: no network, nothing installed."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TOOLS = (
    *("awk", "basename", "bash", "cat", "chmod", "cksum", "cut", "dirname", "env", "flock", "grep", "head"),
    *("ln", "mkdir", "mv", "rm", "sed", "sh", "sha256sum", "sleep", "tail", "touch", "tr"),
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the set-up scripts are POSIX shell")


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + textwrap.dedent(body), encoding="utf-8")
    path.chmod(0o755)
    return path


def fake_python(path: Path, version: str = "3.12", implementation: str = "CPython", free: int = 0) -> Path:
    """Make an interpreter that answers every question of the scripts as one of `version` does."""
    major, minor = version.split(".")[:2]
    return script(
        path,
        f"""
        case "$*" in
          *python_implementation*) echo "{implementation} {major} {minor} {free} {path}" ;;
          *realpath*) echo "{path} {version}" ;;
          *"(3, 8)"*) [ {minor} -ge 8 ] ;;
          *) exit 9 ;;
        esac
        """,
    )


def shim(path: Path) -> Path:
    """Make what pyenv puts on PATH for a version that is installed but not switched on."""
    return script(path, 'echo "pyenv: $(basename "$0"): command not found" >&2\nexit 127')


class Machine:
    """A PATH with a shell's tools, no Python, and an empty home."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.home = folder / "bin dir", folder / "home"
        self.bin.mkdir(parents=True)
        self.home.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            if found:
                (self.bin / tool).symlink_to(found)
        self.path = [self.bin]
        self.repo = folder / "re po"
        shutil.copytree(REPO / "scripts", self.repo / "scripts")

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.pathsep.join(map(str, self.path))}

    def call(self, name: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.repo / "scripts" / name), *arguments],
            env=self.environment | extra,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def find(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return self.call("find_python.sh", *arguments, **extra)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# --- the interpreter ------------------------------------------------------------------------------------------


def test_oldest_fit_python_on_path_wins(machine: Machine) -> None:
    for version in ("3.14", "3.13", "3.12"):
        fake_python(machine.bin / f"python{version}", version)
    assert machine.find().stdout.strip() == str(machine.bin / "python3.12")
    (machine.bin / "python3.12").unlink()
    assert machine.find().stdout.strip() == str(machine.bin / "python3.13")


def test_plain_python3_is_taken_when_it_is_fit(machine: Machine) -> None:
    fake_python(machine.bin / "python3", "3.13")
    assert machine.find().stdout.strip() == str(machine.bin / "python3")


def test_failing_shims_lead_to_the_interpreters_that_pyenv_installed(machine: Machine) -> None:
    shims = machine.home / "shims"
    for name in ("python3.12", "python3.13"):
        shim(shims / name)
    fake_python(shims / "python3", "3.11")
    machine.path.insert(0, shims)
    fake_python(machine.home / ".pyenv/versions/3.13.0/bin/python", "3.13")
    installed = fake_python(machine.home / ".pyenv/versions/3.12.1/bin/python", "3.12")
    fake_python(machine.home / ".pyenv/versions/3.11.7/bin/python", "3.11")
    answer = machine.find()
    assert (answer.returncode, answer.stdout.strip()) == (0, str(installed))


def test_shim_does_not_hide_a_working_python_further_down_the_path(machine: Machine) -> None:
    shim(machine.home / "shims/python3.12")
    machine.path.insert(0, machine.home / "shims")
    fake_python(machine.bin / "python3.12")
    assert machine.find().stdout.strip() == str(machine.bin / "python3.12")


@pytest.mark.parametrize("told_by", ["PYENV_ROOT", "pyenv root"])
def test_pyenv_elsewhere_is_found(machine: Machine, told_by: str) -> None:
    home = machine.home / "opt pyenv"
    installed = fake_python(home / "versions/3.12.9/bin/python")
    if told_by == "PYENV_ROOT":
        answer = machine.find(PYENV_ROOT=str(home))
    else:
        script(machine.bin / "pyenv", f'[ "$1" = root ] && echo "{home}"')
        answer = machine.find()
    assert answer.stdout.strip() == str(installed)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: fake_python(path, "3.11"), "is Python 3.11"),
        (lambda path: fake_python(path, "3.15"), "is Python 3.15"),
        (lambda path: fake_python(path, "2.7"), "is Python 2.7"),
        (lambda path: fake_python(path, "4.12"), "is Python 4.12"),
        (lambda path: fake_python(path, implementation="PyPy"), "is PyPy, not CPython"),
        (lambda path: fake_python(path, "3.13", free=1), "is a free-threaded build"),
        (lambda path: script(path, "exit 127"), "does not run (exit 127)"),
        (lambda path: script(path, "echo hello"), "does not answer like a Python"),
        (lambda path: script(path, "echo CPython three twelve 0 /x"), "does not answer like a Python"),
        (lambda path: script(path, ""), "does not answer like a Python"),
    ],
)
def test_unfit_python_is_refused_with_the_reason_and_the_mend(machine: Machine, make, reason: str) -> None:
    make(machine.bin / "python3")
    answer = machine.find()
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"{machine.bin / 'python3'}: {reason}" in answer.stderr
    assert "IMMUNOCAST_PYTHON=" in answer.stderr
    assert "pyenv install 3.12" in answer.stderr


def test_no_python_at_all_says_so(machine: Machine) -> None:
    answer = machine.find()
    assert answer.returncode == 1
    assert "nothing: no python3 and no python on PATH" in answer.stderr


def test_chatty_start_up_is_tolerated(machine: Machine) -> None:
    inner = fake_python(machine.home / "inner")
    script(machine.bin / "python3", f'echo "welcome to conda"\nexec "{inner}" "$@"')
    assert machine.find().stdout.strip() == str(inner)


def test_named_interpreter_is_taken_or_refused_never_replaced(machine: Machine) -> None:
    fake_python(machine.bin / "python3.12")
    other = fake_python(machine.home / "my python", "3.14")
    assert machine.find(IMMUNOCAST_PYTHON=str(other)).stdout.strip() == str(other)
    old = fake_python(machine.home / "old", "3.9")
    answer = machine.find(IMMUNOCAST_PYTHON=str(old))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"{old}: is Python 3.9" in answer.stderr


def test_uv_is_asked_last_and_fetches_only_when_it_knows_none(machine: Machine) -> None:
    fake_python(machine.bin / "python3", "3.11")
    fetched = machine.home / "fetched"
    uv = script(
        machine.home / "uv",
        f"""
        echo "$*" >> "{machine.home}/calls"
        case "$*" in
          "python find --system"*) exit 2 ;;
          "python install 3.12") [ "$UV_PYTHON_INSTALL_BIN" = 0 ] && echo "$UV_PYTHON_INSTALL_DIR" > "{fetched}.at" ;;
          "python find"*"--managed-python 3.12") echo "{fetched}" ;;
        esac
        """,
    )
    fake_python(fetched)
    assert machine.find("--uv", str(uv)).stdout.strip() == str(fetched)
    assert Path(f"{fetched}.at").read_text().strip() == str(machine.repo / ".tools/python")

    (machine.home / "calls").unlink()
    fake_python(machine.bin / "python3.13", "3.13")
    assert machine.find("--uv", str(uv)).stdout.strip() == str(machine.bin / "python3.13")
    assert not (machine.home / "calls").exists()


def test_unreachable_download_ends_in_the_message(machine: Machine) -> None:
    uv = script(machine.home / "uv", "echo 'error: no network' >&2\nexit 2")
    answer = machine.find("--uv", str(uv))
    assert answer.returncode == 1
    assert "error: no network" in answer.stderr
    assert "uv python install 3.12: failed" in answer.stderr


def test_real_interpreter_answers_the_probe(machine: Machine) -> None:
    answer = machine.find(IMMUNOCAST_PYTHON=sys.executable)
    assert answer.returncode == 0, answer.stderr
    # of a virtual environment the interpreter behind it
    assert answer.stdout.strip() == sys._base_executable  # type: ignore[attr-defined]


# --- the environment ------------------------------------------------------------------------------------------

UV = """
echo "$*" >> "{home}/calls"
case "$*" in
  --version) echo "uv {version} (fake)" ;;
  venv*)
    for last; do :; done
    while [ $# -gt 1 ]; do [ "$1" = --python ] && base=$2; shift; done
    mkdir -p "$last/bin" && ln -s "$base" "$last/bin/python"
    ;;
  "pip sync"*) {sync} ;;
  "pip install"*) {install} ;;
esac
"""

PYPROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "x"
dependencies = ["a"]
[project.scripts]
x = "x:main"
[tool.ruff]
line-length = 100
"""


class Checkout(Machine):
    """A machine with a fit Python, a fake uv that writes down its calls, and a small repository."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.python = fake_python(self.home / "cpython/bin/python3.12", "3.12.1")
        (self.bin / "python3.12").symlink_to(self.python)
        (self.repo / "pyproject.toml").write_text(PYPROJECT)
        (self.repo / "requirements.lock").write_text("a==1\n")
        self.stamp = self.repo / ".venv/.immunocast-stamp"
        self.uv()

    def uv(self, version: str = "0.9.1", sync: str = ":", install: str = ":") -> None:
        script(self.bin / "uv", UV.format(home=self.home, version=version, sync=sync, install=install))

    def bootstrap(self, **extra: str) -> subprocess.CompletedProcess[str]:
        return self.call("bootstrap.sh", **extra)

    def calls(self) -> list[str]:
        """Return what uv was asked since the last time, by the first words of each call."""
        log = self.home / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [" ".join(line.split()[:2]) for line in lines if line != "--version"]

    def ready(self) -> None:
        assert self.bootstrap().returncode == 0
        self.calls()


ALL = ["venv --quiet", "pip sync", "pip install"]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_first_set_up_then_nothing(checkout: Checkout) -> None:
    first = checkout.bootstrap()
    assert first.returncode == 0, first.stderr
    calls = (checkout.home / "calls").read_text()
    assert f"--python {checkout.python} .venv" in calls
    assert "--compile-bytecode --require-hashes requirements.lock" in calls
    assert "--no-deps --no-build-isolation -e ." in calls
    assert checkout.calls() == ALL

    second = checkout.bootstrap()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert checkout.calls() == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("x:main", "x:other", ALL[1:]),
        ('"a"', '"b"', ALL[1:]),
        ("hatchling", "flit", ALL[1:]),
        ("line-length = 100", "line-length = 80", []),
    ],
)
def test_only_the_build_part_of_pyproject_counts(checkout: Checkout, old: str, new: str, expected) -> None:
    checkout.ready()
    (checkout.repo / "pyproject.toml").write_text(PYPROJECT.replace(old, new))
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == expected


def test_changed_lock_is_synced_in_place(checkout: Checkout) -> None:
    checkout.ready()
    (checkout.repo / "requirements.lock").write_text("a==2\n")
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL[1:]


def test_vanished_or_replaced_interpreter_makes_the_venv_anew(checkout: Checkout) -> None:
    checkout.ready()
    checkout.python.unlink()
    (checkout.bin / "python3.12").unlink()
    fake_python(checkout.bin / "python3.13", "3.13.0")
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL
    fake_python(checkout.bin / "python3.13", "3.13.5")
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL  # the same path, another Python behind it


def test_named_interpreter_moves_the_venv(checkout: Checkout) -> None:
    checkout.ready()
    assert checkout.bootstrap(IMMUNOCAST_PYTHON=str(checkout.bin / "python3.12")).returncode == 0
    assert checkout.calls() == []  # another name of the same one
    other = fake_python(checkout.home / "other", "3.13.0")
    assert checkout.bootstrap(IMMUNOCAST_PYTHON=str(other)).returncode == 0
    assert checkout.calls() == ALL
    bad = checkout.bootstrap(IMMUNOCAST_PYTHON=str(checkout.home / "none"))
    assert bad.returncode != 0
    assert "IMMUNOCAST_PYTHON names an interpreter" in bad.stderr


def test_failed_sync_is_told_and_mended_from_scratch(checkout: Checkout) -> None:
    checkout.uv(sync="echo 'no such hash' >&2; exit 1")
    bad = checkout.bootstrap()
    assert bad.returncode != 0
    assert "no such hash" in bad.stderr
    assert "requirements.lock could not be installed" in bad.stderr
    assert not checkout.stamp.exists()
    checkout.calls()
    checkout.uv()
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL


def test_failed_sync_does_not_pass_for_the_environment_before(checkout: Checkout) -> None:
    checkout.ready()
    lock = checkout.repo / "requirements.lock"
    lock.write_text("a==2\n")
    checkout.uv(sync="exit 1")
    assert checkout.bootstrap().returncode != 0
    lock.write_text("a==1\n")  # the old lock again, over packages that may be half of each
    checkout.uv()
    checkout.calls()
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL


def test_failed_install_of_the_project_keeps_the_packages(checkout: Checkout) -> None:
    checkout.uv(install="exit 1")
    assert checkout.bootstrap().returncode != 0
    assert not checkout.stamp.exists()
    checkout.calls()
    checkout.uv()
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL[1:]


def test_failed_install_does_not_pass_for_the_environment_before(checkout: Checkout) -> None:
    checkout.ready()
    lock = checkout.repo / "requirements.lock"
    lock.write_text("a==2\n")
    checkout.uv(install="exit 1")
    assert checkout.bootstrap().returncode != 0
    lock.write_text("a==1\n")  # the old lock again, but the packages are the new one's
    checkout.uv()
    checkout.calls()
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL[1:]


def test_killed_set_up_starts_anew(checkout: Checkout) -> None:
    checkout.uv(sync=f'touch "{checkout.home}/syncing"; sleep 60')
    process = subprocess.Popen(
        [str(checkout.repo / "scripts/bootstrap.sh")],
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(600):
        if (checkout.home / "syncing").exists():
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (checkout.home / "syncing").exists()
    checkout.calls()
    checkout.uv()
    assert checkout.bootstrap().returncode == 0
    assert checkout.calls() == ALL


@pytest.mark.skipif(shutil.which("flock") is None, reason="without flock two makes at once are not kept apart")
def test_two_at_once_set_up_once(checkout: Checkout) -> None:
    checkout.uv(sync="sleep 0.5")
    command = [str(checkout.repo / "scripts/bootstrap.sh")]
    both = [subprocess.Popen(command, env=checkout.environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert checkout.calls() == ALL


@pytest.mark.parametrize("has_venv", [True, False], ids=["venv", "no ensurepip"])
@pytest.mark.parametrize("before", ["absent", "old", "shim"])
def test_uv_is_fetched_where_there_is_no_fit_one(checkout: Checkout, before: str, has_venv: bool) -> None:
    if before == "absent":
        (checkout.bin / "uv").unlink()
    elif before == "old":
        checkout.uv(version="0.4.30")
    else:
        shim(checkout.bin / "uv")
    # a Python whose pip "installs" a uv; without ensurepip its venv fails half-way, as Debian's does
    uv = checkout.home / "wheel-uv"
    script(uv, UV.format(home=checkout.home, version="0.9.0", sync=":", install=":"))
    script(
        checkout.python,
        f"""
        case "$*" in
          *python_implementation*) echo "CPython 3 12 0 {checkout.python}" ;;
          *realpath*) echo "{checkout.python} 3.12.1" ;;
          *"(3, 8)"*) exit 0 ;;
          "-m venv "*)
            mkdir -p "$3/bin"
            [ {int(has_venv)} = 1 ] || exit 1
            printf '#!/bin/sh\\necho "$*" >> "{checkout.home}/pip"\\n' > "$3/bin/python"
            printf 'ln -s "{uv}" "%s/bin/uv"' "$PWD/$3" >> "$3/bin/python"
            chmod +x "$3/bin/python"
            ;;
          "-m pip install "*--target*)
            echo "$*" >> "{checkout.home}/pip"
            mkdir -p .tools/uv.new/bin && ln -s "{uv}" .tools/uv.new/bin/uv
            ;;
          *) exit 9 ;;
        esac
        """,
    )
    answer = checkout.bootstrap()
    assert answer.returncode == 0, answer.stderr
    assert "fetching uv into .tools/" in answer.stderr
    assert "--require-hashes" in (checkout.home / "pip").read_text()
    assert (checkout.repo / ".tools/uv/bin/uv").exists()
    assert not (checkout.repo / ".tools/uv.new").exists()
    assert checkout.calls() == ALL


def test_uv_that_cannot_be_had_ends_in_what_to_do(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    answer = checkout.bootstrap()
    assert answer.returncode != 0
    assert "uv is not here and could not be fetched" in answer.stderr
    assert "python3-venv" in answer.stderr


def test_uv_call_is_handed_on(checkout: Checkout) -> None:
    assert checkout.call("bootstrap.sh", "--uv", "pip", "compile").returncode == 0
    assert checkout.calls() == ["pip compile"]
    assert checkout.call("bootstrap.sh", "--python").stdout.strip() == str(checkout.python)
    assert "unknown argument '--nonsense'" in checkout.call("bootstrap.sh", "--nonsense").stderr
