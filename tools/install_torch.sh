#!/bin/bash
# Installs PyTorch 2.15 with transformers into a virtual environment of its own for the tests of
# flashcp.torch, once: by default ~/.cache/flashcp/torch-2.15.0. Prints a reason and fails if it
# cannot be had; tests that need it are then skipped and say so.
#
# PyPI's only wheel for Linux is the CUDA build, whose libraries are 2.4 GB that CPU code never
# calls. Empty shared objects stand in for them, and calls bind lazily, so that one that is made all
# the same ends the process with 'symbol lookup error'. The two small libraries that import does
# call, cudart and cupti, are the real ones. 0.6 GB of download, 1.7 GB of disk.
set -euo pipefail

version=2.15.0
home=$(getent passwd "$(id -u)" | cut -d: -f6)
venv=${1:-$home/.cache/flashcp/torch-$version}

# Adds Triton to what there is, once; without it one test is skipped.
install_triton() {
  local folder=$venv/triton
  [ ! -e "$folder/complete" ] || return 0
  rm -rf "$folder"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 2 --no-deps --no-compile \
    --target "$folder" triton==3.9.0 || {
    echo "flashcp: no Triton" >&2
    return 0
  }
  # What compiles for GPUs stays; what measures on them is as large.
  (cd "$folder/triton" && rm -rf _C/libproton.so backends/amd/lib/*.so backends/nvidia/lib/cupti*)
  touch "$folder/complete"
}

if [ -e "$venv/complete" ]; then
  install_triton
  exit
fi

skip() {
  echo "flashcp: no PyTorch $version: $1" >&2
  exit 1
}
python=
for candidate in python3.11 python3.12 python3.13 python3; do
  if "$candidate" -c 'import sys, venv, ensurepip; assert (3, 11) <= sys.version_info < (3, 16)' \
    2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || skip "it needs Python 3.11 to 3.15 with venv (Debian: python3-venv)"
command -v gcc >/dev/null || skip "it needs gcc, for stubs of CUDA libraries"

echo "flashcp: installing PyTorch $version into $venv" >&2
rm -rf "$venv"
"$python" -m venv "$venv" || skip "python -m venv failed"
install() { "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 2 "$@"; }
install --no-deps "torch==$version" nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86 ||
  skip "pip could not install it"
install filelock typing-extensions sympy networkx jinja2 fsspec 'setuptools>=77.0.3' numpy ||
  skip "pip could not install what it needs"
# The example with a model of Hugging Face is skipped without it.
install transformers==5.24.0 || echo "flashcp: no transformers" >&2

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
lib=$site/torch/lib
stub() { gcc -shared -Wl,-soname,"$1" -o "$lib/$1" "${@:2}" -x c -; }
for so in libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 \
  libcusparse.so.12 libcusparseLt.so.0 libnccl.so.2 libnvrtc.so.13; do
  stub "$so" </dev/null
done
echo 'NVSHMEM { global: *; };' >"$lib/nvshmem.map" # its one datum binds at load time
echo 'int nvshmem_selected_device_transport;' |
  stub libnvshmem_host.so.3 -Wl,--version-script,"$lib/nvshmem.map"
echo 'import sys, os; sys.setdlopenflags(os.RTLD_LAZY)' >"$site/torch_cpu_stubs.pth"

"$venv/bin/python" -c 'import torch; torch.randn(8, 8) @ torch.randn(8, 8)' ||
  skip "it does not run with stubs for CUDA libraries"
touch "$venv/complete"
install_triton
