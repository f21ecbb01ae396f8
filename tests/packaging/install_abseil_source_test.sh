#!/bin/bash
# The source of Abseil comes once, whole or not at all: fakes of programs make a machine with
# another home, and an apt that gives or refuses what it is asked for.
# install_abseil_source_test.sh SCRIPT
set -euo pipefail
script=$1
machine=$(mktemp -d)
trap 'rm -rf "$machine"' EXIT
mkdir "$machine/bin" "$machine/home"
cache=$machine/home/.cache/flashcp

# fake PROGRAM: stands in for it with the text on stdin.
fake() {
  { echo '#!/bin/bash' && cat; } >"$machine/bin/$1"
  chmod +x "$machine/bin/$1"
}
run() { PATH=$machine/bin:$PATH "$script" >"$machine/log" 2>&1; }
die() {
  echo "$1" && cat "$machine/log" && ls -lRA "$machine/home"
  exit 1
}
fake getent <<<"echo x:x:0:0:x:$machine/home:x"
fake dpkg-query <<<'echo 7-1+deb1'
fake dpkg-source <<<''

# Refuses: the version is no longer there.
fake apt-get <<'EOF'
[[ " $* " != *" source "* ]] || { echo "E: Can not find version '7-1+deb1'" && exit 100; }
EOF
! run || die "no source, and no error"
grep -q "E: Can not find version" "$machine/log" || die "apt's own words are missing"
grep -q "source abseil=7-1+deb1 failed.*upgrade libabsl-dev" "$machine/log" || die "not what to do"
[ -z "$(ls -A "$cache")" ] || die "remnants of what failed"

# Gives, more than is asked for.
fake apt-get <<'EOF'
[[ " $* " == *" source abseil=7-1+deb1 "* ]] || exit 0
mkdir -p abseil-7/absl/{base,container}/internal
mkdir -p abseil-7/absl/strings/internal/str_format
touch abseil-7/absl/{base/internal/{sysinfo,other}.cc,container/internal/raw_hash_set.cc}
touch abseil-7/absl/strings/internal/{cordz_functions.cc,str_format/parser.cc}
EOF
run || die "a source, and an error"
[ "$(ls "$cache")" = abseil-7-1+deb1 ] || die "not that folder alone"
files=$(cd "$cache/abseil-7-1+deb1" && find . -type f | sort | tr '\n' ' ')
[ "$files" = "./absl/base/internal/sysinfo.cc ./absl/container/internal/raw_hash_set.cc \
./absl/strings/internal/cordz_functions.cc ./absl/strings/internal/str_format/parser.cc " ] ||
  die "not the four files: $files"

# Is asked nothing, when all is there.
fake apt-get <<<"touch '$machine/asked'; exit 1"
run || die "all is there, and an error"
[ ! -e "$machine/asked" ] || die "apt was asked again"
