#!/bin/sh
# Two files may differ, but in no more than a number of lines (removed and added lines together).
#
#   changed_lines.sh LIMIT FILE FILE
set -u

difference=$(diff "$2" "$3")
status=$?
echo "$difference"
if [ "$status" -ne 1 ]; then
  echo "the files are the same, or one of them cannot be read"
  exit 1
fi
changed=$(printf '%s\n' "$difference" | grep -c '^[<>]')
echo "$changed changed lines, at most $1 allowed"
[ "$changed" -le "$1" ]
