#!/bin/sh
# The kernel short of memory, in a control group of a few hundred megabytes: it kills executors first.
. "$(dirname "$0")/../../process/harness.sh"

[ "$(id -u)" -eq 0 ] || skip 'needs root, to make a control group'
root=/sys/fs/cgroup
if [ -d $root/memory ]; then
  group=$root/memory/$name
  limit=memory.limit_in_bytes
else
  group=$root/$name
  limit=memory.max
fi
mkdir "$group" 2>/dev/null || skip 'needs root that may make control groups'
trap 'rmdir "$group"; clean_up' EXIT
echo $((400 << 20)) >"$group/$limit" 2>/dev/null || skip 'needs root that may limit the memory of control groups'
for swap in memory.memsw.limit_in_bytes memory.swap.max; do
  [ ! -e "$group/$swap" ] || echo $((400 << 20)) >"$group/$swap" 2>/dev/null
done

# The master's 220 MB are more than half of it.
for way in $WAYS; do
  what=$way
  # shellcheck disable=SC2046
  run_command sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" $(launcher "$way") 220
  expect_status 0
  expect_lines 1 '^lost: .*SIGKILL.*lack of memory'
  expect_lines 1 '^10 executors were killed'
  expect_gone
done
finish
