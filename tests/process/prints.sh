#!/bin/sh
# Through a pipe: every line once and whole, also what was printed before run(). Input belongs to the master.
. "$(dirname "$0")/harness.sh"

expected_lines() {
  awk 'BEGIN {
    split("printf cout cerr fprintf", with, " ")
    for (task = 0; task < 1000; ++task) print "task " task " prints with " with[task % 4 + 1] " to the end"
  }'
  for _ in $1; do printf 'printf before run\ncout before run\n'; done
  echo 'the master prints'
}

# expect_same FILE FILE: but for the order of the lines.
expect_same() {
  sort "$2" | diff "$1" - >"$work/difference" || complain "$(head -n 20 "$work/difference")"
}

characters() {
  fold -b -w 1 "$1" | sort | uniq -c
}

for way in $WAYS; do
  what="$way print"
  case $way in
    alone)
      expected_lines 0 | sort >"$work/expected"
      timeout --kill-after=5 30 "$app" print 2>&1 </dev/null | cat >"$out"
      expect_same "$work/expected" "$out"
      ;;
    *)
      # mpirun itself tears lines where it merges the ranks' output, every 4096 bytes of a rank: what it gets from each
      # rank is looked at line by line, what it makes of it by characters.
      expected_lines '0 1 2' | sort >"$work/expected"
      # Not quoted: it is several words.
      # shellcheck disable=SC2046
      timeout --kill-after=5 30 $(launcher "$way" | sed "s|-n 3|-n 3 --output-filename $work/ranks|") print \
        2>&1 </dev/null | cat >"$out"
      find "$work/ranks" -type f -exec cat {} + >"$work/by_rank"
      expect_same "$work/expected" "$work/by_rank"
      characters "$work/expected" >"$work/expected_characters"
      characters "$out" | diff "$work/expected_characters" - >"$work/difference" ||
        complain "characters are missing or too many: $(cat "$work/difference")"
      rm -r "$work/ranks"
      ;;
  esac
  expect_gone

  run "$way" wide
  expect_status 0
  expect_lines "$([ "$way" = alone ] && echo 1 || echo 3)" '^wcout before run$'
  expect_lines 100 '^wide task [0-9]*$'

  # What a task has begun to say, and what becomes of it.
  run "$way" crash
  expect_status 0
  expect_lines 1 '^giving up$'
  expect_lines 0 'is tried again'
  RANKPOOL_LOG=info
  export RANKPOOL_LOG
  run "$way" crash
  unset RANKPOOL_LOG
  expect_status 0
  expect_lines 1 '^giving up$'
  expect_lines 1 '^rankpool: task 0 is tried again: its executor .* was killed by SIGABRT .* in attempt 1 of 3$'

  what="$way read"
  # Not quoted: it is several words.
  # shellcheck disable=SC2046
  printf 'one\ntwo\nthree' | timeout --kill-after=5 30 $(launcher "$way") read >"$out" 2>"$err"
  status=$?
  expect_status 0
  expect_lines 1 '^before run: one$'
  expect_lines 8 '^task: \(end\)$'
  expect_lines 1 '^master: two$'
  expect_lines 1 '^master: three\(end\)$'
  expect_gone
done
finish
