#!/bin/sh
# One training by several processes, on one machine, or on several with the same command on each:
#
#   examples/torchrun.sh experiment=paper hydra.run.dir=runs/paper
#   NODES=2 DEVICES=4 MASTER=node0:29400 examples/torchrun.sh experiment=paper hydra.run.dir=/all/paper
#
# DEVICES: per machine. MASTER: one of the machines, with a free port. All machines must see the
# folder. If one process ends, torchrun ends the others; ckpt=last resumes the run.
set -eu
cd "$(dirname "$0")/.."
NODES=${NODES:-1} DEVICES=${DEVICES:-2}
if [ "$NODES" = 1 ]; then meet=--standalone; else meet="--rdzv-backend=c10d --rdzv-endpoint=$MASTER"; fi
exec "${PYTHON:-python}" -m torch.distributed.run --nnodes="$NODES" --nproc-per-node="$DEVICES" $meet \
    train.py trainer=ddp trainer.num_nodes="$NODES" trainer.devices="$DEVICES" "$@"
