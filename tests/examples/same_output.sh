#!/bin/sh
# Two programs must print the same and both succeed.
#
#   same_output.sh PROGRAM PROGRAM
set -u

first=$("$1") || { echo "$1 failed:"; echo "$first"; exit 1; }
second=$("$2") || { echo "$2 failed:"; echo "$second"; exit 1; }
if [ "$first" != "$second" ]; then
  printf 'the outputs differ:\n%s\n\n%s\n' "$first" "$second"
  exit 1
fi
echo "$first"
