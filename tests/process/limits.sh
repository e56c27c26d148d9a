#!/bin/sh
# A machine that is too small: no process for the executors, no memory for the channel.
. "$(dirname "$0")/harness.sh"

expect_error() {
  expect_status error
  expect_text "$1"
  expect_lines 0 'tasks in the master'
  expect_gone
}

# In a subshell, since limits can't be taken back.
what='ulimit -f'
(ulimit -f 100 && run_command "$app" && exit "$status")
status=$?
expect_error 'memory.*(file size|ulimit -f)'

# Enough for the program, too little for the channel.
what='ulimit -v'
(ulimit -v "$(($(du -k -L "$PROGRAM" | cut -f 1) + 150000))" && run_command "$app" && exit "$status")
status=$?
expect_error 'memory'

[ "$problems" -eq 0 ] || finish
[ "$(id -u)" -eq 0 ] || skip 'only root may become the user whose processes are limited'
for tool in setpriv prlimit; do
  command -v "$tool" >/dev/null || skip "there is no $tool"
done

# A place that any user may read.
nobody_id=65534
place=$(mktemp -d)
trap 'rm -rf "$place"; clean_up' EXIT
chmod 755 "$place"
cp "$PROGRAM" "$place/$name"
others=$(ps -L -U "$nobody_id" --no-headers | wc -l)

# limited_to PROCESSES: of that user, the program among them.
limited_to() {
  what="at most $1 processes"
  run_command setpriv --reuid="$nobody_id" --regid="$nobody_id" --clear-groups prlimit --nproc="$((others + $1))" \
    "$place/$name" 2
  expect_error '(limit.*processes|processes.*limit).*ulimit -u'
}

limited_to 1 # no zygote
limited_to 2 # no executor
rm -rf "$place"
finish
