#!/usr/bin/env bash
# demo.sh
# Sets up, builds, and runs the NAS EP kernel (class W, verified against the official sums) on all cores: as ./app, then
# the same program under mpirun.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
# mpirun asks root for this twice, in containers too.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

failures=()
cores=$(nproc)
app=build/release/examples/example_nas_ep

step() {  # <name> <command>...: one step of the demo, with its time
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n   %s\n' "$name" "$*"
  if "$@"; then
    echo "== $name: ok, $((SECONDS - start)) s"
  else
    failures+=("$name (status $?)")
    echo "== $name: FAILED"
    return 1
  fi
}

prepare() {
  step 'set-up' bash scripts/setup.sh build &&
    step 'configure' cmake --preset release &&
    step 'build' cmake --build --preset release --target example_nas_ep
}

verified() {  # <command>...: shows the output and wants status 0 and a verification
  local log status
  log=$(mktemp)
  timeout 300 "$@" | tee "$log"
  status=$?
  if [ "$status" -eq 0 ] && ! grep -qiE 'verif.*(success|ok|passed|yes)' "$log"; then
    echo 'the output shows no successful verification'
    status=1
  fi
  rm -f "$log"
  return "$status"
}

if prepare; then
  step "NAS EP, class W, ./app on $cores cores" verified "$app" --class W
  # One rank more than cores: rank 0 is the master, the others have an executor each.
  step "NAS EP, class W, mpirun on $cores cores" verified \
    mpirun --oversubscribe --bind-to none -n "$((cores + 1))" "$app" --class W
fi

echo
if [ "${#failures[@]}" -eq 0 ]; then
  echo "demo: passed, verified as ./app and under mpirun on $cores cores, ${SECONDS} s in all"
else
  echo "demo: FAILED: $(IFS=';'; echo "${failures[*]}")"
  exit 1
fi
