#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks the structure of the project under ROOT: usage: house.sh ROOT. Prints each fault as PATH:LINE: WHAT.
# layers (layers.awk); functions within 60 lines; files within 800; lines within 132 columns; SPDX lines; no marks of unfinished work.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$1" || exit 2
faults=0

# The project's own files of the kinds named; never build folders. Names have no blanks.
list() {
    find . -path './build*' -prune -o -path './.*' ! -path './.ci*' -prune -o -path './tests/data' -prune -o \
        -path './demo-data' -prune -o -path './runs' -prune -o -type f "$@" -print | sed 's,^\./,,' | sort
}
check() { # check WHAT COMMAND...: one line a check; the command prints what it finds
    what=$1
    shift
    if found=$("$@"); then
        echo "ok: $what"
    else
        echo "$found"
        echo "FAULT: $what"
        faults=$((faults + 1))
    fi
}

layers() { awk -f "$here/layers.awk" $(list \( -name '*.[ch]' -o -name '*.inc' -o -name '*.def' \) |
    grep -E '^(src|include|cli|examples|bench)/'); }
functions() { awk -v max=60 -f "$here/functions.awk" $(list \( -name '*.[ch]' -o -name '*.inc' \)); }
files() {
    list \( -name '*.[ch]' -o -name '*.inc' -o -name '*.def' -o -name '*.sh' -o -name '*.awk' -o -name '*.py' \) |
        xargs wc -l | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines"; bad = 1 } END { exit bad }'
}
columns() { # of options.def, a table, each row is a line
    list \( -name '*.[ch]' -o -name '*.inc' \) |
        xargs awk 'length > 132 { print FILENAME ":" FNR ": " length " columns"; bad = 1 } END { exit bad }'
}
spdx() {
    list \( -name '*.[ch]' -o -name '*.inc' -o -name '*.def' -o -name '*.sh' -o -name '*.awk' -o -name '*.py' \
        -o -name '*.cmake' -o -name CMakeLists.txt -o -path './script/*' -o -path './scripts/*' -o -path './.ci/*' \) |
        { bad=0
          while read -r file; do
              head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || { echo "$file: no SPDX line"; bad=1; }
          done
          exit $bad; }
}
marks() { # the words are put together here, so that this file has none
    ! grep -nIwE "TO""DO|FIX""ME|XX""X|HA""CK" $(list ! -name '*.csv' ! -name '*.json' ! -name '*.svg' | grep -v '^LICENSE$')
}

check "includes follow the house (docs/architecture.md)" layers
check "functions within 60 lines" functions
check "files within 800 lines" files
check "lines within 132 columns" columns
check "every source file names its licence" spdx
check "no marks of unfinished work" marks
[ $faults -eq 0 ]
