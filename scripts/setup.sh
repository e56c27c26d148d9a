#!/usr/bin/env bash
# setup.sh [build] [test] [fuzz] [docs] [tidy] [bench]
# Installs what is missing with apt: for building (the default), for the tests, for the fuzz targets, for the
# documentation, for clang-tidy, for the curves of the benchmark.
# Debian 12, as root or as a user with sudo. Does nothing, not even look for news, when everything is there.
set -euo pipefail

# what it is for | package | why
packages='
build|build-essential|the C++ compiler (g++), with libbacktrace, and the linker
build|cmake|configures the build
build|ninja-build|runs the build
build|libopenmpi-dev|MPI between the nodes: headers and library
build|openmpi-bin|mpirun
build|libboost-dev|Boost headers (Stacktrace; Multiprecision in an example)
build|libboost-mpi-dev|Boost.MPI, the C++ face of MPI
build|libboost-serialization-dev|Boost.Serialization: arguments and results on their way
build|libsqlite3-dev|SQLite: the journal of results
build|libxxhash-dev|xxHash: tells whether inputs are those of the journal
build|librandom123-dev|Random123: the generator of random numbers for tasks
build|libcli11-dev|command lines of the examples
build|python3|rankpool-submit and rankpool-journal
test|libgtest-dev|GoogleTest
test|clang-format|checks the layout of the source
fuzz|clang|the compiler that has libFuzzer
fuzz|libclang-rt-dev|libFuzzer itself, and its sanitizers
test|slurm-wlm|a real Slurm, for the tests of jobs on many nodes
test|munge|tells the daemons of Slurm who asks them
test|iproute2|networks of pretended nodes, for the tests with Slurm
docs|doxygen|builds the reference documentation from the headers
test|valgrind|looks for memory errors
tidy|clang-tidy|finds bugs by reading the source
bench|python3-matplotlib|draws the curves of the benchmark
'

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

wanted=" ${*:-build} "
missing=()
present=0
while IFS='|' read -r purpose package why; do
  case "$wanted" in *" $purpose "*) ;; *) continue ;; esac
  if installed "$package"; then
    present=$((present + 1))
  else
    printf 'missing: %-26s %s\n' "$package" "$why"
    missing+=("$package")
  fi
done < <(grep . <<<"$packages")

if [ "${#missing[@]}" -eq 0 ]; then
  echo "setup: all $present packages are there"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: run this as root, or install sudo: ${#missing[@]} packages are missing" >&2
    exit 1
  fi
  as_root=(sudo)
fi
if ! command -v apt-get >/dev/null; then
  echo "setup: there is no apt-get here; install the packages above by your system's own means" >&2
  exit 1
fi

echo "setup: $present packages are there, installing ${#missing[@]} with apt"
# The tests start daemons of their own: those of the packages are not wanted, and fail to start in many containers.
policy=/usr/sbin/policy-rc.d
if [[ " ${missing[*]} " =~ \ (slurm-wlm|munge)\  ]] && [ ! -e "$policy" ]; then
  # shellcheck disable=SC2064
  trap "${as_root[*]} rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
echo "setup: done"
