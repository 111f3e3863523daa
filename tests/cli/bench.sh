#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# genet bench limits: every convolution with each implementation, as text and as JSON; infer: a batch in pieces. Figures are not
# judged. Usage: bench.sh GENET
set -u
genet=$1
# shellcheck source=tests/cli/check.sh
. "$(dirname "$0")/check.sh"
small="--depth 26 --width 0.25 --size 32 --batch 2 --amp off --threads 2"

# shellcheck disable=SC2086
runs 0 bench limits $small
clean
for row in CPU peak memory network device precision; do
    grep -q "^$row  " "$out" || fault "no row \"$row\""
done
grep -Eq '^1 x stem\.conv +32x32 3>16 7x7/2 +forward +[0-9.]+ +[0-9.]+ +[0-9]+ %  \* ' "$out" || fault "no line of the stem"
grep -Eq '^1 x layer2\.0\.down\.conv +[0-9]+x[0-9]+ 64>128 1x1/2 +forward ' "$out" || fault "no line of a projection"
grep -Eq '^ +data gradient +[0-9.]+ +[0-9.]+ +[0-9]+ %  \* ' "$out" || fault "no data gradient"
grep -Eq '^all weight gradients, as the network runs +[0-9.]+ +[0-9.]+ +[0-9]+ % *$' "$out" || fault "no sum"
# forward and both gradients of each, but no data gradient of the stem; one of each is what the network runs
layers=$(grep -Ec '^[0-9]+ x ' "$out")
[ "$(grep ' forward .* %  ' "$out" | grep -vc 'own:winograd')" = "$layers" ] || fault "not one forward pass a layer"
[ "$(grep -c '  \* ' "$out")" = $((3 * layers - 1)) ] || fault "not one implementation in use a layer and pass"
if grep -q 'own:' "$out"; then
    [ "$(grep ' own:' "$out" | grep -vc 'own:winograd')" = "$layers" ] || fault "the own weight gradient is not there for every layer"
    says "own:winograd" # 3x3, forward and data gradient
    says "all weight gradients, oneDNN's alone"
    says "all weight gradients, the own alone"
fi

# shellcheck disable=SC2086
runs 0 bench limits $small --backend ref --json
clean
for member in '"what":"limits"' '"layers":[{"label":"stem.conv","count":1,"h":32,"w":32,"c":3,"k":16,"r":7,"s":7,"stride":2' \
    '"part":"weight gradient","implementation":"' '"used":true' '"of_peak":' '"weight_gradient_seconds":'; do
    says "$member"
done

# shellcheck disable=SC2086
runs 0 bench infer $small --batch 9
clean
says "batch      9, in 2 pieces of 5"
# shellcheck disable=SC2086
runs 0 bench infer $small --batch 9 --json
clean
says '"batch":9,"piece":5,'
finish
