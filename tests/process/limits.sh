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
for tool in setpriv prlimit; do
  command -v "$tool" >/dev/null || skip "there is no $tool"
done

# The limit binds every user but root, who becomes another one for this.
as_user=
user=$(id -u)
more=1 # timeout, which run_command runs
if [ "$user" -eq 0 ]; then
  user=65534
  as_user="setpriv --reuid=$user --regid=$user --clear-groups"
  more=0
fi
# A place that this user may read.
place=$(mktemp -d)
trap 'rm -rf "$place"; clean_up' EXIT
chmod 755 "$place"
cp "$PROGRAM" "$place/$name"

# limited_to PROCESSES: of that user, the program among them.
limited_to() {
  what="at most $1 processes"
  ps -L -U "$user" -o comm= >"$work/processes"
  others=$(grep -c -v -x ps "$work/processes")
  # Not quoted: it is several words, or none.
  # shellcheck disable=SC2086
  run_command $as_user prlimit --nproc="$((others + more + $1))" "$place/$name" 2
  expect_error '(limit.*processes|processes.*limit).*ulimit -u'
}

limited_to 1 # no zygote
limited_to 2 # no executor
rm -rf "$place"
finish
