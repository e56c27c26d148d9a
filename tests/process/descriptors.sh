#!/bin/sh
# Started with stdin, stdout or stderr closed, a program's own files don't take their places.
. "$(dirname "$0")/harness.sh"

# started_with CLOSED WAY: closed by the shell that becomes the program.
started_with() {
  what="$2 $1"
  # Not quoted: it is several words.
  # shellcheck disable=SC2046
  run_command $(launcher "$2" | sed "s|$app\$||") sh -c "exec \"\$0\" $1" "$app"
  expect_status 0
  expect_gone
}

for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
  started_with "$closed" alone
done
for way in $WAYS; do
  [ "$way" = alone ] || started_with '<&- >&- 2>&-' "$way"
done
finish
