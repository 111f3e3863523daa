#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Scores a checkpoint on a validation set, every picture exactly once; the run goes on in the background, its log is eval/log.
. ./common.sh

if [ $# -ne 5 ]; then
    echo "Usage: bash run_eval.sh [DATASET_PATH] [CHECKPOINT_PATH] [MLP] [EXTRA] [DEVICE_ID]"
    exit 1
fi
data=$(get_real_path "$1")
model=$(get_real_path "$2")
[ -d "$data" ] || fail "DATASET_PATH=$data is not a directory"
[ -f "$model" ] || fail "CHECKPOINT_PATH=$model is not a file"
check_flag MLP "$3"
check_flag EXTRA "$4"
find_genet
choose_variant
held=$("$genet" info --json "$model") || exit 1
held=$(echo "$held" | grep -o '"variant": *"[a-z-]*"' | head -n 1 | sed 's/.*"\([a-z-]*\)"$/\1/')
[ "$held" = "$variant" ] || fail "CHECKPOINT_PATH=$model holds a $held network; MLP=$MLP and EXTRA=$EXTRA ask for $variant"

export DEVICE_NUM=1 RANK_SIZE=1 DEVICE_ID="$5" RANK_ID=0
make_folder eval
echo "start evaluation for device $DEVICE_ID"
cd ./eval || exit 1
nohup "$genet" eval --model "$model" --data "$data" --batch 32 --log-format mindspore > log 2>&1 &
