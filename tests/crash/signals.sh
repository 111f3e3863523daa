#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Signals to a training: INT and TERM finish the step, save and end with 130; a second one ends at once; USR1 saves and goes
# on. Usage: signals.sh GENET
set -u
genet=$1
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/../cli/check.sh"
small="--depth 26 --width 0.0625 --size 32 --batch 8 --threads 1 --loader-threads 1 --checkpoint-every 1000epoch --save-epochs 0
    --epochs 1000 --eval-every 0 --log-every 0.01"
runs 0 data draw-shelf "$tmp/data" --classes 3 --images 90 --size 40 --seed 3

start() { # start OUT OPTION...: a training in the background that has done a step
    folder=$1
    shift
    : > "$out" # before the line that is waited for: the last run's may have it too
    "$genet" train --data "$tmp/data/train" --out "$folder" "$@" > "$out" 2> "$err" < /dev/null &
    pid=$!
    until_true grep -q '^epoch 1/' "$out"
}
until_true() { # waits, at most 30 s
    n=0
    until "$@" 2> /dev/null; do
        n=$((n + 1))
        [ $n -lt 300 ] || { fault "waited in vain for: $*"; break; }
        sleep 0.1
    done
}
ends() { # ends CODE
    wait $pid
    got=$?
    [ "$got" = "$1" ] || fault "exit code $got instead of $1"
}

for signal in INT TERM HUP; do
    what="genet train, signal $signal"
    # shellcheck disable=SC2086
    start "$tmp/$signal" $small
    kill -$signal $pid
    ends 130
    complains "stopping after this step, with a checkpoint to resume from"
    complains "go on with --resume $tmp/$signal"
    [ -s "$tmp/$signal/last.safetensors" ] || fault "no checkpoint"
    runs 130 train --resume "$tmp/$signal" --max-steps 1
    says "resuming $tmp/$signal after step"
done

# A step of many seconds; the second signal does not wait for its end.
what="genet train, signal TERM twice"
: > "$out"
: > "$err"
"$genet" train --data "$tmp/data/train" --out "$tmp/slow" --depth 50 --width 1 --size 224 --batch 60 --backend ref --threads 1 \
    --epochs 1 > "$out" 2> "$err" < /dev/null &
pid=$!
until_true grep -q '^parameters' "$out"
kill -TERM $pid
until_true grep -q 'once more: at once' "$err"
begin=$(date +%s)
kill -TERM $pid
ends 130
[ $(($(date +%s) - begin)) -le 5 ] || fault "the second signal waits"
[ ! -e "$tmp/slow/last.safetensors" ] || fault "a checkpoint, although the step was not done"

what="genet train, signal USR1"
# shellcheck disable=SC2086
start "$tmp/usr1" $small
[ ! -e "$tmp/usr1/last.safetensors" ] || fault "a checkpoint before the signal"
kill -USR1 $pid
until_true test -s "$tmp/usr1/last.safetensors"
kill -0 $pid 2> /dev/null || fault "the training ended"
"$genet" train --resume "$tmp/usr1" > "$tmp/second" 2>&1
[ $? = 2 ] || fault "two processes train in one folder"
grep -q "another process is training in $tmp/usr1" "$tmp/second" || fault "the second is not told why: $(cat "$tmp/second")"
lines=$(wc -l < "$out")
more_lines() { [ "$(wc -l < "$out")" -gt "$lines" ]; }
until_true more_lines
kill -TERM $pid
ends 130
finish
