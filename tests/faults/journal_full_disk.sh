#!/bin/sh
# A journal on a disk that gets full: the program goes on without it, and says so. When there is room again, another run
# does what could not be kept, and gives the same results.
#
#   PROGRAM=<faults_journal_resume> JOURNAL=<rankpool-journal> sh journal_full_disk.sh
. "$(dirname "$0")/../process/harness.sh"

: "${JOURNAL:?}"
if [ "${1:-}" != mounted ]; then
  [ "$(id -u)" -eq 0 ] || skip 'needs root'
  unshare --mount true 2>/dev/null || skip 'needs network namespaces or others (CAP_SYS_ADMIN)'
  exec unshare --mount sh "$0" mounted
fi

disk=$work/disk
ledger=$work/ledger
mkdir "$disk"
mount -t tmpfs -o size=100k none "$disk"
what='a disk of 100 KB'
run alone "$disk/sweep.journal" "$ledger" 6000
expect_status 0
expect_text 'can.t be written: .*(full|I/O error); the program goes on, and tries again each second'
expect_text 'lacks [0-9]+ results that could not be written; their tasks run again next time'
sum=$(cat "$out")

mount -o remount,size=10m "$disk"
what='room again'
journal_tool check "$disk/sweep.journal" >"$out" || complain 'the journal is damaged'
kept=$(journal_tool export "$disk/sweep.journal" | grep -c '^#')
[ "$kept" -gt 0 ] || complain 'nothing was kept'
: >"$ledger"
run alone "$disk/sweep.journal" "$ledger" 6000
expect_status 0
[ "$(cat "$out")" = "$sum" ] || complain "the results differ from $sum"
[ "$(wc -l <"$ledger")" -eq $((6000 - kept)) ] || complain "$(wc -l <"$ledger") tasks ran, $kept of 6000 were kept"
umount "$disk"
finish
