#!/bin/bash
# Installs what building and testing FlashCP needs on Debian 12 and is not there yet, and the packages
# that the command line names. Does nothing, and needs no root, where all of it is.
set -euo pipefail

# Adds what no package holds, behind the packages.
install_abseil_source() {
  "$(dirname "$0")/install_abseil_source.sh" ||
    echo "flashcp: all but //:dist and its tests builds without it" >&2
}

packages=(
  # Build system, with the rule sets that Bazel would otherwise download.
  bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-platforms bazel-skylib
  g++ git ca-certificates pkg-config python3
  # The compiler: MLIR, and lit and FileCheck for its tests.
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools
  # Libraries.
  libabsl-dev libflatbuffers-dev flatbuffers-compiler libcli11-dev nlohmann-json3-dev
  libopenmpi-dev openmpi-bin zlib1g-dev
  # Packages: unpacks sources.
  dpkg-dev
  # Tests and benchmarks.
  libgtest-dev libgmock-dev libbenchmark-dev libdnnl-dev iproute2 python3-numpy python3-venv cmake
  # Tests of flashcp.torch: the oldest PyTorch that is supported; OpenBLAS makes it 15 times faster.
  python3-torch libopenblas0-pthread
  "$@"
)

# One question for all: one for each takes ten times as long.
states=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  [[ $'\n'$states$'\n' == *$'\n'"$package installed"$'\n'* ]] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
  install_abseil_source
  exit
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "flashcp: run as root, or install sudo, to install: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "flashcp: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
if [ -z "$(apt-cache policy libmlir-22-dev | grep -v '(none)' | grep Candidate)" ]; then
  echo "flashcp: no candidate for libmlir-22-dev: LLVM 22 comes from bookworm-security, add" >&2
  echo "  deb http://deb.debian.org/debian-security bookworm-security main" >&2
  echo "to /etc/apt/sources.list" >&2
  exit 1
fi
# Without recommended packages: they would double the download.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
install_abseil_source
