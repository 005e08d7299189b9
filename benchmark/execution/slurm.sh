#!/bin/bash
#SBATCH --job-name=loupe
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
# From the checkout: sbatch [--nodes=8 --gpus-per-node=4] benchmark/execution/slurm.sh --preset standard --data folder
# Ray runs on all nodes of the allocation as long as the driver, which is on the first node. After the time limit,
# submit it again to resume.
set -euo pipefail
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
python=${PYTHON:-$PWD/.venv/bin/python}
# symmetric-run calls `ray` by name, which is in the same directory as python.
export PATH=${python%/*}:$PATH
cpus=${SLURM_CPUS_ON_NODE:-$(nproc)}

# The nodes are exclusive, so Ray's workers need no lower priority.
export RAY_worker_niceness=0
# The nodes of this job authenticate by a token of its own.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
# The driver stores results in LOUPE_RUNS. Each node works on a local disk.
export LOUPE_DRIVER_RUNS=${LOUPE_RUNS:-$PWD/runs}
export LOUPE_RUNS=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/loupe-$SLURM_JOB_ID

srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task="$cpus" \
    "$python" -m ray.scripts.scripts symmetric-run \
    --address "$head:$port" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$cpus" -- \
    env LOUPE_RUNS="$LOUPE_DRIVER_RUNS" "$python" -m benchmark run --engine ray --address "$head:$port" "$@"
