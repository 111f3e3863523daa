#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the libraries export, need and keep. Usage: symbols.sh libgenet.a libgenet.so INCLUDE
#   1 libgenet.so exports genet_* and nothing else, and every function that a public header declares
#   2 globals of libgenet.a are genet_* or gn_*, so that it can be linked into any program
#   3 the library never exits, prints or reads the environment
#   4 it keeps no mutable globals, but for those listed below with their reason
set -u
static=$1 shared=$2 include=$3
export LC_ALL=C
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
faults=0
none() { # none WHAT FILE: the file must be empty
    if [ -s "$2" ]; then
        echo "FAULT: $1:"
        sed 's/^/    /' "$2"
        faults=$((faults + 1))
    else
        echo "ok: none: $1"
    fi
}

nm -D --defined-only "$shared" | awk '{ print $NF }' | sort -u > "$tmp/exported"
grep -v '^genet_' "$tmp/exported" > "$tmp/found"
none "exported by libgenet.so without the prefix genet_" "$tmp/found"

cat "$include"/genet/*.h | tr '\n' ' ' | grep -oE 'GENET_API [^;]*;' | grep -oE 'genet_[a-z0-9_]+ ?\(' | tr -d ' (' |
    sort -u > "$tmp/declared"
comm -23 "$tmp/declared" "$tmp/exported" > "$tmp/found"
none "declared by a public header but not in libgenet.so" "$tmp/found"
comm -13 "$tmp/declared" "$tmp/exported" > "$tmp/found"
none "exported by libgenet.so but declared by no public header" "$tmp/found"
[ -s "$tmp/declared" ] || { echo "FAULT: no declarations found in $include"; faults=1; }

nm -A -g --defined-only "$static" 2> /dev/null | awk '{ print $NF, $1 }' | grep -vE '^(genet|gn)_' > "$tmp/found"
none "globals of libgenet.a without the prefix genet_ or gn_" "$tmp/found"

nm -A -u "$static" 2> /dev/null | awk '{ print $NF, $1 }' |
    grep -E '^(exit|_exit|_Exit|quick_exit|abort|printf|__printf_chk|vprintf|__vprintf_chk|puts|putchar|perror|psignal|getenv|secure_getenv|setenv|putenv|stdout|stderr|stdin) ' > "$tmp/found"
none "calls that exit, print or read the environment, in libgenet.a" "$tmp/found"

# .data and .bss hold what can change; constant tables with pointers lie in .data.rel.ro. Left out, with the reason:
#   fault.c  the tests' switch that makes the n-th allocation or write fail (src/base/fault.h)
#   mem.c    the count of allocations, by which a test shows that a warm step makes none (src/base/mem.h)
objdump -t "$static" 2> /dev/null | awk '
    / file format / { object = $1 }
    object !~ /^(fault|mem)\.c/ && / O (\.data|\.bss|\.tdata|\.tbss|\*COM\*)\t/ { print object, $NF }' > "$tmp/found"
none "mutable globals in libgenet.a" "$tmp/found"
[ $faults -eq 0 ]
