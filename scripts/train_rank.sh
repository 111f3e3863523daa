# SPDX-License-Identifier: Apache-2.0
# One training process, in its run folder: train_rank.sh GENET RECIPE VARIANT DATASET [CKPT]. Called by the published scripts.
# GENET_OPTIONS may hold more options of genet train (--batch 32: a CPU's memory is not an accelerator's).
# Leaves checkpoints/GENet-EPOCH_STEPS.ckpt, as the published training does, for every checkpoint that was kept.
set -u
genet=$1 recipe=$2 variant=$3 data=$4 init=${5:-}
# shellcheck disable=SC2086 # options are words
"$genet" train --recipe "$recipe" --variant "$variant" --data "$data" --out checkpoints --save-epochs 5 --keep 5 \
    --log-format mindspore ${init:+--init "$init"} ${GENET_OPTIONS:-} || exit
steps=$(sed -n 's/^epoch: [0-9]* step: \([0-9]*\), loss is .*/\1/p' log | tail -n 1)
last=$(sed -n 's/^epoch: \([0-9]*\) step: [0-9]*, loss is .*/\1/p' log | tail -n 1)
publish() { # publish FILE EPOCH
    "$genet" export "$1" --format mindspore --no-use-ema --out "checkpoints/GENet-$2_$steps.ckpt" > /dev/null
}
for file in checkpoints/epoch-*.safetensors; do
    [ -f "$file" ] || continue
    epoch=${file##*epoch-}
    epoch=${epoch%.safetensors}
    publish "$file" "$(echo "$epoch" | sed 's/^0*//')"
done
[ -f "checkpoints/GENet-${last}_$steps.ckpt" ] || publish checkpoints/last.safetensors "$last"
