#!/bin/sh
# Ranks of a program that they may run but not read can't share memory, and say why.
. "$(dirname "$0")/harness.sh"

[ "$(id -u)" -eq 0 ] || skip 'only root has programs that others may not read'
command -v setpriv >/dev/null || skip 'there is no setpriv'
place=$(mktemp -d)
trap 'rm -rf "$place"; clean_up' EXIT
chmod 777 "$place"
cp "$PROGRAM" "$place/$name"
chmod 711 "$place/$name"

as_nobody() {
  run_command env TMPDIR="$place" HOME="$place" setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

what='alone, unreadable'
as_nobody "$place/$name"
expect_status 0

what='mpirun, unreadable'
as_nobody "$MPIEXEC" --oversubscribe --bind-to none -n 2 "$place/$name"
expect_status error
expect_text "rank 1: .*must be able to read the program's file"
expect_gone
finish
