#!/bin/bash
# An array: many jobs of the same kind that don't need each other, each with executors of its own and its own output.
# Copy it, change what has a comment, and
#
#   sbatch array.sh
#SBATCH --job-name=sweep
#SBATCH --output=%x-%A_%a.out
#SBATCH --open-mode=append
# One job for each number. 1-100%8 lets eight at a time run.
#SBATCH --array=1-3
# What each of them has.
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2
# Each job ends then at the latest: hours:minutes:seconds.
#SBATCH --time=01:00:00
# Your site may ask for these: take one # away.
##SBATCH --account=project
##SBATCH --partition=main

# Where rankpool is installed.
PATH=$HOME/rankpool/bin:$PATH

# Your program and its arguments, among them the number of the job. A journal needs that number in its name, too.
exec rankpool-run ./app "$SLURM_ARRAY_TASK_ID"
