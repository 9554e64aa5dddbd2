#!/bin/bash
# fastgan's images by all GPUs of a machine: torchrun starts a process for each, and each makes the shard of its rank.
#
#   tools/generate_torchrun.sh runs/faces -n 1000000 -o out/ --format webdataset
#   PROCESSES=4 tools/generate_torchrun.sh ...                              so many processes
#   MACHINES=3 ENDPOINT=first:29500 tools/generate_torchrun.sh ...          the same line on each of three machines
#
# The arguments are those of `fastgan generate`, but for --shard. With several machines OUT lies on a file system that
# all of them see. Stopped at any moment, the same line goes on, with as many processes as before or others.
set -euo pipefail
: "${1:?"usage: tools/generate_torchrun.sh MODEL [options of fastgan generate]"}"

gpus=$(nvidia-smi --list-gpus 2>/dev/null | wc -l) || gpus=0
processes=${PROCESSES:-$((gpus > 0 ? gpus : 1))}
# Threads for encoding and for models that run on the CPU: torchrun would leave each process one.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(($(nproc) / processes > 0 ? $(nproc) / processes : 1))}

if [ -n "${MACHINES:-}" ]; then
    meeting=(--nnodes="$MACHINES" --rdzv-backend=c10d --rdzv-endpoint="${ENDPOINT:?"give ENDPOINT=HOST:PORT, the same on each machine"}")
else
    meeting=(--standalone)
fi
exec torchrun "${meeting[@]}" --nproc-per-node="$processes" -m fastgan generate "$@"
