#!/bin/sh
# instructions.sh <program> <workload>=<tasks>=<limit>...
# Instructions of rankpool's own code for each task, of master and executor together, as callgrind counts them: the same
# on every machine, where times are not. What they spend on waiting depends on the machine's mood and is left out; so does
# how many records the master finds at a look, and both take turns on one CPU, where that repeats itself. Others that want
# that CPU make them look more often, never less: the least of three counts is taken. Fails above a limit, with the
# functions that take most.
set -u
program=$1
shift
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# Of functions that look again and again for what has yet to come.
waiting='SharedHost::(wait|doze|has_idle_cpu|spinning_pays|is_called)|Executor::(look_for|wait_for|spin_for|sees)_'
waiting="$waiting|Engine::(sleep|pause)|spin_|Spinner|Backoff|futex"

one_cpu=$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//') || exit 1

count() {  # <tasks>
  for file in "$folder"/out.*; do callgrind_annotate --auto=no --threshold=100 "$file"; done |
    awk -v tasks="$1" -v waiting="$waiting" '
      /^ *[0-9,]+ \(/ && /rankpool::/ && !/:rankpool::bench::|_Function_handler/ && $0 !~ waiting {
        line = $0
        gsub(",", "", $1)
        all += $1
        print $1 / tasks, substr(line, index(line, ")") + 1) >functions
      }
      END { printf "%.1f\n", all / tasks }' functions="$folder/functions"
  rm -f "$folder"/out.*
}

failed=0
for entry; do
  workload=${entry%%=*}
  rest=${entry#*=}
  tasks=${rest%%=*}
  limit=${rest#*=}
  for _ in 1 2 3; do
    if ! RANKPOOL_PROCESSES=1 taskset -c "$one_cpu" valgrind -q --tool=callgrind --callgrind-out-file="$folder/out.%p" \
      "$program" "$workload" >"$folder/log" 2>&1; then
      cat "$folder/log"
      exit 1
    fi
    figure=$(count "$tasks")
    echo "$workload: $figure instructions a task, at most $limit"
    awk -v figure="$figure" -v limit="$limit" 'BEGIN { exit !(figure > 0 && figure <= limit) }' && continue 2
  done
  failed=1
  sort -rn "$folder/functions" | head -n 40
done
exit "$failed"
