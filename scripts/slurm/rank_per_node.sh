#!/bin/bash
# One rank per node, with executors on all of the node's CPUs: the usual choice. Copy it, change what has a comment, and
#
#   sbatch rank_per_node.sh
#SBATCH --job-name=sweep
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
# So many whole nodes. Where nodes are shared, instead of --exclusive: --cpus-per-task=16, for 16 CPUs of each node.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
# The job ends then at the latest: hours:minutes:seconds.
#SBATCH --time=01:00:00
# Your site may ask for these: take one # away.
##SBATCH --account=project
##SBATCH --partition=main

# Where rankpool is installed.
PATH=$HOME/rankpool/bin:$PATH

# Your program and its arguments. -n and a number after rankpool-run: so many executors in all.
exec rankpool-run ./app
