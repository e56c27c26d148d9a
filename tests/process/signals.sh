#!/bin/sh
# Signals while long tasks run: to the program, to mpirun, to a single rank. Within seconds everything is gone.
#
#   ... signals.sh [last|last_stubborn]     stubborn tasks ignore all signals, and so do their children
. "$(dirname "$0")/harness.sh"

# As users have it: mpirun gives its processes a second between TERM and KILL.
unset OMPI_MCA_odls_base_sigkill_timeout

tasks=${1:-last}
marks=$work/marks
launched=

tasks_run() {
  [ "$(find "$marks" -name 'task.*' | wc -l)" -ge "$1" ]
}

# start WAY EXECUTORS: in the background, until that many long tasks run.
start() {
  what=$1
  mkdir -p "$marks"
  # Not quoted: they are several words. Without env the shell would have SIGINT ignored.
  # shellcheck disable=SC2046
  RANKPOOL_PROCESSES=$2 env --default-signal=INT,QUIT $(launcher "$1") "$tasks" "$marks" >"$out" 2>"$err" </dev/null &
  launched=$!
  wait_until 20 tasks_run "$2" || complain "the tasks did not start"
}

# expect_end STATUS-REGEX: of what was started.
expect_end() {
  # mpirun gives its ranks some seconds between SIGTERM and SIGKILL.
  wait_until 8 has_ended || { complain "still runs 8 s after $1"; kill -KILL "$launched"; }
  wait "$launched"
  status=$?
  echo "$status" | grep -E -q -x -e "$2" || complain "the status is $status after $1, expected $2"
  expect_gone 2
  rm -r "$marks"
}

has_ended() {
  ! kill -0 "$launched" 2>/dev/null || grep -q '^State:.Z' "/proc/$launched/status" 2>/dev/null
}

# pid_of_rank NUMBER
pid_of_rank() {
  find "$marks" -name "rank$1.*" | sed 's/.*\.//'
}

# Its processes hold no file in the places where files are forgotten, neither open nor as shared memory.
expect_no_named_memory() {
  alive
  while read -r pid; do
    for file in "/proc/$pid/fd"/*; do readlink "$file"; done
    grep -E -e '^[^ ]+ ...s ' "/proc/$pid/maps"
  done <"$work/alive" 2>/dev/null | grep -v -F -e "$work" -e /Testing/ | grep -E -e '(^| )/(dev/shm|tmp)/' >"$work/held"
  [ ! -s "$work/held" ] || complain "files are held: $(sort -u "$work/held")"
}

signal_alone() {
  start alone 2
  [ "$1" != TERM ] || expect_no_named_memory
  kill -s "$1" "$launched"
  expect_end "SIG$1" "$2"
}

# signal_mpirun WAY SIGNAL
signal_mpirun() {
  start "$1" 4
  kill -s "$2" "$launched"
  expect_end "SIG$2 to mpirun" '[1-9][0-9]*'
}

# signal_rank WAY SIGNAL RANK
signal_rank() {
  start "$1" 4
  kill -s "$2" "$(pid_of_rank "$3")"
  expect_end "SIG$2 to rank $3" '[1-9][0-9]*'
}

for way in $WAYS; do
  case $way in
    alone)
      signal_alone TERM 143
      signal_alone INT 130
      signal_alone KILL 137
      ;;
    mpirun)
      signal_mpirun mpirun TERM
      signal_mpirun mpirun INT
      signal_mpirun mpirun KILL
      signal_rank mpirun TERM 1
      signal_rank mpirun INT 0
      signal_rank mpirun KILL 0
      ;;
    nodes)
      signal_mpirun nodes TERM
      signal_mpirun nodes INT
      signal_mpirun nodes KILL
      signal_rank nodes INT 0
      signal_rank nodes TERM 2
      signal_rank nodes KILL 0
      signal_rank nodes KILL 2
      ;;
  esac
done
finish
