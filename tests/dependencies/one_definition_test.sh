#!/bin/bash
# one_definition_test.sh: no two of our headers define the same name. Compilers do not notice where
# no file includes both; the linker then takes the functions of either for both.
set -euo pipefail

headers=$(find -L codegen compiler dialects runtime session support tools -name '*.h' | grep -v _generated.h | sort)
[ "$(wc -w <<< "$headers")" -gt 60 ] || { echo "only found: $headers"; exit 1; }

# shellcheck disable=SC2086  # no path has blanks
awk '
  FNR == 1 { scope = "" }
  /^namespace [a-zA-Z0-9:]+ \{/ { scope = scope $2 "::" }
  /^\}  ?\/\/ (end )?namespace/ { scope = "" }
  { name = "" }
  /^(struct|class|enum|enum class) [A-Za-z0-9]+ *[:{]/ { name = $2 == "class" ? $3 : $2 }
  /^inline constexpr [a-zA-Z0-9_]+ k[A-Za-z0-9]+/ { name = $4 }
  name != "" {
    sub(/[^A-Za-z0-9].*/, "", name)
    name = scope name
    ++names
    if (name in where) { print name " is defined in " where[name] " and in " FILENAME; failed = 1 }
    where[name] = FILENAME
  }
  END {
    if (names < 200) { print "only " names " definitions found; adapt the patterns"; failed = 1 }
    exit failed
  }' $headers
