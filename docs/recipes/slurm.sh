#!/bin/bash
#SBATCH --job-name=study
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
# One study over the nodes of a job, in a folder that all of them see: sbatch docs/recipes/slurm.sh
# Dask runs code that it is sent: only who has this job's certificate, made here, may send it any. torchrun has no such
# lock: several nodes train one run together only where you say that no other user's process reaches the nodes of your
# job (ask who runs the cluster): sbatch --export=ALL,STUDY_TRUSTED_NETWORK=1 docs/recipes/slurm.sh
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
make install
export PATH="$PWD/.venv/bin:$PATH" PET_NPROC_PER_NODE=gpu
first=$(hostname)
address=$(getent ahostsv4 "$first" | awk '{print $1; exit}') # in the job's network; not 0.0.0.0, which is all of them

certificates=$(mktemp -d -p "$PWD" .certificates.XXXXXX) # for this user alone
trap 'kill $(jobs -p) 2> /dev/null; rm -rf "$certificates"' EXIT
openssl req -x509 -newkey rsa:3072 -nodes -days 3 -subj "/CN=study" \
    -keyout "$certificates/key.pem" -out "$certificates/certificate.pem" 2> /dev/null
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True
export DASK_DISTRIBUTED__COMM__TLS__CA_FILE="$certificates/certificate.pem"
for role in SCHEDULER WORKER CLIENT; do
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__CERT=$certificates/certificate.pem"
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__KEY=$certificates/key.pem"
done
export STUDY_CLUSTER=tls://$address:8786
dask scheduler --protocol tls --host "$address" --port 8786 --no-dashboard &
srun --overlap dask worker "$STUDY_CLUSTER" --protocol tls --nworkers "$SLURM_CPUS_PER_TASK" --nthreads 1 --no-dashboard &

python -m stages.commands.check
if [ "$SLURM_NNODES" -gt 1 ] && [ "${STUDY_TRUSTED_NETWORK:-}" = 1 ]; then
    dvc repro augment
    dvc stage list --name-only | grep '^tune@' | xargs dvc repro
    for stage in $(dvc stage list --name-only | grep '^train@'); do
        IFS=- read -r -a words <<< "${stage#train@}"
        export PET_NNODES=$SLURM_NNODES PET_RDZV_BACKEND=c10d PET_RDZV_ENDPOINT=$address:29400
        srun --overlap --nodes=$((SLURM_NNODES - 1)) --exclude="$first" \
            torchrun --rdzv-id "$stage" --module stages.train "${words[@]}" &
        others=$!
        dvc repro --single-item "$stage" # what has not changed does not run; then nobody waits for the others
        kill "$others" 2> /dev/null || true
        wait "$others" || true
        unset PET_NNODES
    done
fi
make
dvc push --run-cache
