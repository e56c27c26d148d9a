#!/usr/bin/env bash
# The batch scripts of scripts/slurm as they stand, and rankpool-submit, which fills them in.
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

templates=$(dirname "$SUBMIT")/slurm
begin_cluster 2 2 2 2
# They look for rankpool here.
export HOME=$work/home
mkdir -p "$HOME/rankpool/bin"
ln -s "$(dirname "$SUBMIT")"/rankpool-* "$HOME/rankpool/bin"
SUBMIT=$HOME/rankpool/bin/rankpool-submit

# The program that each case wants to run, ./app.
app() {
  { echo '#!/bin/bash'; cat; } >app
  chmod +x app
}

# as_it_stands TEMPLATE: submitted by hand, to its end.
as_it_stands() {
  job=$(on head sbatch --parsable --output="$out" "$templates/$1")
  end_of_job
}

# Follows a job in the background, which gets a number as soon as there is one.
follow() {
  on head timeout --kill-after=5 60 "$SUBMIT" "$@" >"$out" 2>"$work/told" </dev/null &
  follower=$!
  within 10 grep -Eqs 'job [0-9]+' "$work/told" || complain 'rankpool-submit says nothing about its job'
  job=$(sed -n 's/.*job \([0-9]*\).*/\1/p;q' "$work/told")
}
end_of_following() {
  wait "$follower"
  status=$?
}
expect_told() { grep -Eq -e "$1" "$work/told" || complain "it has not told $1, but: $(cat "$work/told")"; }

app <<<"exec '$EP' --class W"
testing 'rank_per_node.sh as it stands'
as_it_stands rank_per_node.sh
expect_verified
expect_text 'on 3 executors'

testing 'rank_per_core.sh as it stands'
as_it_stands rank_per_core.sh
expect_verified
expect_text 'on 7 executors'

testing 'rankpool-submit, 4 nodes'
run "$SUBMIT" --nodes 4 --time 5 --job-name 'a sweep' --output '%x %j.out' ./app
expect_verified
expect_text 'on 7 executors'
[ -s "$(echo 'a sweep '*.out)" ] || complain 'its output is not in "a sweep NUMBER.out"'

testing 'rankpool-submit, a rank per core'
run "$SUBMIT" --ranks-per core --ntasks 5 ./app
expect_verified
expect_text 'on 4 executors'

testing 'rankpool-submit, -n and CPUs'
run "$SUBMIT" --nodes 2 --cpus-per-task 1 -n 5 ./app
expect_verified
expect_text 'on 5 executors'

testing 'rankpool-submit hands on arguments of all characters'
# shellcheck disable=SC2016
words=("a'b" 'c"d' 'e\f' 'g  h' '$HOME `id` ${x' $'i\nj' '' '*' '#k' '%l;&|<>!' -n '\1 \g<0>' ./app $'m\\')
printf '%q\n' "${words[@]}" | sort >expected
app <<<'printf "%q\n" "$@"'
mv app 'its "own'\''s \ app'
for options in '--nodes 1' '--preemptible --nodes 1' '--array 7'; do
  read -ra options <<<"$options"
  run "$SUBMIT" "${options[@]}" ./its*app "${words[@]}"
  expect_status 0
  grep -v '^rankpool-submit: ' "$out" | sort | cmp - expected || complain "${options[*]}: they are other ones"
done

testing 'rankpool-submit refuses what is no number'
for options in '-n 0' '-n two' '-n 1;id' '--nodes 0' '--nodes 4-2' '--nodes 2-' '--cpus-per-task 1.5' \
               '--ranks-per core --ntasks 2-4'; do
  read -ra options <<<"$options"
  run "$SUBMIT" --dry-run "${options[@]}" ./app
  expect_status 1
  expect_text "^rankpool-submit: ${options[*]: -2}: not a number of (executors|nodes|CPUs|cores)$"
done
run "$SUBMIT" --dry-run --nodes 2-4 ./app
expect_lines 1 '^#SBATCH --nodes=2-4$'

testing 'array.sh as it stands'
app <<END
echo "number \$1"
exec '$EP' --class W
END
job=$(on head sbatch --parsable --output='array-%a' "$templates/array.sh")
within 60 has_state $'COMPLETED\nCOMPLETED\nCOMPLETED' || complain "the jobs are $(of_job JobState | xargs)"
cat array-{1,2,3} >"$out"
expect_lines 3 'verification +SUCCESSFUL'
for number in 1 2 3; do expect_lines 1 "^number $number$"; done

testing 'rankpool-submit, an array'
run "$SUBMIT" --array 4-7%2 ./app '%a'
expect_status 0
expect_lines 4 'verification +SUCCESSFUL'
for number in 4 5 6 7; do expect_lines 1 "^number $number$"; done

testing 'rankpool-submit, the status of an array'
app <<'END'
exit "$1"
END
run "$SUBMIT" --array 3,5,0 ./app '%a'
expect_status 5
expect_text 'job [0-9]+_3 has ended: FAILED, status 3'

testing 'rankpool-submit tells what a job waits for, and shows what it writes'
app <<'END'
echo 'I wait.'
until [ -e go ]; do sleep 0.05; done
echo 'I go.'; exit 7
END
rm -f go
follow --nodes 1 --sbatch=--hold ./app
within 10 grep -q 'waits: JobHeldUser' "$work/told" || complain "it has told only: $(cat "$work/told")"
on head scontrol release "$job"
within 20 grep -q 'I wait.' "$out" || complain 'it does not show what the job writes'
touch go
end_of_following
expect_status 7
expect_text '^I go\.$'
expect_told "job $job has ended: FAILED, status 7"

testing 'rankpool-submit tells when a job will not start'
follow --nodes 5 ./app
within 20 grep -q "waits: PartitionNodeLimit: it will not start, .* scancel $job" "$work/told" ||
  complain "it has told only: $(cat "$work/told")"
on head scancel "$job"
end_of_following

testing 'Ctrl-C ends the following, not the job'
rm -f go
follow --nodes 1 ./app
within 20 grep -q 'I wait.' "$out" || complain 'it does not show what the job writes'
pkill -INT -f "python3 $SUBMIT"
end_of_following
expect_status 130
expect_told "job $job goes on, with its output in $work/app-$job.out"
touch go
run "$SUBMIT" --follow "$job"
expect_status 7
expect_text '^I go\.$'

testing 'sbatch refuses'
run "$SUBMIT" --partition none ./app
expect_status 1
expect_text 'rankpool-submit: sbatch failed with status 1: .*invalid partition'

testing 'a job that Slurm does not know'
run "$SUBMIT" --follow 99999
expect_status 1
expect_text 'Slurm knows no job 99999'
finish
