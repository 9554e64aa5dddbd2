#!/bin/bash
#SBATCH --job-name=fastgan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
# fastgan on several machines under Slurm: one torchrun a machine, which starts a process for each of its GPUs.
#
#   sbatch --nodes=2 tools/train_slurm.sh runs/faces photos.fgd --preset stylegan --budget 48h
#
# The first argument is the run folder, on a file system that all machines see; the rest is what `fastgan train` takes.
# Two minutes before its time is up, or when it is pre-empted, training saves and stops. Submitted again with the same
# line, or requeued by Slurm, it goes on from there, with as many machines as it is then given.
set -euo pipefail
run=${1:?"usage: sbatch tools/train_slurm.sh RUN SOURCE [options of fastgan train]"}
shift

if [ -e "$run/config.toml" ]; then
    arguments=(--resume "$run")
else
    arguments=("$@" --out "$run")
fi
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
processes=${SLURM_GPUS_ON_NODE:-1}
export OMP_NUM_THREADS=$((${SLURM_CPUS_PER_TASK:-1} / processes > 0 ? ${SLURM_CPUS_PER_TASK:-1} / processes : 1))

# --shutdown-timeout: how long saving may take once a signal has come.
exec srun --kill-on-bad-exit=1 torchrun \
    --nnodes="$SLURM_NNODES" \
    --nproc-per-node="$processes" \
    --rdzv-id="$SLURM_JOB_ID" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="$first:${FASTGAN_PORT:-29500}" \
    --shutdown-timeout=100 \
    -m fastgan train "${arguments[@]}"
