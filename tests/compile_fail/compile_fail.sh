#!/bin/sh
# compile_fail.sh <source> <compiler> <flag>...
# Passes when the compiler refuses the source with the text of its first line, `// expect: <text>`. control.cpp has to
# compile instead.
set -eu

source=$1
shift
status=0
output=$("$@" -fsyntax-only "$source" 2>&1) || status=$?

if [ "$(basename "$source")" = control.cpp ]; then
  printf '%s\n' "$output"
  exit "$status"
fi

expected=$(sed -n '1s|^// expect: *||p' "$source")
if [ -z "$expected" ]; then
  echo "$source: the first line must be '// expect: <text>'"
  exit 1
fi
if [ "$status" -eq 0 ]; then
  echo "$source compiles; it should fail with: $expected"
  exit 1
fi
if ! printf '%s\n' "$output" | grep -qF -- "$expected"; then
  printf '%s\n' "$output"
  echo "$source fails, but not with: $expected"
  exit 1
fi
