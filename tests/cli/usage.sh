#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the command line says and how it ends where nothing is trained: help, mistakes, missing files, the man page.
# Usage: usage.sh GENET, from the project's root.
set -u
genet=$1
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/check.sh"

# --- help ----------------------------------------------------------------------------------------------------------
runs 0 --help; says "genet train"; says "genet predict --model"; clean
runs 0 help; says "genet train"; clean
runs 0 --version; says "genet 0."; clean
runs 2; complains "genet train"; silent
for command in train eval predict info "data stats" "data draw-shelf" export import quantize; do
    # shellcheck disable=SC2086
    runs 0 $command --help
    clean
    says "genet $command - "
    says "usage: genet $command"
    says "Examples"
    says "Exit codes"
    says "  130  stopped by a signal"
    examples=$(grep -c '^  # ' "$out")
    { [ "$examples" -ge 3 ] && [ "$examples" -le 5 ]; } || fault "$examples examples"
    awk 'length > 132 { bad = 1 } END { exit bad }' "$out" || fault "a line of more than 132 columns"
    cp "$out" "$tmp/help"
    # shellcheck disable=SC2086
    runs 0 help $command
    cmp -s "$out" "$tmp/help" || fault "differs from --help"
done
runs 0 train --epochs 0 --help; says "usage: genet train"; clean # help wins over mistakes
runs 0 train -h; says "usage: genet train"
runs 0 train --help
says "--epochs N                  passes over the training set [default 90; 1 to 100000]"
says "--[no-]exif"
says "--variant plain|se|theta-minus|theta|theta-plus"
says "--weight-decay D"; says "[default 0.0001; 0 to 1]"
says "[default 1; from 0]" # --seed has no upper end worth printing
runs 0 eval --help; says "--json[=FILE]"
grep -q -e '--epochs' "$out" && fault "an option of train"
runs 0 data stats --help
grep -q -e '--manifest' "$out" && fault "an option of data audit"
runs 0 data --help; says "genet data stats"; clean
runs 0 help data; says "genet data stats"

# --- every option of the table is taken by its command, in each of its forms ------------------------------------------
"$genet" train --help | sed -n 's/^  --\(\[no-\]\)\{0,1\}\([a-z0-9-]*\).*/\2/p' > "$tmp/keys"
[ "$(wc -l < "$tmp/keys")" -gt 50 ] || { what="genet train --help"; fault "fewer than 50 options"; }
while read -r key; do
    runs 2 train "--$key=" # no option of train but texts and lists can be empty; none of them is unknown
    grep -q "unknown option" "$err" && fault "unknown, though in the help"
done < "$tmp/keys"

# --- mistakes --------------------------------------------------------------------------------------------------------
mistake "unknown option --epoch; did you mean --epochs?" train --epoch 3
mistake "unknown option --label_smoothing; did you mean --label-smoothing?" train --label_smoothing=3
mistake "unknown option --frobnicate" train --frobnicate
mistake "--top is an option of other commands, not of genet train" train --top 3
mistake "--epochs needs a value" train --epochs
mistake "--epochs needs a value" train --epochs --data x
mistake '--epochs: "many" is not a whole number (digits only); allowed is 1 to 100000' train --epochs many
mistake "--epochs: 0 is out of range: allowed is 1 to 100000 (nearest: 1)" train --epochs=0
mistake "--momentum: 1 is out of range: allowed is 0 to 0.9999 (nearest: 0.9999)" train --momentum 1
mistake '--rate: "0,1" is not a number (write a point, not a comma); allowed is 0 to 1000' train --rate 0,1
mistake '--schedule: "cosin" is not allowed: cosine, linear, linear-cosine, step or constant (did you mean cosine?)' train \
    --schedule cosin
mistake "--no-exif takes no value" train --no-exif=1
mistake '--exif: "maybe" is neither true nor false (yes/no and on/off are fine too)' train --exif=maybe
mistake "--no-epochs: only a switch can be switched off" train --no-epochs
mistake '--cap: "other" is not of the form CLASS=N, as in other=2262' train --cap other
mistake "-e: options start with two dashes" train -e 3
mistake '"photos" is no option, and this command takes options only' train photos
mistake '"--x" is no option, and this command takes options only' train -- --x
mistake "needs --data FOLDER, the training set" train
mistake "needs --out FOLDER, for the run" train --data x
mistake "--crop-area-min 0.9 is larger than --crop-area-max 0.5" train --data x --out y --crop-area-min 0.9 --crop-area-max .5
mistake "--val and --val-split exclude each other: name a validation set, or hold out a share of the training set" train \
    --data x --out y --val z --val-split 0.1
mistake "needs --model FILE" eval --data x
mistake "needs --data FOLDER, the set to score on" eval --model x
mistake "--json and --csv cannot both go to standard output; give one a file: --csv=FILE" eval --model x --data y --json --csv
mistake '"out.json" is no option, and this command takes options only' eval --model x --data y --json out.json
mistake "needs --model FILE" predict a.jpg
mistake "needs pictures: files, folders, or - for a list on standard input" predict --model x
mistake "names two models: --model x and y" info --model x y
mistake '"z": one argument too many' info y z
mistake "needs a data set: a folder of class folders, a list file, or tar shards" "data stats"
mistake "names two data sets: --data x and y" "data stats" --data x y
mistake "needs the folder to draw into" "data draw-shelf"
mistake '--classes: "1" is not a whole number from 2 to 1000' "data draw-shelf" x --classes 1
mistake '--images: "1e3" is not a whole number from 8 to 1000000' "data draw-shelf" x --images=1e3
mistake "--images 20 are too few for --classes 12: four a class at least" "data draw-shelf" x --images 20
runs 2 tain; complains 'genet: unknown command "tain"'; complains "see genet --help"; silent
runs 2 data stat; complains 'genet data: unknown command "stat"'; complains "genet data stats"; silent
runs 2 data; complains "genet data stats"; silent
runs 2 help tain; complains 'unknown command "tain"'
runs 2 --frobnicate; complains "see genet --help"

# --- recipes -----------------------------------------------------------------------------------------------------------
printf 'batch: 8\nepoch: 3\n' > "$tmp/r.yaml"
mistake "$tmp/r.yaml line 2: unknown key epoch; did you mean epochs?" train --recipe "$tmp/r.yaml"
printf 'batch: 0\n' > "$tmp/r.yaml"
mistake "$tmp/r.yaml line 1: batch: 0 is out of range: allowed is 1 to 65536 (nearest: 1)" train --recipe "$tmp/r.yaml"
mistake "$tmp/r.yaml line 1: batch: 0 is out of range: allowed is 1 to 65536 (nearest: 1)" train --batch 4 --recipe "$tmp/r.yaml"
runs 6 train --recipe "$tmp/none.yaml"; complains "genet train: cannot read $tmp/none.yaml: No such file or directory"

# --- files that are not there, or are something else ---------------------------------------------------------------------
runs 6 info "$tmp/none.safetensors"; complains "$tmp/none.safetensors"; silent
runs 6 predict --model "$tmp/none.safetensors" a.jpg; complains "$tmp/none.safetensors"; silent
runs 6 eval --model "$tmp/none.safetensors" --data "$tmp"; complains "$tmp/none.safetensors"; silent
echo "no model" > "$tmp/text.safetensors"
runs 4 info "$tmp/text.safetensors"; complains "$tmp/text.safetensors"; silent
[ "$(wc -l < "$err")" = 1 ] || fault "more than one line"

# --- what needs no file --------------------------------------------------------------------------------------------------
runs 0 info; says "0.1.0"; says "ref"; clean
runs 0 info --json; says '"version"'; clean
runs 0 info "--json=$tmp/info.json"; silent
grep -q '"version"' "$tmp/info.json" || fault "no JSON in the file"
[ "$(find "$tmp" -name 'info.json*' | wc -l)" = 1 ] || fault "a temporary is left"
runs 6 info "--json=$tmp/none/info.json"; complains "genet info: cannot write $tmp/none/info.json: No such file or directory"
if [ -c /dev/full ]; then
    what="genet --help > /dev/full"
    "$genet" --help > /dev/full 2> "$err" && fault "no error on a full disk"
    grep -q "cannot write to standard output" "$err" || fault "does not say so"
fi

# --- the man page is what the program says ---------------------------------------------------------------------------------
what="genet help --man"
"$genet" help --man > "$tmp/genet.1"
cmp -s "$tmp/genet.1" docs/man/genet.1 || fault "docs/man/genet.1 is stale: genet help --man > docs/man/genet.1"
if command -v groff > /dev/null; then
    groff -man -ww -z "$tmp/genet.1" 2> "$err"
    [ ! -s "$err" ] || fault "groff complains"
fi
finish
