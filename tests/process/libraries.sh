#!/bin/sh
# A rank that has loaded another build of a library is named, with its host and the library.
#
#   ... LIBRARIES="<folder> <folder>" libraries.sh
. "$(dirname "$0")/harness.sh"

# Two words.
# shellcheck disable=SC2086
set -- ${LIBRARIES:?}

LD_LIBRARY_PATH=$1 run_command "$app"
expect_status 0
expect_lines 1 '^greatest 1099$'
expect_lines 1 '^own: 5$'
expect_gone

what='two builds'
run_command "$MPIEXEC" --oversubscribe --bind-to none -n 2 -x LD_LIBRARY_PATH="$1" "$app" : \
  -n 1 -x LD_LIBRARY_PATH="$2" "$app"
expect_status 0
expect_lines 1 "^caught: rankpool: rank 2 on $(hostname): .*'libprocess_library.so'.*'$2/libprocess_library.so' is another"
expect_lines 1 '^own: 5$'
expect_gone
finish
