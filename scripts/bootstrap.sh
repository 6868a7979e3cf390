#!/bin/sh
# Makes .venv what requirements.lock says, on a machine that has git, make and some Python. Touches nothing outside
# the repository but uv's own cache. Every make target calls it first, so it must cost nothing when all is well:
# then it reads one stamp and starts one Python.
#
#   scripts/bootstrap.sh             make .venv
#   scripts/bootstrap.sh --uv ...    only see to uv, and call it with what follows
#   scripts/bootstrap.sh --python    only see to the interpreter, and print its path
#
# What is rebuilt, and when:
#   requirements.lock changed        packages are synced in place
#   pyproject's build part changed   the editable install is redone (with the sync, which is quick then)
#   the interpreter changed or died  .venv is made anew
#   a set-up was cut off             .venv is made anew (a package may be half written)
# IMMUNOCAST_PYTHON names an interpreter by hand.
set -eu

cd "$(dirname -- "$0")/.."
root=$(pwd)
venv=.venv
stamp=$venv/.immunocast-stamp
unfinished=$venv/.immunocast-unfinished
oldest_uv="0 5" # major and minor: the first that knows every option used here

# another environment's variables must not leak into this one
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV CONDA_PREFIX || true

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "set-up failed: $1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 1
}

digest() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256
  else cksum; fi | cut -d' ' -f1
}

# The tables of pyproject.toml that an installed package depends on; a linter's settings must not cause a set-up.
build_part() {
  awk '/^\[/ { keep = /^\[+(build-system|project|tool\.hatch)[].]/ } keep' pyproject.toml
}

# The real path, because one interpreter has many names (python, python3.12, a link to either).
describe='import os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
print(os.path.realpath(base), "%d.%d.%d" % sys.version_info[:3])'

describe_python() {
  "$1" -c "$describe" 2>/dev/null </dev/null
}

# What the stamp holds when everything is in place. The interpreter is the venv's own word, so that one that was
# uninstalled or replaced under our feet is noticed.
state() {
  python=$(describe_python "$venv/bin/python") || return 1
  printf 'lock %s\nbuild %s\npython %s\n' "$lock_digest" "$build_digest" "$python"
}

is_current() {
  [ -f "$stamp" ] && [ ! -e "$unfinished" ] || return 1
  now=$(state) || return 1
  [ "$now" = "$(cat "$stamp")" ] || return 1
  if [ -n "${IMMUNOCAST_PYTHON:-}" ]; then
    wanted=$(describe_python "$IMMUNOCAST_PYTHON") || return 1
    [ "$wanted" = "$(describe_python "$venv/bin/python")" ] || return 1
  fi
}

uv_is_fit() {
  version=$("$1" --version 2>/dev/null </dev/null) || return 1
  # "uv 0.9.3 (…)"
  # shellcheck disable=SC2086,SC2046
  set -- $(printf '%s\n' "$version" | sed -n 's/^uv \([0-9][0-9]*\)\.\([0-9][0-9]*\).*/\1 \2/p') $oldest_uv
  [ $# -eq 4 ] || return 1
  [ "$1" -gt "$3" ] || { [ "$1" -eq "$3" ] && [ "$2" -ge "$4" ]; }
}

# fetch_uv PYTHON: put uv into .tools/uv. Of the environment that it arrives in only the one program is kept.
fetch_uv() {
  new=.tools/uv.new
  rm -rf "$new"
  # Debian's python3 comes without ensurepip and its venv then fails; its pip can install into a folder all the same
  if "$1" -m venv "$new" >>"$log" 2>&1 </dev/null &&
    "$new/bin/python" -m pip install --disable-pip-version-check --require-hashes -r scripts/uv.txt >>"$log" 2>&1 </dev/null; then
    :
  else
    rm -rf "$new"
    "$1" -m pip install --disable-pip-version-check --require-hashes --no-compile --target "$new" -r scripts/uv.txt \
      >>"$log" 2>&1 </dev/null || { rm -rf "$new"; return 1; }
  fi
  if ! uv_is_fit "$new/bin/uv"; then
    say "$1 installed a uv that does not run" 2>>"$log"
    rm -rf "$new"
    return 1
  fi
  rm -rf .tools/uv
  mkdir -p .tools/uv/bin
  mv "$new/bin/uv" .tools/uv/bin/uv
  rm -rf "$new"
}

# find_uv [PYTHON]: sets $uv
find_uv() {
  uv=$(command -v uv 2>/dev/null) && uv_is_fit "$uv" && return 0
  uv=$root/.tools/uv/bin/uv
  uv_is_fit "$uv" && return 0
  log=.tools/uv-install.log
  mkdir -p .tools
  : >"$log"
  say "set-up: fetching uv into .tools/"
  # the interpreter that is used anyway comes first (read in a loop: a path may have a space)
  while IFS= read -r candidate; do
    [ -n "$candidate" ] || continue
    say "== with $candidate" 2>>"$log"
    fetch_uv "$candidate" && return 0
  done <<EOT
${1:-}
$(scripts/find_python.sh --any | head -n 4)
EOT
  tail -n 15 "$log" >&2
  fail "uv is not here and could not be fetched (whole log: $log)" \
    "Any of these helps: a network that reaches your Python package index; a Python >= 3.8 with venv or pip" \
    "(Debian: apt-get install python3-venv); or uv itself on PATH, however you install it."
}

trust_system_certificates() {
  # uv brings its own list of authorities, which an institution's proxy is not on; the machine's list has it
  for store in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    if [ -s "$store" ]; then
      UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
      UV_NATIVE_TLS=${UV_NATIVE_TLS:-true} # its name before
      export UV_SYSTEM_CERTS UV_NATIVE_TLS
      return
    fi
  done
}

# Sets $python to the interpreter and $uv to uv; either may be needed to get the other.
find_tools() {
  python=$(scripts/find_python.sh 2>/dev/null) || python=
  find_uv ${python:+"$python"}
  if [ -z "$python" ]; then
    # again, with uv's help, and this time its message is for the reader
    python=$(scripts/find_python.sh --uv "$uv") || exit 1
  fi
}

set_up() {
  find_tools
  current=$(describe_python "$venv/bin/python" || true)
  made_on=$(sed -n 's/^python //p' "$stamp" 2>/dev/null || true)
  if [ -e "$unfinished" ] || [ "$current" != "$(describe_python "$python")" ] ||
    [ "${made_on:-$current}" != "$current" ]; then
    say "set-up: making $venv on $python"
    rm -rf "$venv"
    "$uv" venv --quiet --no-project --python "$python" "$venv"
  fi
  : >"$unfinished"
  rm -f "$stamp"
  say "set-up: installing requirements.lock (the first time takes a minute or two)"
  "$uv" pip sync --quiet --python "$venv/bin/python" --compile-bytecode --require-hashes requirements.lock ||
    fail "requirements.lock could not be installed, see above" \
      "Behind a mirror, tell uv of it as you always do (UV_DEFAULT_INDEX or uv.toml), then call make again."
  rm -f "$unfinished"
  "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e . ||
    fail "immunocast itself could not be installed, see above"
  state >"$stamp.new"
  mv "$stamp.new" "$stamp"
  say "set-up: done ($(describe_python "$venv/bin/python"))"
}

mkdir -p .tools
trust_system_certificates

case ${1:-} in
  '') ;;
  --uv)
    shift
    find_uv
    exec "$uv" "$@"
    ;;
  --python)
    find_tools
    printf '%s\n' "$python"
    exit 0
    ;;
  *) fail "unknown argument '$1'" "usage: scripts/bootstrap.sh [--python | --uv ARGUMENTS]" ;;
esac

lock_digest=$(digest <requirements.lock)
build_digest=$(build_part | digest)

is_current && exit 0

# Two makes at once: the second waits, then finds the work done. Without flock (macOS) they are on their own.
if command -v flock >/dev/null 2>&1; then
  exec 9>.tools/setup.lock
  flock -n 9 || { say "set-up: waiting for another make"; flock 9; }
  is_current && exit 0
fi
set_up
