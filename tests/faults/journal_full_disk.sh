#!/bin/sh
# A journal on a disk that gets full: the program goes on without it, and says so. When there is room again, another run
# does what could not be kept, and gives the same results.
#
#   PROGRAM=<faults_journal_resume> JOURNAL=<rankpool-journal> sh journal_full_disk.sh
if [ "${1:-}" != in_namespace ]; then
  if ! unshare --mount true 2>/dev/null; then
    echo 'skipped: needs root and mount namespaces (CAP_SYS_ADMIN)'
    exit 77
  fi
  exec unshare --mount sh "$0" in_namespace
fi
. "$(dirname "$0")/../process/harness.sh"

: "${JOURNAL:?}"
export RANKPOOL_PROCESSES=2
tasks=4000
disk=$work/disk
ledger=$work/ledger
mkdir "$disk"
trap 'umount --lazy "$disk"; clean_up' EXIT
mount -t tmpfs -o size=100k none "$disk" || exit 1

run alone "$disk/sweep.journal" "$ledger" "$tasks"
expect_status 0
expect_text 'can.t be written: .*(full|I/O error); the program goes on, and tries again each second'
expect_text 'lacks [0-9]+ results that could not be written; their tasks run again next time'
sum=$(cat "$out")

mount -o remount,size=10m "$disk" || exit 1
journal_tool check "$disk/sweep.journal" >"$out" || complain 'the journal is damaged'
kept=$(journal_tool export "$disk/sweep.journal" | grep -c '^#')
[ "$kept" -gt 0 ] || complain 'nothing was kept'
: >"$ledger"
run alone "$disk/sweep.journal" "$ledger" "$tasks"
expect_status 0
[ "$(cat "$out")" = "$sum" ] || complain "the results differ from $sum"
[ "$(wc -l <"$ledger")" -eq $((tasks - kept)) ] || complain "$(wc -l <"$ledger") tasks ran, $kept of $tasks were kept"
finish
