#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A disk without room: refused before the training starts; when it fills up later, the old checkpoint stays, training goes on
# and says so, and the next save succeeds once there is room. On a tmpfs of its own; skips where none can be mounted.
# Usage: disk.sh GENET
set -u
genet=$1
if [ "${2:-}" != inside ]; then
    if [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null; then
        exec unshare -m sh "$0" "$genet" inside
    elif unshare -rm true 2> /dev/null; then
        exec unshare -rm sh "$0" "$genet" inside
    fi
    echo "skipped: no mount namespace can be made here"
    exit 77
fi
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/../cli/check.sh"
disk=$tmp/disk
mkdir "$disk"
mount -t tmpfs -o size=4m tmpfs "$disk" 2> /dev/null || { echo "skipped: no tmpfs can be mounted here"; exit 77; }
trap 'umount "$disk"; rm -rf "$tmp"' EXIT
small="--depth 26 --width 0.0625 --size 32 --batch 8 --threads 1 --loader-threads 1 --checkpoint-every 1000epoch --save-epochs 0
    --eval-every 0 --log-every 0.01"
runs 0 data draw-shelf "$tmp/data" --classes 3 --images 90 --size 40 --seed 3
fill() { dd if=/dev/zero of="$disk/filler" bs=1k count="${1:-100000}" 2> /dev/null; }
until_true() { # waits, at most 30 s
    n=0
    until "$@" 2> /dev/null; do
        n=$((n + 1))
        [ $n -lt 300 ] || { fault "waited in vain for: $*"; break; }
        sleep 0.1
    done
}

fill 3900
# shellcheck disable=SC2086
runs 6 train --data "$tmp/data/train" --out "$disk/run" --epochs 1 $small
complains "the disk is full"
complains "make room or name another --out"
grep -q '^epoch' "$out" && fault "it trained all the same"
rm -rf "$disk/filler" "$disk/run"

what="genet train on a disk that fills up"
: > "$out"
: > "$err"
# shellcheck disable=SC2086
"$genet" train --data "$tmp/data/train" --out "$disk/run" --epochs 100000 $small > "$out" 2> "$err" < /dev/null &
pid=$!
until_true grep -q '^epoch 1/' "$out"
kill -USR1 $pid
until_true test -s "$disk/run/last.safetensors"
until_true sh -c "! ls '$disk'/run/*.tmp*"
old=$(sha256sum < "$disk/run/last.safetensors")
fill
kill -USR1 $pid
until_true grep -q 'NOT SAVED, the older checkpoint stays' "$err"
complains "the disk is full"
[ "$(sha256sum < "$disk/run/last.safetensors")" = "$old" ] || fault "the old checkpoint was touched"
lines=$(wc -l < "$out")
more_lines() { [ "$(wc -l < "$out")" -gt "$lines" ]; }
until_true more_lines
rm "$disk/filler"
kill -USR1 $pid
changed() { [ "$(sha256sum < "$disk/run/last.safetensors")" != "$old" ]; }
until_true changed
kill -TERM $pid
wait $pid
got=$?
[ "$got" = 130 ] || fault "exit code $got instead of 130"
runs 0 info "$disk/run/last.safetensors"
finish
