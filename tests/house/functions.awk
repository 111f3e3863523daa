# SPDX-License-Identifier: Apache-2.0
# Prints functions longer than `max` lines (signature to closing brace) of C files in the project's layout: the body's
# braces stand in the first column, or the opening one ends the signature. Exit code 1 when there was one.
FNR == 1 { start = 0; body = 0 }

# A line in the first column outside a body begins a signature, unless it ends a statement or is none.
!body && /^[A-Za-z_]/ && !start { start = FNR; signature = $0 }
!body && start && /[;}]$/ { start = 0 }
!body && start && /^[A-Za-z_].*=[ ]*\{?$/ { start = 0 }
!body && start && (/^\{/ || /\)[ ]*\{$/) { body = start }
body && /^\}/ {
    if (FNR - body + 1 > max) {
        printf "%s:%d: %d lines: %s\n", FILENAME, body, FNR - body + 1, signature
        bad = 1
    }
    body = 0
    start = 0
}
!body && /^(#|$|\/\*| \*)/ { start = 0 }

END { exit bad }
