/* SPDX-License-Identifier: Apache-2.0
 * How things are shown: names, columns, bars, JSON, CSV, files. The program never sets a locale, so numbers have
 * points. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"

bool cli_is_terminal(FILE *to)
{
    return isatty(fileno(to)) == 1;
}

int cli_columns(FILE *to)
{
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 100;
}

/* Reads one UTF-8 character; 0 bytes where there is none. */
static size_t character(const char *text, uint32_t *code)
{
    const unsigned char *b = (const unsigned char *)text;
    size_t n = b[0] < 0x80 ? 1 : b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] == 0 || (b[0] >= 0x80 && (b[0] < 0xc2 || b[0] > 0xf4)))
        return 0;
    *code = n == 1 ? b[0] : b[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (b[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
        return 0;
    return n;
}

const char *cli_name(char *to, size_t size, const char *name, FILE *where)
{
    bool raw = !cli_is_terminal(where);
    size_t used = 0;
    uint32_t code = 0;
    while (*name) {
        size_t n = character(name, &code);
        bool plain = raw || (n > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0));
        size_t take = n ? n : 1, need = plain ? take : 4;
        if (used + need >= size)
            break;
        if (plain)
            memcpy(to + used, name, need);
        else
            snprintf(to + used, 5, "\\x%02x", (unsigned char)*name);
        used += need;
        name += plain ? take : 1;
    }
    to[used] = 0;
    return to;
}

int cli_width(const char *text)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                       {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    int width = 0;
    uint32_t code = 0;
    while (*text) {
        size_t n = character(text, &code);
        int columns = n == 0 || code < 0x300 || code > 0x36f; /* combining marks take none */
        for (size_t i = 0; n > 0 && i < sizeof wide / sizeof wide[0]; i++)
            if (code >= wide[i][0] && code <= wide[i][1])
                columns = 2;
        width += columns;
        text += n ? n : 1;
    }
    return width;
}

void cli_pad(FILE *to, const char *text, int width)
{
    int blanks = width - cli_width(text);
    fprintf(to, "%s%*s", text, blanks > 0 ? blanks : 0, "");
}

const char *cli_seconds(char to[32], double seconds)
{
    if (!(seconds >= 0) || seconds > 1e10) {
        snprintf(to, 32, "?");
        return to;
    }
    long long s = (long long)(seconds + 0.5), minutes = (s + 30) / 60;
    if (s < 60)
        snprintf(to, 32, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
    else if (s < 3600)
        snprintf(to, 32, "%lld min %02lld s", s / 60, s % 60);
    else
        snprintf(to, 32, "%lld h %02lld min", minutes / 60, minutes % 60);
    return to;
}

const char *cli_bar(char *to, int width, double share)
{
    int full = share >= 1 ? width : share > 0 ? (int)(share * width) : 0;
    memset(to, '#', (size_t)full);
    memset(to + full, '-', (size_t)(width - full));
    to[width] = 0;
    return to;
}

void cli_line(FILE *to, const char *line)
{
    int columns = cli_columns(to) - 1, width = line ? (int)strlen(line) : 0;
    fprintf(to, "\r%.*s\033[K", width < columns ? width : columns, line ? line : "");
    fflush(to);
}

void cli_json_text(FILE *to, const char *bytes)
{
    uint32_t code = 0;
    putc('"', to);
    while (*bytes) {
        size_t n = character(bytes, &code);
        if (n == 0)
            fprintf(to, "\\udc%02x", (unsigned char)*bytes);
        else if (code == '"' || code == '\\')
            fprintf(to, "\\%c", (int)code);
        else if (code < 0x20 || code == 0x7f)
            fprintf(to, "\\u%04x", code);
        else
            fwrite(bytes, 1, n, to);
        bytes += n ? n : 1;
    }
    putc('"', to);
}

void cli_json_real(FILE *to, double value)
{
    if (isfinite(value))
        fprintf(to, "%.9g", value);
    else
        fputs("null", to);
}

void cli_csv_text(FILE *to, const char *bytes)
{
    if (!strpbrk(bytes, ",\"\r\n")) {
        fputs(bytes, to);
        return;
    }
    putc('"', to);
    for (; *bytes; bytes++) {
        if (*bytes == '"')
            putc('"', to);
        putc(*bytes, to);
    }
    putc('"', to);
}

static bool write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno != EINTR)
            return false;
        data += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_file(const char *path, const char *data, size_t bytes)
{
    struct stat st;
    bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode); /* /dev/null, a pipe */
    size_t size = strlen(path) + 32;
    char *temporary = calloc(size, 1);
    if (!temporary)
        return false;
    snprintf(temporary, size, "%s.tmp%ld", path, (long)getpid());
    int fd = in_place ? open(path, O_WRONLY) : open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    bool done = fd >= 0 && write_all(fd, data, bytes) && (in_place || fsync(fd) == 0);
    int e = errno;
    if (fd >= 0 && close(fd) != 0 && done) {
        done = false;
        e = errno;
    }
    if (done && !in_place && rename(temporary, path) != 0) {
        done = false;
        e = errno;
    }
    if (!done && fd >= 0 && !in_place)
        unlink(temporary);
    free(temporary);
    errno = e;
    return done;
}

bool cli_write(const cli_command *command, const char *path, const char *data, size_t bytes)
{
    char shown[1024];
    if (strcmp(path, "-") == 0)
        return fwrite(data, 1, bytes, stdout) == bytes; /* main looks at stdout's errors */
    if (write_file(path, data, bytes))
        return true;
    int e = errno;
    fprintf(stderr, "genet %s: cannot write %s: %s\n", command->name, cli_name(shown, sizeof shown, path, stderr),
            strerror(e));
    return false;
}

void cli_notes(const char *notes)
{
    while (*notes) {
        size_t n = strcspn(notes, "\n");
        char line[1024], shown[2048];
        snprintf(line, sizeof line, "%.*s", n < sizeof line ? (int)n : (int)sizeof line - 1, notes);
        if (n > 0)
            fprintf(stderr, "note: %s\n", cli_name(shown, sizeof shown, line, stderr));
        notes += n + (notes[n] == '\n');
    }
}

void cli_count_progress(void *user, int64_t done, int64_t all)
{
    char line[160], bar[21];
    if (!cli_is_terminal(stderr))
        return;
    if (done >= all) {
        cli_line(stderr, NULL);
        return;
    }
    snprintf(line, sizeof line, "%s [%s] %lld/%lld", (const char *)user, cli_bar(bar, 20, (double)done / (double)all),
             (long long)done, (long long)all);
    cli_line(stderr, line);
}
