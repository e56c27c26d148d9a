#!/bin/bash
# A rank per core, on whatever nodes have cores free: waits less where nodes are shared. Rank 0's core is the master's,
# the others have an executor each. Copy it, change what has a comment, and
#
#   sbatch rank_per_core.sh
#SBATCH --job-name=sweep
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
# So many cores.
#SBATCH --ntasks=8
# The job ends then at the latest: hours:minutes:seconds.
#SBATCH --time=01:00:00
# Your site may ask for these: take one # away.
##SBATCH --account=project
##SBATCH --partition=main

# Where rankpool is installed.
PATH=$HOME/rankpool/bin:$PATH

# Your program and its arguments.
exec rankpool-run --ranks "$SLURM_NTASKS" ./app
