#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that house.sh bites: a small clean tree passes, and each single violation put into it fails, with its file named.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
failed=0
licence='/* SPDX-License-Identifier: Apache-2.0 */'

fresh() {
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree/src/base" "$tmp/tree/src/image" "$tmp/tree/src/plan" "$tmp/tree/src/backend/ref" \
        "$tmp/tree/src/backend/cpu" "$tmp/tree/src/exec" "$tmp/tree/include/genet" "$tmp/tree/cli" "$tmp/tree/examples"
    cd "$tmp/tree" || exit 2
    put src/base/mem.h '#include <stddef.h>'
    put src/image/jpeg.c '#include "base/mem.h"' '#include <jpeglib.h>'
    put src/plan/plan.h '#include "base/mem.h"' '#include "genet/status.h"'
    put src/backend/backend.h '#include "plan/plan.h"'
    put src/backend/ref/ref.c '#include "backend/backend.h"' '#include "backend/ref/ref.h"'
    put src/backend/cpu/conv.c '#include <oneapi/dnnl/dnnl.h>' '#include "backend/cpu/conv.h"'
    put src/exec/exec.c '#include "backend/backend.h"' '' 'int f(void)' '{' '    return 1;' '}'
    put include/genet/status.h '#include <stdint.h>'
    put cli/train.c '#include "genet/genet.h"' '#include "cli/cli.h"' '#include <unistd.h>'
    put examples/classify.c '#include <genet/genet.h>'
}
put() {
    file=$1
    shift
    printf '%s\n' "$licence" "$@" > "$file"
}
expect_clean() {
    sh "$here/house.sh" "$tmp/tree" > "$tmp/out" 2>&1 || { echo "a clean tree was refused:"; cat "$tmp/out"; failed=1; }
}
expect_fault() { # expect_fault FILE WHAT
    if sh "$here/house.sh" "$tmp/tree" > "$tmp/out" 2>&1; then
        echo "not noticed: $2"
        failed=1
    elif ! grep -q "^$1" "$tmp/out" || [ "$(grep -c '^FAULT' "$tmp/out")" != 1 ]; then
        echo "noticed otherwise than expected: $2"
        cat "$tmp/out"
        failed=1
    else
        echo "ok: $2"
    fi
    fresh
}

fresh
expect_clean
put src/plan/dump.c '#include "exec/exec.h"';                    expect_fault src/plan/dump.c "plan includes exec"
put src/base/mem.c '#include "config/settings.h"';               expect_fault src/base/mem.c "base includes config"
put src/image/a.c '#include "plan/plan.h"';                      expect_fault src/image/a.c "image includes plan"
put src/backend/cpu/a.c '#include "backend/ref/ref.h"';          expect_fault src/backend/cpu/a.c "siblings under backend/"
put src/exec/a.c '#include "backend/cpu/conv.h"';                expect_fault src/exec/a.c "exec includes a single backend"
put src/plan/a.h '#include "mem.h"';                             expect_fault src/plan/a.h "a header named without its folder"
put src/plan/a.c '#include <jpeglib.h>';                         expect_fault src/plan/a.c "a library's header in a second folder"
put src/backend/ref/a.c '  #  include <oneapi/dnnl/dnnl.h>';     expect_fault src/backend/ref/a.c "oneDNN outside backend/cpu"
put cli/a.c '#include "plan/plan.h"';                            expect_fault cli/a.c "cli includes src/"
put examples/a.c '#include "base/mem.h"';                        expect_fault examples/a.c "an example includes src/"
put include/genet/a.h '#include "base/error.h"';                 expect_fault include/genet/a.h "a public header includes src/"
put include/genet/a.h '#include <jansson.h>';                    expect_fault include/genet/a.h "a public header includes a library"
mkdir src/misc; put src/misc/a.c '#include "base/mem.h"';        expect_fault src/misc/a.c "a folder without a place"
{ echo "$licence"; echo 'int g(int a,'; echo '      int b)'; echo '{'; yes '    a += b;' | head -n 56; echo '}'; } > src/exec/a.c
expect_clean # 60 lines
{ echo "$licence"; echo 'int g(int a,'; echo '      int b)'; echo '{'; yes '    a += b;' | head -n 57; echo '}'; } > src/exec/a.c
expect_fault src/exec/a.c "a function of 61 lines"
{ echo "$licence"; yes 'int a;' | head -n 800; } > src/exec/a.h; expect_fault src/exec/a.h "a file of 801 lines"
put src/exec/a.c "$(printf '%132s' ';')";                       expect_clean # 132 columns
put src/exec/a.c "$(printf '%133s' ';')";                       expect_fault src/exec/a.c "a line of 133 columns"
echo 'int a;' > src/exec/a.h;                                    expect_fault src/exec/a.h "no SPDX line"
put src/exec/a.c "/* TO""DO: later */";                          expect_fault src/exec/a.c "a mark of unfinished work"
exit $failed
