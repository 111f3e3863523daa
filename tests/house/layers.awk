# SPDX-License-Identifier: Apache-2.0
# Reads source files of the project (paths relative to its root) and prints every #include that breaks the house
# (docs/architecture.md); exit code 1 when there was one. Rules:
#   1 a folder of src/ includes itself and folders that stand before it in `order`, by their path from src/
#   2 backend/X is included by backend/X alone, so that siblings stay apart and the rest knows only backend/backend.h
#   3 a library's header (neither C, POSIX nor of the compiler) appears in one folder only
#   4 cli/, examples/ and bench/ include only the public API, libraries and their own headers
#   5 include/genet includes only genet/ and the C library
BEGIN {
    n = split("base config image plan data model backend comm formats exec infer train report", order, " ")
    for (i = 1; i <= n; i++)
        rank[order[i]] = i
    n = split("assert ctype errno fcntl fenv float inttypes limits locale math setjmp signal stdalign stdarg stdatomic " \
              "stdbool stddef stdint stdio stdlib stdnoreturn string strings time wchar unistd dirent dlfcn fnmatch " \
              "ftw getopt glob iconv langinfo libgen link malloc netdb poll pthread pwd regex sched semaphore spawn " \
              "sysexits termios threads immintrin x86intrin cpuid arm_neon", names, " ")
    for (i = 1; i <= n; i++)
        standard[names[i] ".h"] = 1
}

function complain(text) {
    printf "%s:%d: %s: %s\n", FILENAME, FNR, $0, text
    bad = 1
}

# The part of the house that a file belongs to: base, backend, backend/cpu, cli, cli/serve, examples, genet.
function part_of(path,   piece, count) {
    count = split(path, piece, "/")
    if (piece[1] == "src")
        return piece[2] == "backend" && count > 3 ? "backend/" piece[3] : piece[2]
    if (piece[1] == "include")
        return "genet"
    if (piece[1] == "cli" && count > 2)
        return "cli/" piece[2]
    return piece[1]
}

function check_library(part, header) {
    if (part == "genet")
        complain("a public header includes only genet/ and the C library")
    else if ((header in owner) && owner[header] != part)
        complain("this library's header is " owner[header] "'s already: one folder only")
    else
        owner[header] = part
}

function check_own(part, header,   piece, count, folder, mine) {
    count = split(header, piece, "/")
    folder = piece[1]
    if (folder == "genet")
        return
    if (part == "genet") {
        complain("a public header includes only genet/ and the C library")
        return
    }
    if (part ~ /^(cli|examples|bench)/) {
        if (count > 1 && folder != "cli" && folder != "bench")
            complain("clients of the library include only genet/ headers")
        return
    }
    if (!(folder in rank) || count < 2) {
        complain("headers of src/ are named by their path from src/")
        return
    }
    mine = part
    sub("/.*", "", mine)
    if (!(mine in rank)) {
        complain("src/" mine " has no place in the house")
        return
    }
    if (rank[folder] > rank[mine])
        complain(mine " stands before " folder " in the house")
    else if (folder == "backend" && count > 2 && part != "backend/" piece[2])
        complain("backend/" piece[2] " belongs to itself alone")
}

/^[ \t]*#[ \t]*include/ {
    part = part_of(FILENAME)
    header = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", header)
    angle = header ~ /^</
    sub(/^[<"]/, "", header)
    sub(/[>"].*$/, "", header)
    if (header ~ /^genet\//)
        next
    if (!angle)
        check_own(part, header)
    else if (!(header in standard) && header !~ /^(sys|netinet|arpa|net|linux)\//)
        check_library(part, header)
}

END { exit bad }
