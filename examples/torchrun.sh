#!/bin/sh
# One training by several processes, on one machine or, the same command on each, on several:
#
#   examples/torchrun.sh experiment=paper hydra.run.dir=runs/paper
#   NODES=2 DEVICES=4 MASTER=node0:29400 examples/torchrun.sh experiment=paper hydra.run.dir=/all/paper
#
# DEVICES: of each machine. MASTER: any of them, with a free port. The folder is one for all, on a
# file system that all see. Where one process ends torchrun ends the others; ckpt=last goes on.
set -eu
cd "$(dirname "$0")/.."
NODES=${NODES:-1} DEVICES=${DEVICES:-2}
if [ "$NODES" = 1 ]; then meet=--standalone; else meet="--rdzv-backend=c10d --rdzv-endpoint=$MASTER"; fi
exec "${PYTHON:-python}" -m torch.distributed.run --nnodes="$NODES" --nproc-per-node="$DEVICES" $meet \
    train.py trainer=ddp trainer.num_nodes="$NODES" trainer.devices="$DEVICES" "$@"
