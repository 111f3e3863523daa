#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The published scripts: usage and error texts, folders, what they call, the lines of their logs. usage: test_scripts.sh [GENET];
# first with a stand-in that notes its arguments, then, where the program is given, with the program on a small drawn data set.
set -u
program=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0
cp -r scripts recipes "$work/"
mkdir "$work/data"
: > "$work/model.ckpt"
cat > "$work/genet" <<'STUB'
#!/bin/sh
case "$1 ${2:-}" in
"info --json") echo "{\"variant\": \"${STUB_VARIANT:-theta-plus}\"}" ;;
"info "*) echo "libraries: none" ;;
"train "*) echo "$@" >> "$STUB_CALLS"; mkdir -p checkpoints; : > checkpoints/last.safetensors
    echo "epoch: 1 step: 7, loss is 4.8995576"; echo "epoch: 2 step: 7, loss is 3.5" ;;
*) echo "$@" >> "$STUB_CALLS" ;;
esac
STUB
chmod +x "$work/genet"
export GENET="$work/genet" STUB_CALLS="$work/calls"
cd "$work/scripts" || exit 1

# expect STATUS TEXT COMMAND...: the exit code, and a line that the output has.
expect() {
    status=$1 text=$2
    shift 2
    out=$(sh "$@" 2>&1)
    code=$?
    if [ $code -ne "$status" ] || ! echo "$out" | grep -qxF -- "$text"; then
        echo "FAULT: $*: exit code $code, expected $status; output: $out; expected line: $text"
        faults=$((faults + 1))
    fi
}
# holds FILE TEXT: waits for a line of a background run.
holds() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -qE -- "$2" "$1" 2> /dev/null && return 0
        sleep "${WAIT:-0.2}"
    done
    echo "FAULT: $1 lacks \"$2\":"
    cat "$1" 2>&1
    faults=$((faults + 1))
}

u="Usage: bash run_train.sh [DATASET_PATH] [MLP] [EXTRA] [DEVICE_ID] [PRETRAINED_CKPT_PATH](optional)"
expect 1 "$u" run_train.sh
expect 1 "$u" run_train.sh a b c
expect 1 "$u" run_train.sh a b c d e f
expect 1 "error: DATASET_PATH=$work/scripts/nowhere is not a directory" run_train.sh nowhere true true 0
expect 1 "error: CHECKPOINT_FILE=$work/none.ckpt is not a file" run_train.sh ../data true true 0 ../none.ckpt
expect 1 "error: MLP=yes is neither true nor false" run_train.sh ../data yes true 0
expect 1 "error: EXTRA=0 is neither true nor false" run_train.sh ../data true 0 0
u="Usage: bash run_eval.sh [DATASET_PATH] [CHECKPOINT_PATH] [MLP] [EXTRA] [DEVICE_ID]"
expect 1 "$u" run_eval.sh Ascend ../data ../model.ckpt true true 0
expect 1 "error: DATASET_PATH=/nowhere is not a directory" run_eval.sh /nowhere ../model.ckpt true true 0
expect 1 "error: CHECKPOINT_PATH=$work/none.ckpt is not a file" run_eval.sh ../data ../none.ckpt true true 0
u="Usage: bash run_distribute_train.sh [RANK_TABLE_FILE] [DATASET_PATH] [MLP] [EXTRA] [PRETRAINED_CKPT_PATH](optional)"
expect 1 "$u" run_distribute_train.sh
expect 1 "error: RANK_TABLE_FILE=$work/none.json is not a file" run_distribute_train.sh ../none.json ../data true true
expect 1 "error: PRETRAINED_CKPT_PATH=$work/none.ckpt is not a file" run_distribute_train.sh ../model.ckpt ../data true true ../none.ckpt

# --- rank tables: one good, and the good one with one thing changed -----------------------------------------------------------
cat > "$work/table.json" <<'JSON'
{"version": "1.0", "server_count": "1", "server_list": [{"server_id": "10.0.0.1", "device": [
  {"device_id": "0", "device_ip": "192.1.27.6", "rank_id": "0"}, {"device_id": "1", "device_ip": "192.2.27.6", "rank_id": "1"}],
  "host_nic_ip": "reserve"}], "status": "completed"}
JSON
expect 1 "error: training on 2 ranks needs a genet that was built with MPI, which $GENET was not; run_train.sh trains on one device" \
    run_distribute_train.sh ../table.json ../data true true
table() { # table SED-SCRIPT FAULT
    sed "$1" "$work/table.json" > "$work/bad.json"
    expect 1 "error: RANK_TABLE_FILE=$work/bad.json is no usable rank table: $2" run_distribute_train.sh ../bad.json ../data true true
}
table 's/"1\.0"/"2.0"/' 'version is "2.0", not "1.0"'
table 's/completed/setup/' 'status is "setup", not "completed"'
table 's/"server_count": "1"/"server_count": "2"/' 'server_count is "2", server_list has 1 servers'
table 's/"rank_id": "1"/"rank_id": "0"/' 'rank_id 0 comes twice'
table 's/"rank_id": "1"/"rank_id": "2"/' 'rank_id 1 is missing among 2 devices'
table 's/"device_id": "1", //' 'device 1 of server 0 has no device_id or no rank_id'
table 's/"completed"}/"completed"/' 'a comma is missing'
table 's/}, {/} {/' 'a list has no end'

# --- what is called ----------------------------------------------------------------------------------------------------------------
expect 0 "start training for rank 0, device 3" run_train.sh ../data TRUE False 3 ../model.ckpt
holds "$STUB_CALLS" "^train --recipe $work/recipes/imagenet-theta-minus.yaml --variant se --data $work/data --out checkpoints .*--log-format mindspore --init $work/model.ckpt"
holds "$STUB_CALLS" "^export checkpoints/last.safetensors --format mindspore .*--out checkpoints/GENet-2_7.ckpt"
holds train_standalone/log "^epoch: 1 step: 7, loss is 4.8995576$"
holds train_standalone/env.log "^DEVICE_ID=3$"
for pair in "true true theta-plus" "false true theta" "false false theta-minus"; do
    # shellcheck disable=SC2086 # three words
    set -- $pair
    expect 0 "start training for rank 0, device 0" run_train.sh ../data "$1" "$2" 0
    holds "$STUB_CALLS" "imagenet-$3.yaml --variant $3 "
done
expect 0 "start evaluation for device 5" run_eval.sh ../data ../model.ckpt true true 5
holds "$STUB_CALLS" "^eval --model $work/model.ckpt --data $work/data .*--log-format mindspore"
holds eval/env.log "^RANK_SIZE=1$"
expect 1 "error: CHECKPOINT_PATH=$work/model.ckpt holds a theta-plus network; MLP=false and EXTRA=true ask for theta" \
    run_eval.sh ../data ../model.ckpt false true 0

# --- with the program -----------------------------------------------------------------------------------------------------------------
if [ -n "$program" ]; then
    export GENET="$program" GENET_OPTIONS="--size 64 --depth 26 --width 0.0625 --batch 8 --epochs 2 --rate 0.05"
    WAIT=2
    "$program" data draw-shelf "$work/shelf" --classes 3 --images 60 --size 64 > /dev/null || exit 1
    expect 0 "start training for rank 0, device 0" run_train.sh ../shelf/train true true 0
    holds train_standalone/log "^epoch: 2 step: [0-9]+, loss is [0-9.]+$"
    holds train_standalone/log "^Train epoch time: [0-9.]+ ms, per step time: [0-9.]+ ms$"
    i=0 # the export follows the training
    while [ $i -lt 30 ] && ! ls train_standalone/checkpoints/GENet-2_*.ckpt > /dev/null 2>&1; do
        sleep 1
        i=$((i + 1))
    done
    ckpt=$(echo train_standalone/checkpoints/GENet-2_*.ckpt)
    expect 0 "start evaluation for device 0" run_eval.sh ../shelf/val "$ckpt" true true 0
    holds eval/log "^result: \\{'top_1_accuracy': [0-9.e-]+, 'top_5_accuracy': [0-9.e-]+\\} ckpt= $work/scripts/$ckpt$"
    expect 1 "error: CHECKPOINT_PATH=$work/scripts/$ckpt holds a theta-plus network; MLP=true and EXTRA=false ask for se" \
        run_eval.sh ../shelf/val "$ckpt" true false 0
fi
[ $faults -eq 0 ] && echo "the published scripts do as they did"
exit $((faults > 0))
