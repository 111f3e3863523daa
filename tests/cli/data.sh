#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# genet data: the drawn set is the same for the same seed, and is counted as it was drawn. Usage: data.sh GENET
set -u
genet=$1
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/check.sh"

runs 0 data draw-shelf "$tmp/shelf" --classes 3 --images 40 --size 32 --seed 5
says "40 pictures of 3 products"
clean
files=$(find "$tmp/shelf" -type f -name '*.jp*g' | wc -l)
[ "$files" = 40 ] || fault "$files files"
for split in train val; do
    [ "$(find "$tmp/shelf/$split" -mindepth 1 -maxdepth 1 -type d | wc -l)" = 3 ] || fault "not 3 classes in $split"
done
sums() {
    (cd "$1" && find . -type f | LC_ALL=C sort | xargs cksum)
}
sums "$tmp/shelf" > "$tmp/first"
runs 0 data draw-shelf "$tmp/again" --classes 3 --images 40 --size 32 --seed 5
sums "$tmp/again" | cmp -s - "$tmp/first" || fault "other files for the same seed"
runs 0 data draw-shelf "$tmp/other" --classes 3 --images 40 --size 32 --seed 6
sums "$tmp/other" | cmp -s - "$tmp/first" && fault "the same files for another seed"

train=$(find "$tmp/shelf/train" -type f | wc -l)
runs 0 data stats "$tmp/shelf/train" "--plot=$tmp/classes.svg"
says "$train images in 3 classes"
says "width  32 to 32, median 32"
says "$train JPEG, 0 PNG, 0 WebP"
grep -q '<svg' "$tmp/classes.svg" || fault "no picture drawn"
before=$(sums "$tmp/shelf")
runs 0 data stats --data "$tmp/shelf/train" --cap-all 2 --json
says '"kept": 6'
says '"images": '"$train"
[ "$(sums "$tmp/shelf")" = "$before" ] || fault "the data folder was written"
runs 0 data stats "$tmp/shelf/train" --cap-all 2
says "6 images after caps"

# names are bytes: one that is no UTF-8, with a quote and a new line
class=$(printf 'a\351"\nb')
if mkdir "$tmp/shelf/train/$class" 2> /dev/null; then
    cp "$(find "$tmp/shelf/train" -type f | head -n 1)" "$tmp/shelf/train/$class/x.jpg"
    runs 0 data stats "$tmp/shelf/train" --json
    says '"a\udce9\"\u000ab"'
fi

runs 6 data stats "$tmp/nowhere"; complains "nowhere"; silent
mkdir "$tmp/empty"
runs 3 data stats "$tmp/empty"; complains "empty"; silent
finish
