#!/usr/bin/env bash
# Train the bundled models small and gan, in stages:
#
#   scripts/train_shipped.sh [FOLDER]     # runs/shipped
#
#   photos   download photos, add pages of text, and make pairs of them
#   base     experiment=small, only on made pairs
#   fold-*   train base further on all real clips but one, and measure it on that one
#   small    train base further on all real clips
#   gan      train the bundled maxim further against a discriminator; gan-0, to compare, without one;
#            both without the first clip
#
# Started again after a stop, it resumes. Without GoPro and REDS in DEBLUR_DATA or datasets, only
# photos are used. The settings that decide the time it takes:
#
#   BASE=40 MIX=4 GAN=8 SIZE=2000 scripts/train_shipped.sh   # epochs; crops of one of MIX
#   INIT=small BASE=10 scripts/train_shipped.sh              # the base starts from the bundled model
#
# On a machine that is lent for minutes, see scripts/train_minutes.sh:
#
#   scripts/train_shipped.sh minutes ARCHIVE OUT
set -euo pipefail
if [ "${1:-}" = minutes ]; then
    exec "$(dirname "$0")/train_minutes.sh" "${@:2}"
fi
out=${1:-$(dirname "$0")/../runs/shipped}
mkdir -p "$out"
out=$(realpath "$out")
cd "$(dirname "$0")/.."
roots=${DEBLUR_DATA:-datasets}
python=${PYTHON:-.venv/bin/python}
BASE=${BASE:-40} MIX=${MIX:-4} GAN=${GAN:-8} SIZE=${SIZE:-2000} PAIRS=${PAIRS:-8000}
INIT=${INIT:-null}
clips=(GOPR0372_07_00 000 001 003 020)

# train NAME SETTING...: run or resume a stage
train() {
    local name=$1 folder=$out/$1
    shift
    if grep -q '"finished"' "$folder/outcome.json" 2>/dev/null; then
        echo "$name: already finished"
    elif [ -e "$folder/outcome.json" ]; then
        $python train.py hydra.run.dir="$folder" ckpt=last
    else
        $python train.py hydra.run.dir="$folder" "$@"
    fi
    $python - "$folder" <<'PYTHON'
import csv, sys
from omegaconf import OmegaConf

folder = sys.argv[1]
data = OmegaConf.load(f"{folder}/.hydra/config.yaml").data
with open(f"{folder}/csv/metrics.csv", newline="") as file:
    steps = 1 + max(int(row["step"]) for row in csv.DictReader(file) if row["step"])
print(f"{folder}: {steps * data.batch_size:,} crops of {data.crop} pixels")
PYTHON
}

base=$out/base/checkpoints/last.ckpt  # not best.ckpt: learning rates fall until the end
# all runs with real pairs also use photos and text
mixed=(data=mixed blur=shipped data.root="$out/photos" data.dataset.listed=pairs.csv)
mixed+=(data.crop=192 data.dataset.size="$SIZE")
tune=(experiment=finetune init="$base" "${mixed[@]}" data.batch_size=7)
tune+=(trainer.max_epochs="$MIX" model.schedule.decay_epochs="$MIX")
gan=(experiment=gan blur=wide data.crop=128 data.dataset.size=400)
gan+=(trainer.max_epochs="$GAN" model.schedule.decay_epochs="$((GAN / 2))")

if [ ! -e "$out/made/index.json" ]; then
    $python scripts/fetch_photos.py "$out/photos" --with-bundled
    $python scripts/render_text.py "$out/photos"
    $python scripts/make_pairs.py "$out/made" --train "$PAIRS" data.root="$out/photos" \
        blur=shipped data.crop=384 data.dataset.detail=0.8
fi

train base experiment=small init="$INIT" data.root="$out/made" \
    trainer.max_epochs="$BASE" model.schedule.decay_epochs="$BASE"
if [ ! -d "$roots/GOPRO_Large" ] || [ ! -d "$roots/REDS" ]; then
    echo "no GoPro and REDS in $roots: small is the base, and gan is trained on photos"
    train gan data=photos data.root="$out/photos" "${gan[@]}"
    exit
fi
for clip in "${clips[@]}"; do
    train "fold-$clip" "${tune[@]}" "data.dataset.without=['$clip']"
    if [ ! -e "$out/fold-$clip/eval/metrics.json" ]; then
        $python eval.py ckpt="$out/fold-$clip/checkpoints/last.ckpt" "${mixed[@]}" \
            "data.dataset.without=['$clip']" unsharp=false hydra.run.dir="$out/fold-$clip/eval"
    fi
done
train small "${tune[@]}"
small=$out/small/checkpoints/last.ckpt
for weight in 0.05 0; do
    name=gan$([ $weight = 0 ] && echo -0 || true)
    train "$name" "${mixed[@]}" "${gan[@]}" "data.dataset.without=['${clips[0]}']" \
        model.weights.adversarial=$weight
done
echo "to bundle it:  python scripts/ship.py small $small --crops N --about TEXT"
echo "gan is then averaged:  deblur convert $out/gan/generator.safetensors --mix maxim --share 0.7 -o gan.safetensors"
