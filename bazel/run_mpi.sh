#!/bin/bash
# run_mpi.sh PROCESSES PROGRAM [ARG...]
set -eu
. bazel/mpi_environment.sh
processes=$1
shift
mpirun -n "$processes" "$@"
