#!/bin/bash
# Installs NVIDIA's disassembler of GPU code, of PyPI, for the test of what ptxas makes of our kernels,
# once: by default into ~/.cache/flashcp/nvdisasm-13.5.37. Prints a reason and fails if it cannot be
# had; the test is then skipped and says so. 5 MB; a test tool alone, its licence is NVIDIA's.
set -euo pipefail

version=13.5.37
home=$(getent passwd "$(id -u)" | cut -d: -f6)
folder=${1:-$home/.cache/flashcp/nvdisasm-$version}
[ ! -x "$folder/nvdisasm" ] || exit 0

skip() {
  echo "flashcp: no nvdisasm $version: $1" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" || skip "it needs venv (Debian: python3-venv)"
echo "flashcp: installing nvdisasm $version into $folder" >&2
"$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --retries 2 --dest "$work" \
  "nvidia-cuda-nvdisasm==$version" || skip "pip could not download it"
python3 -m zipfile -e "$work"/*.whl "$work/files"
mkdir -p "$folder"
install -m 755 "$(find "$work/files" -name nvdisasm -type f)" "$folder/nvdisasm"
"$folder/nvdisasm" --version >/dev/null || skip "it does not run here"
