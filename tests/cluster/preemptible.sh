#!/usr/bin/env bash
# The batch script for jobs that go on where they stopped: what the program's status 75 leads to, and what it must not.
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

begin_cluster 2 2
# script SED-SCRIPT: the batch script that rankpool-submit makes for ./app, with changes.
script() { on head "$SUBMIT" --dry-run --preemptible --nodes "$nodes" --output "$out" ./app | sed "$1" >script.sh; }

# Not finished twice, with a rank on each of two nodes.
cat >app <<END
#!/bin/bash
[ "\${SLURM_RESTART_COUNT:-0}" -ge 2 ] || unfinished=75
echo "restart \${SLURM_RESTART_COUNT:-none}"
exec '$SPREAD' 100 100 \${unfinished:-0}
END
chmod +x app

testing 'status 75 twice, then 0; followed'
on head timeout --kill-after=5 100 "$SUBMIT" --preemptible ./app >"$out" 2>"$work/told" </dev/null
status=$?
expect_status 0
expect_lines 3 '^100 results, 0 wrong'
for count in none 1 2; do expect_lines 2 "^restart $count$"; done
for count in 1 2; do
  grep -Eq "job [0-9]+ waits: BeginTime, restart $count$" "$work/told" || complain "it has told: $(cat "$work/told")"
done

nodes=1
testing 'any other status is the end'
cat >app <<'END'
#!/bin/bash
exit 3
END
script ''
job=$(on head sbatch --parsable script.sh)
end_of_job
expect_status 3

testing 'a start that is killed is tried again, in a job that was put into the queue again'
cat >app <<'END'
#!/bin/bash
echo start >>starts
case $(wc -l <starts) in
  1) exit 75 ;;
  2) kill -KILL $$ ;;
  *) exit 0 ;;
esac
END
rm -f starts
script ''
job=$(on head sbatch --parsable script.sh)
end_of_job
expect_status 0
[ "$(wc -l <starts)" -eq 3 ] || complain "it was started $(wc -l <starts) times"
expect_lines 1 '^app: ended with status 137 as soon as it was started again: trying once more$'

testing 'not more often than most_restarts'
cat >app <<'END'
#!/bin/bash
exit 75
END
script 's/^most_restarts=.*/most_restarts=0/'
job=$(on head sbatch --parsable script.sh)
end_of_job
expect_status 75
expect_text 'app: stopped, and not finished: it was put into the queue again 0 times'

testing 'a run that adds nothing to the journal is the last one'
cat >app <<END
#!/bin/bash
exec '$SPREAD' 100 100 75 sweep.journal
END
on n1 ./app >/dev/null
script 's/-lt 600/-lt 0/'
job=$(on head sbatch --parsable script.sh)
end_of_job
expect_status 75
expect_text 'app: stopped, and not finished: this run has added nothing to sweep.journal'

cat >app <<'END'
#!/bin/bash
trap 'echo "asked to end"; exit 75' USR1 TERM
touch ready
while :; do sleep 0.05; done
END
testing 'the signal before the end of the time'
rm -f ready
script 's/^most_restarts=.*/most_restarts=0/'
job=$(on head sbatch --parsable script.sh)
within 30 test -e ready || complain 'the program has not begun'
on head scancel --batch --signal=USR1 "$job"
end_of_job
expect_status 75
expect_lines 1 '^asked to end$'

testing 'scancel is the end'
rm -f ready
script ''
job=$(on head sbatch --parsable script.sh)
within 30 test -e ready || complain 'the program has not begun'
on head scancel "$job"
end_of_job
has_state CANCELLED || complain "the job is $(of_job JobState)"
[ "$(of_job Restarts)" = 0 ] || complain 'it was put into the queue again'
expect_text '^asked to end$'
expect_text 'app: stopped, and not finished: Slurm has ended the job'
finish
