#!/usr/bin/env bash
# Train models in minutes, on a large GPU that is lent for that time:
#
#   python scripts/pack_data.py data.tar data.root=datasets/photos      # before
#   scripts/train_shipped.sh minutes data.tar OUT       # there; calls this script
#   cat OUT/maxim.safetensors.* > maxim.safetensors     # after: the weights, which come in pieces
#
# Stages: `paper` first, then `wide` (for `maxim`) and `fast`, each for its number of minutes. Every
# three minutes (EVERY seconds) the newest weights of each are written to OUT in half precision, in
# pieces of 15 MiB. To rehearse on a CPU, with small crops:
#
#   PAPER=0.1 WIDE=0.1 FAST=0.1 TRAINER=cpu BATCH=2 EVERY=40 \
#       SETTINGS="data.crop=64 data.dataset.size=4 data.batch_size=2" \
#       scripts/train_shipped.sh minutes data.tar OUT
set -euo pipefail
mkdir -p "$2"
archive=$(realpath "$1") out=$(realpath "$2")
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
PAPER=${PAPER:-5} WIDE=${WIDE:-5} FAST=${FAST:-2} TRAINER=${TRAINER:-gpu} EVERY=${EVERY:-180}
read -ra settings <<< "${SETTINGS:-}"
work=$(mktemp -d)
saver=
trap '[ -z "$saver" ] || kill "$saver" 2> /dev/null; rm -rf "$work"' EXIT
tar -xf "$archive" -C "$work"
export DEBLUR_DATA=$work

# save: write the newest weights of each stage, in pieces
save() {
    local last name
    for last in "$work"/runs/*/checkpoints/last.ckpt; do
        [ -e "$last" ] || continue
        name=$(basename "$(dirname "$(dirname "$last")")")
        cp "$last" "$work/$name.ckpt"  # the run may replace it at any time
        $python -m deblur convert "$work/$name.ckpt" -o "$work/$name.safetensors" \
            --precision float16 --overwrite > "$work/convert.log" 2>&1 ||
            { cat "$work/convert.log"; continue; }
        rm -rf "$out/.new" && mkdir "$out/.new"
        split -b 15M -d "$work/$name.safetensors" "$out/.new/$name.safetensors."
        rm -f "$out/$name.safetensors".*
        mv "$out/.new/"* "$out" && rmdir "$out/.new"
    done
}

# keep_saving: save every so many seconds, until there is the file stop
keep_saving() {
    local waited
    while :; do
        for ((waited = 0; waited < EVERY; waited++)); do
            [ ! -e "$work/stop" ] || return 0
            sleep 1
        done
        save
    done
}
keep_saving &
saver=$!

# train NAME MINUTES SETTING...: run a stage; if it fails, the next one begins
train() {
    local name=$1 minutes=$2
    shift 2
    $python train.py "$@" trainer="$TRAINER" minutes="$minutes" save_minutes=1 \
        hydra.run.dir="$work/runs/$name" data.root="$work/photos" ${settings[@]+"${settings[@]}"} ||
        echo "$name ended early"
}
epochs=(trainer.max_epochs=1000 model.schedule.decay_epochs=1000)
train paper "$PAPER" experiment=paper data=wide blur=shipped
train maxim "$WIDE" experiment=wide data.batch_size="${BATCH:-16}" "${epochs[@]}"
train fast "$FAST" experiment=fast data.batch_size="${BATCH:-16}" "${epochs[@]}" \
    model.schedule.freeze_epochs=1000
touch "$work/stop"
wait "$saver" || true  # which may be saving, or have failed
saver=
save
ls -l "$out"
