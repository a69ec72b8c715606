#!/bin/bash
#SBATCH --job-name=study
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
# One study over the nodes of a job, in a folder that all of them see: sbatch docs/recipes/slurm.sh
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
make install

first=$(hostname)
export PET_NNODES=$SLURM_NNODES PET_NPROC_PER_NODE=gpu PET_RDZV_ENDPOINT=$first:29400
export STUDY_CLUSTER=tcp://$first:8786

.venv/bin/dask scheduler --no-dashboard &
srun --overlap .venv/bin/dask worker "$STUDY_CLUSTER" --nworkers "$SLURM_CPUS_PER_TASK" --nthreads 1 --no-dashboard &
if [ "$SLURM_NNODES" -gt 1 ]; then
    srun --overlap --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$first" make join &
fi
trap 'kill $(jobs -p)' EXIT

make
.venv/bin/dvc push --run-cache
