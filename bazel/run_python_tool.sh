#!/bin/bash
# run_python_tool.sh TOOL ARG...: runs a tool of tools/install_python_tools.sh on the files that the
# test has, as copies: tools leave out links. Prints a reason and passes if the tool is not there.
set -eu

home=$(getent passwd "$(id -u)" | cut -d: -f6)
tool=$home/.cache/flashcp/python-tools/bin/$1
shift
if [ ! -x "$tool" ]; then
  echo "SKIPPED: no $tool: tools/install_python_tools.sh"
  exit 0
fi
cp -rL . "$TEST_TMPDIR/files"
cd "$TEST_TMPDIR/files"
# Both tools keep a cache.
HOME=$TEST_TMPDIR exec "$tool" "$@"
