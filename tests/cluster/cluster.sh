#!/usr/bin/env bash
# cluster.sh up CPUS...         a machine "head", and machines n1, n2, ... with so many CPUs each, under Slurm
# cluster.sh on MACHINE COMMAND...
# cluster.sh cut MACHINE        takes the power away
# cluster.sh boot MACHINE       and gives it again
# cluster.sh link MACHINE up|down
# cluster.sh down
#
# A real Slurm on one machine, for tests. A pretended machine is a set of namespaces: it has its own network, processes,
# /dev/shm and host name, and shares all files with the others, as on a cluster whose nodes mount the same. What there is
# of it lies in the folder CLUSTER. Slurm gives up a node after SLURMD_TIMEOUT seconds, 10 by default. Needs root, and
# what Slurm and iproute2 bring; status 77 and the reason on a line "skipped: ..." where the machine doesn't give that.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${CLUSTER:?the folder that the cluster lives in}
prefix=rp$(cksum <<<"$state" | cut -d ' ' -f 1)  # of its network namespaces, whose names all of the machine see
network=10.91.0                                   # exists in these namespaces only
start_limit=40                                    # seconds

fail() {
  echo "cluster: $*" >&2
  exit 1
}

skip() {
  echo "skipped: $*"
  exit 77
}

require_means() {
  [ "$(id -u)" -eq 0 ] || skip 'needs root'
  local program
  for program in slurmctld slurmd srun munged nsenter unshare ip ps; do
    command -v "$program" >/dev/null || skip "needs Slurm, munge and iproute2: there is no $program"
  done
  unshare --net --uts --mount --ipc --pid --fork ip link add cable type veth peer name plug 2>/dev/null ||
    skip 'needs network namespaces and cables in them (CAP_SYS_ADMIN, CAP_NET_ADMIN)'
}

address() {
  case $1 in
    head) echo "$network.1" ;;
    n*) echo "$network.$((10 + ${1#n}))" ;;
  esac
}

# The number of a machine's first process; fails where it has no power.
power() {
  local pid namespace
  read -r pid namespace 2>/dev/null <"$state/$1.machine" && [ "$(readlink "/proc/$pid/ns/pid")" = "$namespace" ] && echo "$pid"
}

on() {
  local pid
  pid=$(power "$1") || fail "$1 has no power"
  nsenter --target "$pid" --net --uts --mount --ipc --pid --wd="$PWD" -- env SLURM_CONF="$state/slurm.conf" "${@:2}"
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "$what did not come about; see $state/log"
    sleep 0.05
  done
}

link() { [ "$1" = head ] || ip -n "$prefix-head" link set "cable${1#n}" "$2"; }

boot() {
  power "$1" >/dev/null && fail "$1 is up already"
  link "$1" up
  rm -f "$state/$1.machine"
  setsid nsenter --net="/run/netns/$prefix-$1" unshare --uts --mount --ipc --pid --fork --propagation private \
    bash "$here/machine.sh" "$1" "$state" >>"$state/log/$1" 2>&1 </dev/null &
  disown
  wait_for 10 "the start of $1" power "$1"
}

# The kernel ends all processes of a pid namespace with its first one, and would say good-bye on their connections.
cut() {
  local pid
  pid=$(power "$1") || return 0
  link "$1" down
  kill -KILL "$pid"
  wait_for 10 "the end of $1" test ! -e "/proc/$pid"
  rm -f "$state/$1.machine"
}

configure() {  # <CPUs>...
  local i
  {
    echo '127.0.0.1 localhost'
    echo "$(address head) head"
    for ((i = 1; i <= $#; ++i)); do echo "$(address "n$i") n$i"; done
  } >"$state/hosts"
  (umask 077 && head -c 128 /dev/urandom >"$state/munge.key")
  {
    cat <<END
ClusterName=pretended
SlurmctldHost=head($(address head))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job may be requeued as soon as its credential has expired: the shortest there is.
AuthInfo=socket=$state/munge.socket,cred_expire=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/spool.%n
TmpFS=$state/tmp.%n
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.%n.pid
SlurmctldLogFile=$state/log/slurmctld
SlurmdLogFile=$state/log/slurmd.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerNode=1000
SwitchType=switch/none
MpiDefault=pmix
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
SlurmdTimeout=${SLURMD_TIMEOUT:-10}
SlurmctldTimeout=30
InactiveLimit=0
UnkillableStepTimeout=20
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
    for ((i = 1; i <= $#; ++i)); do
      echo "NodeName=n$i NodeAddr=$(address "n$i") CPUs=${!i} RealMemory=4000 State=UNKNOWN"
    done
  } >"$state/slurm.conf"
}

# A bridge on the head, and a cable to each machine.
wire_up() {  # <machines>
  ip netns add "$prefix-head"
  local head="ip -n $prefix-head" i name
  $head link add bridge0 type bridge
  $head addr add "$(address head)/24" dev bridge0
  $head link set bridge0 up
  for ((i = 1; i <= $1; ++i)); do
    name=$prefix-n$i
    ip netns add "$name"
    ip -n "$name" link add eth0 type veth peer name "cable$i" netns "$prefix-head"
    $head link set "cable$i" master bridge0 up
    ip -n "$name" addr add "$(address "n$i")/24" dev eth0
    ip -n "$name" link set eth0 up
  done
}

all_idle() { [ "$(on head sinfo --noheader --Node --format=%T | grep -c '^idle$')" -eq "$1" ]; }

up() {
  [ $# -gt 0 ] || fail 'how many CPUs has each machine?'
  require_means
  [ ! -e "$state" ] || fail "$state is there already: cluster.sh down"
  mkdir -p "$state/log" "$state/controller"
  trap down_after_failure EXIT
  configure "$@"
  wire_up $#
  boot head
  local i
  for ((i = 1; i <= $#; ++i)); do
    mkdir -p "$state/spool.n$i" "$state/tmp.n$i"
    boot "n$i"
  done
  wait_for "$start_limit" "a cluster of $# idle machines" all_idle $#
  trap - EXIT
}

down_after_failure() {
  tail -n 5 "$state"/log/* >&2 || true
  down
}

down() {
  local machine name pid
  for machine in "$state"/*.machine; do
    [ -e "$machine" ] || continue
    machine=${machine##*/}
    cut "${machine%.machine}"
  done
  for name in $(ip netns list | awk '{print $1}' | grep "^$prefix-"); do
    for pid in $(ip netns pids "$name"); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$name"
  done
  rm -rf "$state"
}

case ${1:-} in
  up) up "${@:2}" ;;
  on) on "${@:2}" ;;
  cut) cut "$2" ;;
  boot) boot "$2" ;;
  link) link "$2" "$3" ;;
  down) down ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 64 ;;
esac
