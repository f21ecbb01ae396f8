#!/bin/bash
# run_python.sh TEST.py [--mpi] [ARG...]: a test of the Python package with the libraries of the
# build; with --mpi as two processes. $FLASHCP_PYTHON is another interpreter than Debian's.
set -eu

test=$1
shift
launcher=()
if [ "${1:-}" = --mpi ]; then
  shift
  launcher=(bazel/run_mpi.sh 2)
fi

export FLASHCP_LIBRARY_DIR=$PWD/api
export PYTHONPATH=$PWD/python:$(dirname "$PWD/$test")
# Files lie in the source tree, behind symbolic links.
export PYTHONDONTWRITEBYTECODE=1
exec "${launcher[@]}" "${FLASHCP_PYTHON:-/usr/bin/python3}" "$test" "$@"
