# shellcheck shell=sh
# Sourced by the tests of limits, after the harness: whoever runs them, the program is run by a user whom limits bind.

command -v setpriv >/dev/null || skip 'needs an unprivileged user, and there is no setpriv to become one'
command -v prlimit >/dev/null || skip 'needs an unprivileged user with limits, and there is no prlimit to set them'

as_user=
if [ "$(id -u)" -eq 0 ]; then
  # One who has no other processes.
  user=$((60000 + $$ % 5000))
  as_user="setpriv --reuid=$user --regid=$user --clear-groups"
fi

# A place that this user may read and write.
place=$(mktemp -d)
trap 'rm -rf "$place"; clean_up' EXIT
chmod 777 "$place"
cp "$PROGRAM" "$place/$name"
app=$place/$name
TMPDIR=$place
HOME=$place
export TMPDIR HOME

# run_as_user WAY ARGUMENT...: as run() does. `limits` may hold a command that sets limits for each rank.
limits=
run_as_user() {
  way=$1
  shift
  what="$way $limits $*"
  case $way in
    alone) set -- $limits "$app" "$@" ;;
    mpirun) set -- "$MPIEXEC" --oversubscribe --bind-to none -n 3 $limits "$app" "$@" ;;
    nodes) set -- env RANKPOOL_TEST_NODES=3 "$MPIEXEC" --oversubscribe --bind-to none -n 3 $limits "$app" "$@" ;;
  esac
  # Not quoted: it is several words, or none.
  # shellcheck disable=SC2086
  run_command $as_user "$@"
}

# fresh_directory: its name is in $marks.
fresh_directory() {
  marks=$(mktemp -d "$place/marks.XXXXXX")
  chmod 777 "$marks"
}
