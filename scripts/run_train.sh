#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trains on one device with the published configuration; the run goes on in the background, its log is train_standalone/log.
. ./common.sh

if [ $# -ne 4 ] && [ $# -ne 5 ]; then
    echo "Usage: bash run_train.sh [DATASET_PATH] [MLP] [EXTRA] [DEVICE_ID] [PRETRAINED_CKPT_PATH](optional)"
    exit 1
fi
data=$(get_real_path "$1")
init=
[ -d "$data" ] || fail "DATASET_PATH=$data is not a directory"
if [ $# -eq 5 ]; then
    init=$(get_real_path "$5")
    [ -f "$init" ] || fail "CHECKPOINT_FILE=$init is not a file"
fi
check_flag MLP "$2"
check_flag EXTRA "$3"
find_genet
choose_variant

export DEVICE_NUM=1 RANK_SIZE=1 DEVICE_ID="$4" RANK_ID=0
make_folder train_standalone
echo "start training for rank $RANK_ID, device $DEVICE_ID"
rank=$(realpath ./train_rank.sh)
cd ./train_standalone || exit 1
nohup sh "$rank" "$genet" "$recipe" "$variant" "$data" ${init:+"$init"} > log 2>&1 &
