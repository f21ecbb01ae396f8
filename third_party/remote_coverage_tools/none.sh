#!/bin/sh
echo "bazel coverage needs the network: use gcov on a build with --copt=--coverage" >&2
exit 1
