#!/bin/sh
# completeness.sh <folder of headers> <source>...
# Passes when each static_assert text in the headers is named by the first line of a source, `// expect: <text>`, and
# each source names one text.
set -eu

headers=$1
shift

# What no program can bring about: rankpool's own consistency, and the compiler's ABI.
unbreakable='codec and call have one name for sizes that vary
pointers to member functions need the Itanium ABI'

# One text per line, its string literals joined.
texts=$(find "$headers" -name '*.hpp' -exec awk '
  /static_assert\(/ { inside = 1; text = "" }
  inside {
    rest = $0
    while (match(rest, /"[^"]*"/)) {
      text = text substr(rest, RSTART + 1, RLENGTH - 2)
      rest = substr(rest, RSTART + RLENGTH)
    }
    if (rest ~ /\);[ \t]*$/) {
      inside = 0
      if (text != "") print text
    }
  }' {} +)
expected=$(for source in "$@"; do sed -n '1s|^// expect: *||p' "$source"; done; printf '%s\n' "$unbreakable")

failures=0
complain() {
  echo "$1: $2"
  failures=$((failures + 1))
}
while IFS= read -r text; do
  # Which pattern of the list is in the text?
  printf '%s\n' "$text" | grep -qF -- "$expected" || complain 'no case expects' "$text"
done <<TEXTS
$texts
TEXTS
while IFS= read -r expectation; do
  count=$(printf '%s\n' "$texts" | grep -cF -- "$expectation") || true
  [ "$count" -eq 1 ] || complain "$count texts instead of one have in them" "$expectation"
done <<EXPECTED
$expected
EXPECTED
echo "$(printf '%s\n' "$texts" | grep -c .) texts, $failures failures"
[ "$failures" -eq 0 ]
