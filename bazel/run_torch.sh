#!/bin/bash
# run_torch.sh floor|current TEST.py [ARG...]: runs a test by an interpreter that has PyTorch:
# Debian's (1.13, the oldest that is supported), or that of tools/install_torch.sh. Prints a reason
# and passes if it is not there.
set -eu

torch=$1
shift
case $torch in
floor)
  python=/usr/bin/python3
  install="apt-get install --no-install-recommends python3-torch libopenblas0-pthread"
  ;;
current)
  home=$(getent passwd "$(id -u)" | cut -d: -f6)
  python=${FLASHCP_TORCH_PYTHON:-$home/.cache/flashcp/torch-2.15.0/bin/python}
  install=tools/install_torch.sh
  ;;
esac
if [ ! -x "$python" ] || ! reason=$("$python" -c 'import torch' 2>&1); then
  echo "SKIPPED: $python has no PyTorch (${reason:-no such file}): $install"
  exit 0
fi
export FLASHCP_PYTHON=$python
# Ranks are threads or processes on the cores of one machine, and talk over the loopback.
export OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME=lo
exec bazel/run_python.sh "$@"
