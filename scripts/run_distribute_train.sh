#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trains on the ranks of an HCCL rank table; rank I runs in train_parallelI, its log is train_parallelI/log. The processes are
# started by mpirun, which needs a genet that was built with MPI.
. ./common.sh

if [ $# -ne 4 ] && [ $# -ne 5 ]; then
    echo "Usage: bash run_distribute_train.sh [RANK_TABLE_FILE] [DATASET_PATH] [MLP] [EXTRA] [PRETRAINED_CKPT_PATH](optional)"
    exit 1
fi
table=$(get_real_path "$1")
data=$(get_real_path "$2")
init=
[ -f "$table" ] || fail "RANK_TABLE_FILE=$table is not a file"
[ -d "$data" ] || fail "DATASET_PATH=$data is not a directory"
if [ $# -eq 5 ]; then
    init=$(get_real_path "$5")
    [ -f "$init" ] || fail "PRETRAINED_CKPT_PATH=$init is not a file"
fi
check_flag MLP "$3"
check_flag EXTRA "$4"
ranks=$(awk -f ./rank_table.awk "$table") || fail "RANK_TABLE_FILE=$table is no usable rank table: ${ranks#error: }"
find_genet
choose_variant
"$genet" info | grep -qiw mpi ||
    fail "training on $ranks ranks needs a genet that was built with MPI, which $genet was not; run_train.sh trains on one device"
command -v mpirun > /dev/null || fail "training on $ranks ranks needs mpirun, which is not installed"

export SERVER_ID=0 DEVICE_NUM="$ranks" RANK_SIZE="$ranks" RANK_TABLE_FILE="$table"
i=0
while [ $i -lt "$ranks" ]; do
    export DEVICE_ID=$i RANK_ID=$i
    make_folder train_parallel$i
    echo "start training for rank $RANK_ID, device $DEVICE_ID"
    i=$((i + 1))
done
export rank_script genet recipe variant data init
rank_script=$(realpath ./train_rank.sh)
# shellcheck disable=SC2016 # expanded by each rank's shell
nohup mpirun -n "$ranks" sh -c '
    export RANK_ID=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} DEVICE_ID=${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-0}}
    cd "./train_parallel$RANK_ID" && exec sh "$rank_script" "$genet" "$recipe" "$variant" "$data" ${init:+"$init"} > log 2>&1' \
    > /dev/null 2>&1 &
