#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs a build into a temporary folder, moves it (the package is relocatable), and uses it as strangers do:
# every header alone as C and as C++, and examples/classify through pkg-config and through CMake, against both libraries.
# Usage: package.sh SOURCE BUILD CC. Without a C++ compiler that part says so and is left out.
set -u
source=$1 build=$2 cc=$3
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
faults=0
ok() { # ok WHAT COMMAND...
    what=$1
    shift
    if "$@" > "$tmp/log" 2>&1; then
        echo "ok: $what"
    else
        echo "FAULT: $what"
        sed 's/^/    /' "$tmp/log"
        faults=$((faults + 1))
    fi
}

ok "install" cmake --install "$build" --prefix "$tmp/first"
mv "$tmp/first" "$tmp/prefix" || exit 1
prefix=$tmp/prefix
genet=$prefix/bin/genet
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name genet.pc)")
export PKG_CONFIG_PATH

# --- headers -------------------------------------------------------------------------------------------------------
for header in "$prefix"/include/genet/*.h; do
    name=genet/$(basename "$header")
    printf '#include <%s>\nint used;\n' "$name" > "$tmp/one.c"
    cp "$tmp/one.c" "$tmp/one.cpp"
    for standard in c99 c11; do
        ok "$name alone, $standard" "$cc" -std=$standard -Wall -Wextra -Werror -pedantic -I"$prefix/include" -c "$tmp/one.c" \
            -o "$tmp/one.o"
    done
    if command -v c++ > /dev/null; then
        ok "$name alone, c++11" c++ -std=c++11 -Wall -Wextra -Werror -pedantic -I"$prefix/include" -c "$tmp/one.cpp" \
            -o "$tmp/one.o"
    fi
done
command -v c++ > /dev/null || echo "left out: no C++ compiler here"

# --- the program, and a model for the example -----------------------------------------------------------------------
ok "the program runs from its place" "$genet" --version
ok "the man page is there" test -s "$prefix/share/man/man1/genet.1"
ok "a data set is drawn" "$genet" data draw-shelf "$tmp/shelf" --classes 2 --images 24 --size 48
ok "a small model is trained" "$genet" train --data "$tmp/shelf/train" --out "$tmp/run" --depth 26 --width 0.0625 --size 32 \
    --batch 4 --epochs 1 --threads 1 --loader-threads 1
model=$tmp/run/last.safetensors
picture=$(find "$tmp/shelf/train" -name '*.jpg' | sort | head -n 1)
example=$source/examples/classify
run() { "$1" "$model" "$picture" > "$tmp/$2.txt" && grep -q '%' "$tmp/$2.txt"; }

# --- pkg-config ----------------------------------------------------------------------------------------------------
ok "pkg-config knows genet" pkg-config --exists genet
shared() {
    # shellcheck disable=SC2046 # flags are words
    "$cc" -Wall -Wextra -Werror -pedantic "$example/classify.c" $(pkg-config --cflags --libs genet) -Wl,-rpath,"$prefix/lib" \
        -o "$tmp/by-pkg-config" && run "$tmp/by-pkg-config" shared
}
static() {
    # shellcheck disable=SC2046
    "$cc" "$example/classify.c" $(pkg-config --cflags genet) \
        $(pkg-config --static --libs genet | sed 's/-lgenet/-Wl,-Bstatic -lgenet -Wl,-Bdynamic/') -o "$tmp/by-static" &&
        run "$tmp/by-static" static && ! ldd "$tmp/by-static" | grep -q libgenet
}
ok "the example by pkg-config, libgenet.so" shared
ok "the example by pkg-config, libgenet.a" static

# --- CMake -----------------------------------------------------------------------------------------------------------
by_cmake() { # by_cmake NAME OPTION...
    name=$1
    shift
    cmake -S "$example" -B "$tmp/$name" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" "$@" &&
        cmake --build "$tmp/$name" && run "$tmp/$name/classify" "$name"
}
ok "the example by CMake, libgenet.so" by_cmake cmake-shared
ok "the example by CMake, libgenet.a" by_cmake cmake-static -DCLASSIFY_STATIC=ON

same() {
    cmp "$tmp/shared.txt" "$tmp/static.txt" && cmp "$tmp/shared.txt" "$tmp/cmake-shared.txt" &&
        cmp "$tmp/shared.txt" "$tmp/cmake-static.txt"
}
ok "all four say the same" same
missing() { ! "$tmp/by-pkg-config" "$tmp/no-model" "$picture"; }
ok "a missing model is an error with a line" missing
[ $faults -eq 0 ]
