#!/bin/bash
# Installs what checks Python code and wheels into a virtual environment of its own, once:
# ~/.cache/flashcp/python-tools. Prints a reason and fails if they cannot be had; tests that need them
# are then skipped and say so. Beside them lie wheels of numpy, for clean environments of each Python
# that the package is tried in. 0.1 GB of download, 0.2 GB of disk.
set -euo pipefail

# Pinned: what a formatter prints, and what a checker finds, differs from version to version. numpy is
# there for its types.
packages="auditwheel==6.8.2 black==26.10.1 mypy==2.4.1 numpy==2.4.6"

home=$(getent passwd "$(id -u)" | cut -d: -f6)
venv=${1:-$home/.cache/flashcp/python-tools}
[ "$(cat "$venv/complete" 2>/dev/null)" != "$packages" ] || exit 0

skip() {
  echo "flashcp: no mypy, black and auditwheel: $1" >&2
  exit 1
}
python=
for candidate in python3.11 python3.12 python3.13 python3; do
  if "$candidate" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null
  then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || skip "they need Python 3.11 or newer with venv (Debian: python3-venv)"

echo "flashcp: installing $packages into $venv" >&2
rm -rf "$venv"
"$python" -m venv "$venv" || skip "python -m venv failed"
# shellcheck disable=SC2086
"$venv/bin/pip" install --quiet --disable-pip-version-check --retries 2 $packages ||
  skip "pip could not install them"
for version in 3.9 3.11 3.13; do
  "$venv/bin/pip" download --quiet --disable-pip-version-check --retries 2 --no-deps \
    --only-binary :all: --python-version "$version" --dest "$venv/wheels" numpy ||
    skip "pip could not download numpy"
done
echo "$packages" >"$venv/complete"
