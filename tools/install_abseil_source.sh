#!/bin/bash
# Takes the four files of Abseil that Debian compiled for programs alone (docs/install.md, "Build
# it") from the source package of the installed libabsl-dev, once, into
# ~/.cache/flashcp/abseil-VERSION. Needs no root, and apt's own lists stay as they are. Prints a
# reason and fails if they cannot be had; all but //:dist and its tests builds without them.
set -euo pipefail

fail() {
  echo "flashcp: no source of Abseil: $1" >&2
  exit 1
}
version=$(dpkg-query -W -f '${source:Version}' libabsl-dev 2>/dev/null) ||
  fail "Debian's libabsl-dev is not installed: run tools/install_dependencies.sh"
home=$(getent passwd "$(id -u)" | cut -d: -f6)
folder=$home/.cache/flashcp/abseil-$version
[ ! -e "$folder" ] || exit 0
command -v dpkg-source >/dev/null || fail "it needs dpkg-dev: run tools/install_dependencies.sh"

echo "flashcp: taking the source of Abseil $version into $folder" >&2
mkdir -p "$home/.cache/flashcp"
work=$(mktemp -d "$home/.cache/flashcp/abseil.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,parts,files}

# The machine's mirrors, asked for sources; apt checks those by the same keys.
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ ! -e "$list" ] || sed -nE 's/^\s*deb\s/deb-src /p' "$list" >>"$work/parts/lines.list"
done
for list in /etc/apt/sources.list.d/*.sources; do
  [ ! -e "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/parts/${list##*/}"
done
apt=(apt-get -qq -o APT::Sandbox::User=root -o Acquire::Languages=none
  -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts"
  -o Dir::State="$work" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$work")
cd "$work"
# Mirrors of others may have no sources; when Debian's fail, the next step tells.
"${apt[@]}" update >&2 || true
"${apt[@]}" source "abseil=$version" >log 2>&1 || {
  cat log >&2
  fail "apt-get source abseil=$version failed; if a newer version replaced it, upgrade libabsl-dev"
}

(cd abseil-*/ && cp --parents \
  absl/base/internal/sysinfo.cc \
  absl/container/internal/raw_hash_set.cc \
  absl/strings/internal/cordz_functions.cc \
  absl/strings/internal/str_format/parser.cc \
  "$work/files")
# All or nothing; another run may have been first.
mv -T "$work/files" "$folder" 2>/dev/null || [ -e "$folder" ] || fail "cannot make $folder"
