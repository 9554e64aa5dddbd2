#!/bin/bash
#SBATCH --job-name=fastgan-generate
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# fastgan's images by a Slurm job array: each of its tasks makes one shard, on any machine, in any order.
#
#   sbatch --array=0-15 --gpus-per-task=1 tools/generate_slurm.sh runs/faces -n 1000000 -o /scratch/faces
#
# The arguments are those of `fastgan generate`, but for --shard; OUT lies on a file system that all machines see.
# Two minutes before its time is up a task stops and queues itself again; killed, pre-empted, or submitted again with
# the same line, it goes on where it stopped. Some shards alone: FASTGAN_SHARDS=16 sbatch --array=3,7 tools/...
# Afterwards: sbatch --dependency=afterok:JOB --wrap 'fastgan generate --verify -o /scratch/faces'
set -euo pipefail
: "${1:?"usage: sbatch --array=0-15 tools/generate_slurm.sh MODEL [options of fastgan generate]"}"

shard=${SLURM_ARRAY_TASK_ID:?"this is a job array: submit it with sbatch --array=0-15, from 0 on"}
shards=${FASTGAN_SHARDS:-$((SLURM_ARRAY_TASK_MAX + 1))}
if [ -z "${FASTGAN_SHARDS:-}" ] && [ "$SLURM_ARRAY_TASK_COUNT" -ne "$shards" ]; then
    echo "the array has $SLURM_ARRAY_TASK_COUNT tasks and ends at $SLURM_ARRAY_TASK_MAX: submit it from 0 on without gaps," \
        "or say by FASTGAN_SHARDS=N of how many shards these are some" >&2
    exit 2
fi

# Slurm sends USR1 to this script alone, and only when time runs out: a job that is cancelled is not queued again.
stop() {
    kill -TERM $(jobs -p) 2>/dev/null || true
}
queue_again() {
    echo "shard $shard of $shards: time is up, queued again" >&2
    stop
    wait
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    exit 0
}
trap queue_again USR1  # before there is anything to stop: a signal may come at any time
trap 'stop; exit 143' TERM INT

fastgan generate "$@" --shard "$shard/$shards" &
wait $!
