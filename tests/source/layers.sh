#!/bin/sh
# layers.sh <project directory>
# MPI is named in src/transport and src/launch alone; public headers know no more of it than the name of
# boost::mpi::communicator; the scheduler and the wire know nothing of the other folders.
set -eu

cd "$1"
failed=0

# Lines of code that match $1, with comments and the texts of strings cut away (names in quotes after #include stay).
code_matching() {
  pattern=$1
  shift
  find "$@" -name '*.[ch]pp' | sort | while read -r file; do
    sed -e 's|//.*||' -e '/#include/!s|"[^"]*"||g' "$file" | grep -nE "$pattern" | sed "s|^|$file:|" || true
  done
}

forbid() {
  rule=$1
  shift
  found=$(code_matching "$@")
  if [ -n "$found" ]; then
    printf '%s:\n%s\n' "$rule" "$found"
    failed=1
  fi
}

mpi='\bO?MPI_[A-Z]|<mpi\.h>|<boost/mpi'
others=$(find src -mindepth 1 -maxdepth 1 -type d ! -name transport ! -name launch ! -name cmake)
# shellcheck disable=SC2086  # a list of folders
forbid 'MPI outside of src/transport and src/launch' "$mpi|boost::mpi" $others
forbid 'MPI in a public header' "$mpi" include
forbid 'src/scheduler uses another folder' '#include "(host|launch|master|task|transport|wire|worker)/' src/scheduler
forbid 'src/wire uses another folder' '#include "(host|launch|master|scheduler|task|transport|worker)/' src/wire
exit "$failed"
