#!/bin/sh
# layers.sh <project directory>
# MPI is named in src/transport and src/launch alone; public headers know no more of it than the name of
# boost::mpi::communicator; each folder of src includes headers of itself, of include/rankpool, and of the folders below it.
set -eu

# folder: the folders, or single headers, of src that it may use
layers='
support:
journal: support
scheduler: support
shared: support
wire:
task:
host: shared support task scheduler/chunking.hpp
transport: support wire
master: host journal scheduler shared support task transport wire
worker: host support transport wire
launch: host master support task transport wire worker
'

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

for folder in $(find src -mindepth 1 -maxdepth 1 -type d ! -name cmake -printf '%f\n' | sort); do
  if ! line=$(printf '%s' "$layers" | grep "^$folder:"); then
    echo "src/$folder has no line in the table of layers"
    failed=1
    continue
  fi
  allowed=$folder/
  for other in ${line#*:}; do
    case $other in
      *.hpp) allowed="$allowed|$other" ;;
      *) allowed="$allowed|$other/" ;;
    esac
  done
  if grep -rnP --include='*.[ch]pp' "^#include \"(?!$allowed)" "src/$folder"; then
    echo "src/$folder uses what is not below it"
    failed=1
  fi
done
exit "$failed"
