#!/bin/sh
# headers_stand_alone.sh <include directory> <compiler> <flag>...
# Every header compiles on its own and twice, without warnings, without MPI's headers and without an mpicxx.
set -eu

cd "$1"
shift
# shellcheck disable=SC2016  # the inner shell expands them
find rankpool -name '*.hpp' | sort | xargs -P 2 -I HEADER sh -c '
  header=$1
  shift
  printf "#include <%s>\n#include <%s>\nint main() {}\n" "$header" "$header" |
    "$@" -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I. -fsyntax-only -x c++ - ||
    { echo "$header does not compile on its own"; exit 1; }' - HEADER "$@"
