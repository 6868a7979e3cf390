#!/bin/sh
# Prints the path of the Python that immunocast is installed on, and why there is none where there is none.
#
#   scripts/find_python.sh [--uv PATH]
#   scripts/find_python.sh --any         every Python >= 3.8 that runs, one a line: good enough to fetch uv with
#
# Every candidate is RUN, because a name on PATH proves nothing: a pyenv shim of a version that is not switched on
# exits 127, and `python3` may be anything. Looked at, in this order:
#   1. $IMMUNOCAST_PYTHON, when it is set: that one or none;
#   2. python3.12, python3.13, python3.14, python3 and python, in every folder on PATH;
#   3. the interpreters that pyenv installed, by their own path;
#   4. with --uv: what uv knows of, and at last an interpreter that uv fetches (into .tools/python).
# The oldest fit version wins, because requirements.lock was exercised on 3.12. The lock has wheels for 3.13 and 3.14
# as well (one sdist, antlr4-python3-runtime, is pure Python). orjson has none for 3.15, so newer ones are refused.
#
# Exit: 0 and the path on stdout; 1 where nothing fits; 2 where $IMMUNOCAST_PYTHON does not fit or the call is wrong.
set -u

oldest=12
newest=14
wanted="3.12, 3.13 or 3.14"
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
uv=
any=

while [ $# -gt 0 ]; do
  case $1 in
    --any) any=1 && shift ;;
    --uv)
      [ $# -ge 2 ] || { echo "find_python.sh: --uv needs the path of uv" >&2; exit 2; }
      uv=$2
      shift 2
      ;;
    *) echo "find_python.sh: unknown argument '$1' (usage: find_python.sh [--uv PATH | --any])" >&2; exit 2 ;;
  esac
done

# One line: implementation, major, minor, 1 for a free-threaded build (the lock has no wheels for those), path.
# _base_executable leads from a virtual environment to the interpreter that it was made from: ours must not hang on
# a neighbour's. Must parse on any Python, 2.7 included.
probe='import platform, sys, sysconfig
path = getattr(sys, "_base_executable", None) or sys.executable
free = 1 if sysconfig.get_config_var("Py_GIL_DISABLED") else 0
print("%s %d %d %d %s" % (platform.python_implementation(), sys.version_info[0], sys.version_info[1], free, path))'

best=$((newest + 1))
best_path=
looked=

note() {
  looked="$looked
  $1: $2"
}

# inspect CANDIDATE: remember it when it is fit and older than the best so far; note what is wrong with it otherwise.
inspect() {
  answer=$("$1" -c "$probe" 2>/dev/null </dev/null)
  code=$?
  if [ "$code" -ne 0 ]; then
    note "$1" "does not run (exit $code)"
    return 1
  fi
  # a start-up hook (sitecustomize) may print lines of its own before the answer
  answer=$(printf '%s\n' "$answer" | tail -n 1)
  # shellcheck disable=SC2086
  set -f && set -- "$1" $answer && set +f
  case $#:${3:-}${4:-} in
    [1-5]:* | *:*[!0-9]*)
      note "$1" "does not answer like a Python"
      return 1
      ;;
  esac
  candidate=$1 implementation=$2 major=$3 minor=$4 free=$5
  shift 5
  if [ "$implementation" != CPython ]; then
    note "$candidate" "is $implementation, not CPython"
  elif [ "$major" -ne 3 ] || [ "$minor" -lt "$oldest" ] || [ "$minor" -gt "$newest" ]; then
    note "$candidate" "is Python $major.$minor"
  elif [ "$free" = 1 ]; then
    note "$candidate" "is a free-threaded build"
  else
    if [ "$minor" -lt "$best" ]; then
      best=$minor
      best_path=$*
    fi
    return 0
  fi
  return 1
}

# on_path NAME...: every file of these names on PATH, not only the first, which may be a shim in front of a real one
on_path() {
  for name in "$@"; do
    printf '%s\n' "$PATH" | tr ':' '\n' | while IFS= read -r folder; do
      [ -f "$folder/$name" ] && [ -x "$folder/$name" ] && printf '%s\n' "$folder/$name"
    done
  done
}

# in_pyenv PATTERN: the interpreters that pyenv installed. The three homes are the same folder as a rule.
in_pyenv() {
  last=
  for home in "$(pyenv root 2>/dev/null </dev/null)" "${PYENV_ROOT:-}" "${HOME:-}/.pyenv"; do
    [ "$home" != "$last" ] || continue
    last=$home
    for found in "$home"/versions/$1/bin/python; do
      [ -x "$found" ] && printf '%s\n' "$found"
    done
  done
}

finish_when_found() {
  if [ -n "$best_path" ]; then
    printf '%s\n' "$best_path"
    exit 0
  fi
}

newline='
'
IFS=$newline # lists of paths below are split at line ends only: a folder may have a space in its name

if [ -n "$any" ]; then
  for found in $(on_path python3 python) $(in_pyenv '3.*'); do
    "$found" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 </dev/null && printf '%s\n' "$found"
  done
  exit 0
fi

if [ -n "${IMMUNOCAST_PYTHON:-}" ]; then
  IFS=' ' inspect "$IMMUNOCAST_PYTHON" && finish_when_found
  echo "IMMUNOCAST_PYTHON names an interpreter that immunocast can't use; it needs Python $wanted.$looked" >&2
  echo "Unset it, so that one is looked for, or name another." >&2
  exit 2
fi

inspect_until_oldest() {
  for found in "$@"; do
    IFS=' '
    inspect "$found"
    IFS=$newline
    [ "$best" -gt "$oldest" ] || return
  done
}

# shellcheck disable=SC2046
inspect_until_oldest $(on_path python3.12 python3.13 python3.14 python3 python)
# shellcheck disable=SC2046
[ "$best" -eq "$oldest" ] || inspect_until_oldest $(in_pyenv '3.1[2-9]*')
IFS=' '
finish_when_found

if [ -n "$uv" ]; then
  # neither with the project's own .venv may uv answer, nor put links into the user's ~/.local/bin
  found=$("$uv" python find --system --no-project --no-python-downloads ">=3.$oldest,<3.$best" 2>/dev/null </dev/null) &&
    inspect "$found"
  finish_when_found
  UV_PYTHON_INSTALL_DIR=${UV_PYTHON_INSTALL_DIR:-$root/.tools/python}
  UV_PYTHON_INSTALL_BIN=0
  export UV_PYTHON_INSTALL_DIR UV_PYTHON_INSTALL_BIN
  echo "No Python $wanted on this machine: asking uv for one." >&2
  if "$uv" python install "3.$oldest" >&2 </dev/null; then
    found=$("$uv" python find --no-project --managed-python "3.$oldest" 2>/dev/null </dev/null) && inspect "$found"
    finish_when_found
  else
    note "uv python install 3.$oldest" "failed, see above"
  fi
fi

cat >&2 <<EOM
immunocast needs Python $wanted (CPython) and found none. Looked at:${looked:-
  nothing: no python3 and no python on PATH, and no pyenv}
Do one of these, then call make again:
  - install one: 'apt-get install python3.12' (or 3.13), 'brew install python@3.12', or your system's way
  - pyenv install 3.12
  - uv python install 3.12
  - name one that you have: make setup IMMUNOCAST_PYTHON=/path/to/python3.12
EOM
exit 1
