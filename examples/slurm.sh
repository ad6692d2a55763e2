#!/bin/bash
# One training on several machines of a Slurm cluster; from the repository:
#
#   sbatch examples/slurm.sh /all/runs/paper experiment=paper
#
# All machines must see the folder. The same command again, or a requeued job, resumes the run: Slurm
# signals it two minutes before its time is up, and it saves itself. A sweep, with each job on one
# machine (pip install -e '.[sweep]'; hydra/launcher=submitit_local tries it on this machine):
#
#   python train.py -m experiment=paper seed=0,1,2 trainer=ddp trainer.devices=4 \
#       hydra/launcher=submitit_slurm hydra.launcher.gpus_per_node=4 hydra.launcher.timeout_min=1440
#
#SBATCH --job-name=deblur
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -eu
folder=$1
shift
if [ -f "$folder/outcome.json" ]; then set -- "$@" ckpt=last; fi
srun --kill-on-bad-exit=1 "${PYTHON:-python}" train.py trainer=ddp \
    trainer.num_nodes="$SLURM_NNODES" trainer.devices="$SLURM_NTASKS_PER_NODE" \
    hydra.run.dir="$folder" "$@"
