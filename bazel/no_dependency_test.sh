#!/bin/bash
# no_dependency_test.sh QUERY_RESULT TARGET WHY: fails where the query found anything.
set -eu
if [ -s "$1" ]; then
  echo "$2 must not depend on:" && cat "$1" && echo "because $3"
  exit 1
fi
