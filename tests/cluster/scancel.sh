#!/usr/bin/env bash
# scancel of a sweep on three nodes, by whatever it was launched: it ends in order, with a sound journal, and leaves no
# process anywhere.
#
#   SWEEP=<faults_journal_resume> JOURNAL=<rankpool-journal> ... bash scancel.sh
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${SWEEP:?}" "${JOURNAL:?}"
begin_cluster 2 2 2
cp "$SWEEP" app
PATH=$(dirname "$RUN"):$PATH

# Slurm says of a job that it was cancelled; this says what the launcher ended with.
cat >noting_status <<'END'
#!/bin/bash
trap : TERM
"$@"
echo "$?" >status
END
chmod +x noting_status

for entry in '75 rankpool-run' '75 srun --mpi=pmix' '1 mpirun --map-by ppr:1:node --bind-to none'; do
  read -ra command <<<"$entry"
  expected=${command[0]} command=("${command[@]:1}")
  testing "scancel, ${command[*]}"
  rm -f status
  sweep 12000 ./noting_status "${command[@]}"
  on head scancel "$job"
  within 30 has_state CANCELLED || complain "the job is $(of_job JobState)"
  expect_nobody n1 n2 n3
  within 10 test -s status || complain 'the launcher has not ended'
  status=$(cat status)
  expect_status "$expected"
  expect_lines 1 '^rankpool: the job is going to be ended: SIGTERM .* has come; of map .* have ended, and the journal has their results$'
  "$JOURNAL" check sweep.journal >"$work/check" || complain "the journal is damaged: $(cat "$work/check")"
  told=$(sed -n 's/.* of map \([0-9]*\) of [0-9]* tasks have ended, .*/\1/p' "$out")
  kept=$("$JOURNAL" export sweep.journal | grep -c '^#1,')
  [ "$kept" -eq "${told:-0}" ] || complain "the journal has $kept results, the program told of ${told:-none}"
done
finish
