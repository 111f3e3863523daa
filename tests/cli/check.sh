# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of the command line: runs the program, and holds its exit code and output to what is expected.
# The caller has set `genet` to the program. Ends with finish.
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
faults=0
out=$tmp/stdout
err=$tmp/stderr
what=

fault() {
    echo "FAULT: $what: $1"
    sed 's/^/    out: /' "$out" | head -n 10
    sed 's/^/    err: /' "$err" | head -n 10
    faults=$((faults + 1))
}
# runs CODE ARGUMENT...: the program with these arguments ends with this code
runs() {
    code=$1
    shift
    what="genet $*"
    "$genet" "$@" > "$out" 2> "$err" < /dev/null
    got=$?
    [ "$got" = "$code" ] || fault "exit code $got instead of $code"
}
# The last run's output holds a line with this fixed text / an error like it / nothing.
says() {
    grep -qF -e "$1" "$out" || fault "does not say: $1"
}
complains() {
    grep -qF -e "$1" "$err" || fault "does not complain: $1"
}
silent() {
    [ ! -s "$out" ] || fault "writes to standard output"
}
clean() {
    [ ! -s "$err" ] || fault "writes to standard error"
}
# A mistake in the use: code 2, nothing on standard output, one line of complaint and the way to the help.
mistake() { # mistake COMPLAINT COMMAND-WORDS -- ARGUMENT...
    complaint=$1
    command=$2
    shift 2
    # shellcheck disable=SC2086
    runs 2 $command "$@"
    silent
    [ "$(wc -l < "$err")" = 2 ] || fault "not two lines"
    [ "$(sed -n 1p "$err")" = "genet $command: $complaint" ] || fault "instead of: genet $command: $complaint"
    [ "$(sed -n 2p "$err")" = "see genet $command --help" ] || fault "no way to the help"
}
finish() {
    [ "$faults" = 0 ] && echo ok
    [ "$faults" = 0 ]
    exit
}
