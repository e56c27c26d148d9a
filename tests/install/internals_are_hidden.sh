#!/bin/sh
# internals_are_hidden.sh <prefix> <its library directory>
# The shared library offers namespace rankpool and rankpool::detail, and none of the folders of src.
set -eu

symbols=$(nm -DC --defined-only "$1/$2/librankpool.so")
if ! printf '%s\n' "$symbols" | grep -q ' rankpool::'; then
  echo "the shared library offers nothing of rankpool"
  exit 1
fi
internals=$(printf '%s\n' "$symbols" |
  grep -E ' [A-TX-Z] rankpool::(host|launch|master|scheduler|support|task|transport|wire|worker)::' || true)
if [ -n "$internals" ]; then
  printf 'visible, and should not be:\n%s\n' "$internals"
  exit 1
fi
