#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole product by its command line, small: draw a set, train, stop, resume, evaluate, predict, describe; what each
# prints, writes and returns. Usage: product.sh GENET
set -u
genet=$1
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/check.sh"
small="--depth 26 --width 0.0625 --size 32 --batch 4 --flip 0 --crop-area-min 0.5 --threads 1 --loader-threads 1 --log-every 3600"
runs 0 data draw-shelf "$tmp/shelf" --classes 3 --images 90 --size 40 --seed 3

# --- training ------------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2086
runs 0 train --data "$tmp/shelf/train" --val "$tmp/shelf/val" --epochs 6 --out "$tmp/run" $small
for row in network parameters MACs memory device precision data validation; do
    grep -q "^$row  " "$out" || fault "no row \"$row\" in the start table"
done
grep -Eq '^epoch 1/6 step [0-9]+/[0-9]+  loss [0-9.]+  top-1 [0-9.]+ %  rate [0-9.e-]+  [0-9.]+ images/s  wait [0-9]+ %( for images)?  ETA ' \
    "$out" || fault "no progress line"
for epoch in 1 2 3 4 5 6; do
    grep -Eq "^epoch $epoch/6  train loss [0-9.]+ top-1 [0-9.]+ %  val loss [0-9.]+ top-1 [0-9.]+ % top-5 [0-9.]+ %" "$out" ||
        fault "no line for epoch $epoch"
done
grep -q "$(printf '\r')" "$out" && fault "a rewritten line where there is no terminal"
grep -q "$(printf '\033')" "$out" && fault "an escape sequence where there is no terminal"
says "next:  genet eval --model $tmp/run/best.safetensors"
for file in best.safetensors last.safetensors metrics.jsonl metrics.csv curves.svg run.json; do
    [ -s "$tmp/run/$file" ] || fault "no $file"
done
find "$tmp/run" -name '*.tmp*' | grep -q . && fault "a temporary is left"
# shellcheck disable=SC2086
runs 2 train --data "$tmp/shelf/train" --out "$tmp/run" --epochs 1 $small; silent # the folder has a run already
model=$tmp/run/best.safetensors

# --- stopping and going on -------------------------------------------------------------------------------------------------
what="genet train, stopped"
# shellcheck disable=SC2086
"$genet" train --data "$tmp/shelf/train" --val "$tmp/shelf/val" --epochs 6 --out "$tmp/stopped" $small --log-every 0.01 \
    > "$out" 2> "$err" < /dev/null &
pid=$!
polls=0 # short ones: the whole run takes about a second
while ! grep -q '^epoch 1/6 step' "$out" && [ $polls -lt 500 ]; do
    sleep 0.02
    polls=$((polls + 1))
done
kill -TERM $pid
wait $pid
got=$?
[ "$got" = 130 ] || fault "exit code $got instead of 130"
complains "stopping after this step"
[ -s "$tmp/stopped/last.safetensors" ] || fault "no checkpoint to resume from"
grep -q '^epoch 6/6  train' "$out" && fault "it was not stopped"
runs 0 train --resume "$tmp/stopped"
says "epoch 6/6  train loss"
scores() { # the JSON of an evaluation but for its time
    "$genet" eval --model "$1" --data "$tmp/shelf/val" --json | sed 's/"seconds": [0-9.e-]*//'
}
scores "$tmp/run/last.safetensors" > "$tmp/first.json"
scores "$tmp/stopped/last.safetensors" | cmp -s - "$tmp/first.json" || fault "the resumed run came out otherwise"

# --- evaluating --------------------------------------------------------------------------------------------------------------
images=$(find "$tmp/shelf/val" -type f | wc -l)
runs 0 eval --model "$model" --data "$tmp/shelf/val" "--csv=$tmp/classes.csv"
says "$images images of 3 classes in "
grep -Eq '^top-1  [0-9.]+ %  \(95 % interval [0-9.]+ to [0-9.]+\)$' "$out" || fault "no top-1"
grep -Eq '^top-5  100.00 %' "$out" || fault "no top-5"
clean
[ "$(sed -n 1p "$tmp/classes.csv")" = "class,images,predicted,correct,precision,recall,f1" ] || fault "another CSV heading"
[ "$(wc -l < "$tmp/classes.csv")" = 4 ] || fault "not a line a class"
[ "$(awk -F, 'NR > 1 { n += $2 } END { print n }' "$tmp/classes.csv")" = "$images" ] || fault "not every image once"
runs 0 eval --model "$model" --data "$tmp/shelf/val" --json
grep -q "^{\"images\": $images, \"skipped\": 0, \"top1\": " "$out" || fault "no JSON, or not alone"
clean
mkdir -p "$tmp/other/unheard-of"
cp "$tmp"/shelf/val/*/*.jp*g "$tmp/other/unheard-of"
runs 5 eval --model "$model" --data "$tmp/other"; complains "unheard-of"; silent

# --- memory --------------------------------------------------------------------------------------------------------------------
runs 0 train --data "$tmp/shelf/train" --val "$tmp/shelf/val" --out "$tmp/memory" --depth 26 --width 0.5 --size 128 --batch 16 --epochs 1
said=$(sed -n 's/^memory  *\([0-9]*\)[.0-9]* MiB at most.*/\1/p' "$out")
held=$(sed -n 's/.*; memory at most \([0-9]*\) MiB$/\1/p' "$out")
[ -n "$said" ] && [ -n "$held" ] && [ $((said * 100)) -ge $((held * 95)) ] && [ $((said * 100)) -le $((held * 105)) ] ||
    fault "held ${held:-?} MiB of memory, said before ${said:-?}"

# --- predicting ----------------------------------------------------------------------------------------------------------------
first=$(find "$tmp/shelf/val" -type f | LC_ALL=C sort | head -n 1)
runs 0 predict --model "$model" "$first"; says "$first"; clean
[ "$(grep -Ec '^ +[0-9.]+ %  ' "$out")" = 3 ] || fault "not three classes"
runs 0 predict --model "$model" --top 1 "$tmp/shelf/val"; clean
[ "$(grep -c ' %  ' "$out")" = "$images" ] || fault "not a line a picture"
runs 0 predict --model "$model" --json "$first"; clean
grep -Eq '^\{"file": ".*", "classes": \[\{"class": "[^"]+", "index": [0-2], "probability": [0-9.e-]+\}, ' "$out" || fault "no JSON"
echo "not a picture" > "$tmp/text.jpg"
runs 3 predict --model "$model" "$tmp/text.jpg" "$first"; says "$first"; complains "$tmp/text.jpg"
complains "1 of 2 pictures could not be classified"
runs 3 predict --model "$model" --json "$tmp/text.jpg" "$first"
[ "$(wc -l < "$out")" = 2 ] || fault "not an object a picture"
grep -q '"error": "' "$out" || fault "no error object"
runs 3 predict --model "$model" "$tmp/none.jpg"; complains "$tmp/none.jpg"; silent
runs 3 predict --model "$model" -; complains "no picture found"; silent
what="genet predict -"
printf '%s\n\n%s' "$first" "$first" | "$genet" predict --model "$model" --top 1 - > "$out" 2> "$err" || fault "fails"
[ "$(wc -l < "$out")" = 2 ] || fault "not two lines for two names"
what="genet predict - with a name and then silence"
{ echo "$first"; sleep 8; } | "$genet" predict --model "$model" --top 1 - > "$out" 2> "$err" &
n=0
until [ -s "$out" ] || [ $n -ge 70 ]; do n=$((n + 1)); sleep 0.1; done
[ -s "$out" ] || fault "waits for more names"
wait $!
for batch in 1 3 64; do
    runs 0 predict --model "$model" --top 1 --batch $batch "$tmp/shelf/val"
    sed 's/^.* %  //' "$out" > "$tmp/batch-$batch"
done
cmp -s "$tmp/batch-1" "$tmp/batch-3" && cmp -s "$tmp/batch-1" "$tmp/batch-64" || fault "another result in batches"
runs 3 predict --model "$model" --top 1 --batch 4 "$first" "$tmp/text.jpg" "$first" "$first" "$first"
[ "$(wc -l < "$out")" = 4 ] || fault "a picture is lost beside a broken one"
mkdir "$tmp/mixed"
cp "$first" "$tmp/mixed/no-ending"
echo x > "$tmp/mixed/notes.txt"
echo x > "$tmp/mixed/.hidden.jpg"
runs 0 predict --model "$model" --top 1 "$tmp/mixed"; says "no-ending"; complains "no pictures, left out: 1"
runs 0 predict --model "$model" "--json=$tmp/p.json" "$first"; silent
[ "$(wc -l < "$tmp/p.json")" = 1 ] || fault "not one object in the file"
cp "$first" "$tmp/$(printf 'b\377\033[2J.jpg')"
runs 0 predict --model "$model" --json "$tmp/$(printf 'b\377\033[2J.jpg')"
grep -qF 'b\udcff\u001b[2J.jpg' "$out" || fault "the name's bytes are not in the JSON"
if command -v script > /dev/null && script --version 2> /dev/null | grep -q util-linux; then
    what="genet predict on a terminal"
    script -qec "'$genet' predict --model '$model' --top 1 '$tmp/$(printf 'b\377\033[2J.jpg')'" /dev/null > "$out" 2>&1 < /dev/null
    says 'b\xff\x1b[2J.jpg'
fi

# --- 8 bits ---------------------------------------------------------------------------------------------------------------------
int8=$tmp/int8.safetensors
top1() { # of the last evaluation, in hundredths of a percent
    sed -n 's/^top-1  \([0-9]*\)\.\([0-9]*\) %.*/\1\2/p' "$out"
}
find "$tmp/shelf" -type f -exec cksum {} + | sort > "$tmp/before"
runs 0 quantize "$model" --data "$tmp/shelf/train" --val "$tmp/shelf/val" --calibration-images 40 --out "$int8"; clean
says "28 convolutions in 8 bits, calibrated on 40 pictures (mse)"
says "$images images of $tmp/shelf/val"
[ "$(grep -Ec '^(float|int8) +[0-9.]+ %' "$out")" = 2 ] || fault "no scores before and after"
[ "$(grep -Ec '^layer[1-4]\.[01]\.(conv[123]|down\.conv) +[0-9.]+ % +[0-9.]+ %' "$out")" = 5 ] || fault "not the five largest errors"
find "$tmp/shelf" -type f -exec cksum {} + | sort | cmp -s - "$tmp/before" || fault "the data was touched"
runs 0 eval --model "$model" --data "$tmp/shelf/val"
float=$(top1)
for way in "" "--amp off" "--backend ref" "--batch 1" "--amp off --isa sse4"; do
    case $way in *sse4*) [ "$(uname -m)" = x86_64 ] || continue ;; esac
    # shellcheck disable=SC2086
    runs 0 eval --model "$int8" --data "$tmp/shelf/val" $way; clean
    lost=$((float - $(top1)))
    [ "${lost#-}" -le 800 ] || fault "top-1 went from $float to $(top1) hundredths of a percent"
done
runs 0 predict --model "$int8" --top 1 "$tmp/shelf/val"; clean
[ "$(grep -c ' %  ' "$out")" = "$images" ] || fault "not a line a picture"
runs 0 info "$int8"; says "int8: the trunk's convolutions in 8 bits, calibration mse on 40 pictures"; clean
runs 0 info --json "$int8"; says '"calibration":"mse","calibration_images":40'; clean
runs 0 bench infer --model "$int8" --batch 1 --threads 1; says "CONV_INT8"
runs 0 quantize --model "$model" --data "$tmp/shelf/train" --calibration max --out "$tmp/max.safetensors" --json; clean
says '"val_images": 0, "top1_before": null'
says '{"name": "layer4.1.conv3", "largest": '
awk -F'[:,]' '/"clip"/ { if ($4 != $6) exit 1 }' "$out" || fault "cut off below the maximum"
runs 0 quantize --model "$model" --size 48 --data "$tmp/shelf/train" --out "$tmp/48.safetensors"; says "nothing was measured"
complains "resampled from 32 to 48"
runs 0 predict --model "$tmp/48.safetensors" "$first"
runs 5 predict --model "$int8" --size 48 "$first"; complains "genet quantize --size 48"; silent
runs 5 quantize --model "$int8" --data "$tmp/shelf/train" --out "$tmp/twice.safetensors"; complains "an int8 model already"; silent
runs 5 export --model "$int8" --format mindir --out "$tmp/no"; complains "is an int8 model (genet quantize)"; silent
# shellcheck disable=SC2086
runs 5 train --init "$int8" --data "$tmp/shelf/train" --out "$tmp/no" --epochs 1 $small; complains "is an int8 model"
runs 2 quantize --model "$model" --out "$tmp/no"; complains "--data"; silent
runs 2 quantize --data "$tmp/shelf/train" --out "$tmp/no"; complains "--model"; silent
runs 2 quantize --model "$model" --data "$tmp/shelf/train"; complains "--out"; silent
runs 5 quantize --model "$model" --data "$tmp/shelf/train" --val "$tmp/other" --out "$tmp/no"; complains "unheard-of"; silent
[ ! -e "$tmp/no" ] || fault "a file in spite of it"
runs 2 bench step --model "$model"; complains "infer alone"; silent
head -c 20000 "$int8" > "$tmp/cut.safetensors"
runs 4 predict --model "$tmp/cut.safetensors" "$first"; complains "cut.safetensors"; silent

# --- describing ------------------------------------------------------------------------------------------------------------------
runs 0 info "$model"; says "Gather-Excite theta-plus"; says "ResNet-26"; clean
runs 0 info --json "$model"; says '"theta-plus"'; clean
head -c 1000 "$model" > "$tmp/cut.safetensors"
runs 4 info "$tmp/cut.safetensors"; complains "cut.safetensors"; silent
finish
