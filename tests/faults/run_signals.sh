#!/bin/sh
# Signals to rankpool-run, alone or with all of its process group as a terminal's Ctrl-C: the job ends before it does.
#
#   RUN=<rankpool-run> sh run_signals.sh
. "$(dirname "$0")/../process/harness.sh"

: "${RUN:?}"

has_executors() {
  alive
  [ "$(wc -l <"$work/alive")" -ge 8 ]  # 3 ranks, 3 zygotes, 2 executors
}

# signal NAME TARGET: "" for the script, "-" for its group.
signal() {
  what="SIG$1 to ${2:+the group of }rankpool-run"
  # In the background a shell ignores SIGINT.
  setsid env --default-signal=INT sh -c 'echo $$ >"$0"; exec "$@"' "$work/leader" "$RUN" --ranks 3 "$app" 1 0 60 >"$out" 2>"$err" </dev/null &
  job=$!
  wait_until 10 has_executors || complain 'the job does not start'
  env kill -s "$1" -- "$2$(cat "$work/leader")"
  if ! wait_until 10 ended; then
    complain 'it goes on'
    env kill -s KILL -- "-$(cat "$work/leader")"
  fi
  wait "$job"
  status=$?
}

ended() {
  ! kill -0 "$(cat "$work/leader")" 2>/dev/null
}

for target in '' -; do
  for entry in INT:130 TERM:143 HUP:129; do
    signal "${entry%:*}" "$target"
    [ "$status" -eq "${entry#*:}" ] || complain "the status is $status, expected ${entry#*:}"
    expect_text "rankpool-run: the job was ended by SIG${entry%:*}"
    nobody || complain 'it has ended before its job'
    expect_gone 5
  done
done

signal KILL ''
expect_gone 5
finish
