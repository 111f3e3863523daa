#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Exporting by the command line: a float model, and its int8 one in every form, with what is printed, written and refused.
# Usage: export.sh GENET
set -u
genet=$1
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/check.sh"
runs 0 data draw-shelf "$tmp/shelf" --classes 3 --images 60 --size 40 --seed 3
runs 0 train --data "$tmp/shelf/train" --val "$tmp/shelf/val" --epochs 2 --out "$tmp/run" --depth 26 --width 0.0625 --size 64 --batch 4 \
    --crop-area-min 0.5 --threads 1 --loader-threads 1 --log-every 3600
model=$tmp/run/best.safetensors
int8=$tmp/int8.safetensors
runs 0 quantize --model "$model" --data "$tmp/shelf/train" --calibration-images 16 --out "$int8"

# --- a float model -------------------------------------------------------------------------------------------------------
runs 0 export "$model" --out "$tmp/float.onnx"
says "run on 2 images: its logits differ from the network's by at most"
[ -s "$tmp/float.onnx" ] || fault "no file"

# --- its int8 one --------------------------------------------------------------------------------------------------------
for form in "" "--fixed-batch 3" "--input uint8" "--input uint8 --fixed-batch 3"; do
    # shellcheck disable=SC2086
    runs 0 export --model "$int8" --format onnx $form --out "$tmp/int8.onnx"
    says ", int8"
    says "its logits differ from the network's by at most"
    complains "at its 24 maps of 8-bit numbers"
    [ -s "$tmp/int8.onnx" ] || fault "no file"
    mv "$tmp/int8.onnx" "$tmp/last.onnx"
done
for operator in QuantizeLinear DequantizeLinear; do
    grep -aq "$operator" "$tmp/last.onnx" || fault "no $operator in the file"
    grep -aq "$operator" "$tmp/float.onnx" && fault "a $operator in the float model's file"
done
[ "$(wc -c < "$tmp/last.onnx")" -lt "$(wc -c < "$tmp/float.onnx")" ] || fault "the int8 file is not the smaller one"

# --- what is refused -----------------------------------------------------------------------------------------------------
runs 2 export --model "$int8" --keep-bn --out "$tmp/no.onnx"
complains "--keep-bn"
for format in mindir mindspore safetensors safetensors-torchvision safetensors-timm; do
    runs 5 export --model "$int8" --format $format --out "$tmp/no"
    silent
    complains "--format onnx"
done
runs 8 export --model "$int8" --format air --out "$tmp/no"
complains "onnx"
head -c 3000 "$int8" > "$tmp/cut.safetensors"
runs 4 export --model "$tmp/cut.safetensors" --out "$tmp/no.onnx"
complains "cut.safetensors"
find "$tmp" -name 'no*' | grep -q . && fault "a refused export leaves a file"
finish
