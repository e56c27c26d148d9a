# shellcheck shell=sh
# Sourced by the tests of whole processes: launches a program in the ways it can be launched, and checks what it leaves.
#
#   PROGRAM=<path> [MPIEXEC=<path>] [WAYS="alone mpirun nodes"] sh test.sh
#
# The program runs under a name of its own, so that its processes can be told from all others.
set -u

: "${PROGRAM:?}" "${MPIEXEC:=}" "${WAYS:=alone}"
work=$(mktemp -d "$(pwd)/$(basename "$0" .sh).XXXXXX")
name=rp$$
app=$work/$name
out=$work/out
err=$work/err
problems=0
status=

# Under another name, the same file.
use_program() {
  ln -f "$1" "$2" 2>/dev/null || cp "$1" "$2"
}

# But for zombies: what has lost its parent waits for the machine's first process, which takes its time.
alive() {
  pgrep -x -r D,I,R,S,T,t "$name" >"$work/alive"
}

clean_up() {
  alive && xargs kill -KILL <"$work/alive" 2>/dev/null
  rm -rf "$work"
}

named_files() {
  for folder in /dev/shm /tmp; do
    find "$folder" -maxdepth 1 \( -iname '*rankpool*' -o -iname "*$name*" \) 2>/dev/null
  done | sort
}

use_program "$PROGRAM" "$app"
named_files >"$work/named_files"
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# rankpool-journal's own files are no leavings of the program's.
journal_tool() {
  TMPDIR=$work "$JOURNAL" "$@"
}

complain() {
  problems=$((problems + 1))
  printf '%s: %s\n' "${what:-$0}" "$1"
  for file in "$out" "$err"; do
    [ -s "$file" ] && sed "s/^/  ${file##*/}: /" "$file" | tail -n 30
  done
}

skip() {
  echo "skipped: $1"
  exit 77
}

# The words that start the program in a way: launcher WAY
launcher() {
  case $1 in
    alone) echo "$app" ;;
    mpirun) echo "$MPIEXEC --oversubscribe --bind-to none -n 3 $app" ;;
    nodes) echo "env RANKPOOL_TEST_NODES=3 $MPIEXEC --oversubscribe --bind-to none -n 3 $app" ;;
  esac
}

# run WAY ARGUMENT...: to the end, with its output in $out and $err and its status in $status.
run() {
  way=$1
  shift
  what="$way $*"
  # Not quoted: it is several words.
  # shellcheck disable=SC2046
  run_command $(launcher "$way") "$@"
}

run_command() {
  timeout --kill-after=5 30 "$@" >"$out" 2>"$err" </dev/null
  status=$?
}

# Whatever came out, the library has named itself at most once in a line.
expect_status() {
  expect_lines 0 'rankpool: .*rankpool: '
  case $1 in
    error) [ "$status" -ge 1 ] && [ "$status" -lt 124 ] || complain "the status is $status, expected that of an error" ;;
    *) [ "$status" -eq "$1" ] || complain "the status is $status, expected $1" ;;
  esac
}

# expect_lines NUMBER REGEX [FILE]...: so many lines of the output match.
expect_lines() {
  expected=$1
  regex=$2
  shift 2
  [ $# -gt 0 ] || set -- "$out" "$err"
  found=$(cat "$@" | grep -E -c -e "$regex")
  [ "$found" -eq "$expected" ] || complain "$found lines match, expected $expected: $regex"
}

expect_text() {
  cat "$out" "$err" | grep -E -q -e "$1" || complain "no line matches: $1"
}

# wait_until SECONDS COMMAND...: fails when the command has not succeeded by then.
wait_until() {
  tries=$(($1 * 20))
  shift
  while ! "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.05
  done
}

nobody() {
  ! alive
}

# expect_gone [SECONDS]: no process of the program is left by then, nor a file in the places where files are forgotten.
expect_gone() {
  if ! wait_until "${1:-2}" nobody; then
    complain "still there after ${1:-2} s: $(ps -o pid=,ppid=,stat=,wchan=,args= -p "$(paste -s -d, "$work/alive")")"
    xargs kill -KILL <"$work/alive" 2>/dev/null
    wait_until 2 nobody
  fi
  named_files | comm -13 "$work/named_files" - >"$work/new_files"
  [ ! -s "$work/new_files" ] || complain "left behind: $(cat "$work/new_files")"
}

finish() {
  [ "$problems" -eq 0 ]
  exit $?
}
