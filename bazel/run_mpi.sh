#!/bin/bash
# run_mpi.sh PROCESSES PROGRAM [ARG...]: mpirun with settings that work in Bazel's sandbox, in
# containers and as root.
set -eu

# OpenMPI makes Unix sockets under TMPDIR: paths of 108 characters at most, so not TEST_TMPDIR.
TMPDIR=$(mktemp -d /tmp/mpi.XXXXXX)
export TMPDIR HOME=$TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# More processes than cores, none bound to one.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# This machine only, without looking for ssh. Containers often forbid processes to read each other.
export OMPI_MCA_plm=isolated OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# Shared memory by a name of its own: in sandboxes, where process ids are small, OpenMPI gives two
# jobs at the same time the same name in /dev/shm, and they overwrite each other.
export OMPI_MCA_btl_vader_backing_directory=$TMPDIR
# OpenMPI leaks, from modules that are unloaded by the time it is reported.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
# Else every process would write the report of the test.
unset XML_OUTPUT_FILE TEST_PREMATURE_EXIT_FILE

mpirun -n "$@"
