#!/bin/bash
# machine.sh <name> <state directory>
# The first process of a pretended machine, in namespaces of its own: mounts what a machine has to itself, starts its
# daemons, and collects orphans.
name=$1 state=$2

read -r pid _ </proc/self/stat  # the old /proc: our number outside
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm   # what ranks of one machine share there, those of others must not see
mount --bind "$state/hosts" /etc/hosts
hostname "$name"
ip link set lo up
# What the one who starts the cluster was started by is nothing to its machines.
unset "${!OMPI_@}" "${!PMIX_@}" "${!SLURM_@}" "${!RANKPOOL_@}"
export SLURM_CONF=$state/slurm.conf
cd "$state" || exit 1

if [ "$name" = head ]; then
  munged --force --socket="$state/munge.socket" --pid-file="$state/munged.pid" --key-file="$state/munge.key" \
    --log-file="$state/log/munged" --seed-file="$state/munge.seed" || exit 1
  slurmctld -D -c -f "$SLURM_CONF" >"$state/log/slurmctld.out" 2>&1 &
else
  slurmd -D -f "$SLURM_CONF" >>"$state/log/slurmd.$name.out" 2>&1 &
fi

# With its namespace, by which it is told from a later process of that number.
echo "$pid $(readlink "/proc/self/ns/pid")" >"$state/$name.new" && mv "$state/$name.new" "$state/$name.machine"
while :; do
  sleep 3600 &
  wait "$!"
done
