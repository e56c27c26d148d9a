#!/bin/sh
# Runs a program and checks its exit status and its output (stdout and stderr together).
#
#   check_output.sh STATUS [REGEX]... -- PROGRAM [ARGUMENT]...
#
# STATUS is a number, or "error" for any status that a program gives itself to report an error (1 to 125).
# Every REGEX (grep -E) must match a line of the output; one that starts with '!' must match none.
set -u

expected_status=$1
shift

regexes=$(mktemp)
output=$(mktemp)
trap 'rm -f "$regexes" "$output"' EXIT
while [ "$1" != -- ]; do
  printf '%s\n' "$1" >>"$regexes"
  shift
done
shift

"$@" >"$output" 2>&1
status=$?

problems=0
complain() {
  echo "check_output: $1"
  problems=$((problems + 1))
}

case $expected_status in
  error) [ "$status" -ge 1 ] && [ "$status" -le 125 ] || complain "the status is $status, expected one from 1 to 125" ;;
  *) [ "$status" -eq "$expected_status" ] || complain "the status is $status, expected $expected_status" ;;
esac

while IFS= read -r regex; do
  case $regex in
    '!'*) grep -E -q -e "${regex#!}" "$output" && complain "a line matches the unwanted: ${regex#!}" ;;
    *) grep -E -q -e "$regex" "$output" || complain "no line matches: $regex" ;;
  esac
done <"$regexes"

cat "$output"
[ "$problems" -eq 0 ]
