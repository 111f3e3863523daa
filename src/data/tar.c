/* SPDX-License-Identifier: Apache-2.0
 * Tar shards as a data set. WebDataset pairs where any member ends in .cls (key.jpg + key.cls; the key runs to the first dot
 * of the last part), otherwise class folders. One folder that holds all of an archive is not part of the names. */
#include "data/tar.h"
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"

typedef struct tar_set {
    gn_finds *finds;
    gn_members members;
    const char *const *shards;
    int shard_count;
    const char **shard_path; /* copies in the arena */
    const char *inside;
    gn_text name;
} tar_set;

static size_t folder_length(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

/* `tar cf photos.tar photos` puts everything into one folder. */
static const char *strip_top(tar_set *t)
{
    const gn_members *m = &t->members;
    size_t top = 0;
    bool deep = false;
    if (!m->count || *t->inside)
        return NULL;
    const char *first = m->items[0].name;
    top = strcspn(first, "/");
    for (int64_t i = 0; i < m->count; i++) {
        const char *name = m->items[i].name;
        if (strncmp(name, first, top) != 0 || (name[top] != '/' && !(name[top] == '\0' && m->items[i].folder)))
            return NULL;
        deep |= !m->items[i].folder && name[top] && strchr(name + top + 1, '/');
    }
    if (!deep)
        return NULL;
    int64_t kept = 0;
    for (int64_t i = 0; i < m->count; i++)
        if (m->items[i].name[top] == '/') {
            gn_member one = m->items[i];
            one.name += top + 1;
            t->members.items[kept++] = one;
        }
    t->members.count = kept;
    return gn_arena_put(t->finds->memory, first, top);
}

static genet_status add_image(tar_set *t, const gn_member *m, int group, genet_error *err)
{
    gn_found item = {.path = t->shard_path[m->shard], .name = m->name, .offset = m->offset, .bytes = m->size,
                     .size = m->size, .group = group};
    if (t->shard_count > 1) {
        const char *base = strrchr(item.path, '/');
        t->name.length = 0;
        gn_text_add(&t->name, "%s/%s", base ? base + 1 : item.path, m->name);
        item.name = t->name.failed ? NULL : gn_arena_put(t->finds->memory, t->name.data, t->name.length);
        if (!item.name)
            return gn_fail_memory(err, t->name.length, "file names");
    }
    return gn_finds_add(t->finds, &item, err);
}

/* --- WebDataset -------------------------------------------------------------------------------------------------- */

static size_t key_length(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    return (size_t)(base - name) + strcspn(base, ".");
}

static bool image_extension(const char *name)
{
    static const char *const ends[] = {"jpg", "jpeg", "jpe", "png", "webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (strcasecmp(dot + 1, ends[i]) == 0)
            return true;
    return false;
}

static genet_status find_pairs(tar_set *t, genet_error *err)
{
    genet_status status = GENET_OK;
    const gn_member *m = t->members.items;
    t->finds->labels = true;
    for (int64_t i = 0, next; i < t->members.count; i = next) {
        const gn_member *image = NULL, *label = NULL;
        size_t key = key_length(m[i].name);
        int64_t files = 0;
        for (next = i; next < t->members.count && m[next].shard == m[i].shard && key_length(m[next].name) == key &&
                       strncmp(m[next].name, m[i].name, key) == 0;
             next++) {
            files += !m[next].folder;
            if (m[next].text)
                label = &m[next];
            else if (!image && !m[next].folder && image_extension(m[next].name))
                image = &m[next];
        }
        if (!image || !label) {
            t->finds->loose += files;
            continue;
        }
        int group;
        GN_TRY(gn_finds_group(t->finds, label->text, strlen(label->text), &group, err));
        GN_TRY(add_image(t, image, group, err));
    }
    if (t->finds->count == 0)
        status = gn_fail(err, GENET_DATA, "'%s' has .cls members but no image beside one: a pair is '0001.jpg' and '0001.cls', "
                         "one after the other", t->shards[0]);
out:
    return status;
}

/* --- class folders ------------------------------------------------------------------------------------------------- */

static bool member_is_image(const tar_set *t, const gn_member *m)
{
    unsigned char head[16];
    int fd = gn_open_at(AT_FDCWD, t->shard_path[m->shard], O_RDONLY);
    if (fd < 0)
        return false;
    size_t want = m->size < sizeof head ? (size_t)m->size : sizeof head;
    long long n = gn_read_at(fd, head, want, m->offset);
    close(fd);
    return n > 0 && gn_image_signature(head, (size_t)n);
}

/* Number of the folder path[0..n) in a tree of folders, whose groups count their sub-folders in `files`. */
static genet_status note_folder(gn_finds *tree, const char *path, size_t n, int *folder, genet_error *err)
{
    genet_status status = GENET_OK;
    bool fresh = false, first = true;
    do {
        int before = tree->group_count, here;
        GN_TRY(gn_finds_group(tree, path, n, &here, err));
        if (first)
            *folder = here;
        if (fresh)
            tree->groups[here].files++;
        fresh = here >= before;
        first = false;
        while (n && path[n - 1] != '/')
            n--;
        n -= n > 0;
    } while (fresh && n);
out:
    return status;
}

static genet_status fail_splits(const tar_set *t, const char *top, genet_error *err)
{
    const char *best = NULL;
    size_t best_n = 0;
    for (int64_t i = 0; i < t->members.count; i++) {
        const char *name = t->members.items[i].name;
        size_t n = strcspn(name, "/");
        if (name[n] != '/' && !t->members.items[i].folder)
            continue;
        if (!gn_split_name(name, n))
            return GENET_OK;
        if (!best || strncasecmp(name, "train", 5) == 0)
            best = name, best_n = n;
    }
    if (!best)
        return GENET_OK;
    return gn_fail(err, GENET_DATA, "'%s%s%s' holds parts as '%.*s' and no class folders: did you mean '%s/%s%s%s%s%.*s'?",
                   t->shards[0], *t->inside ? "/" : "", t->inside, (int)best_n, best, t->shards[0], t->inside,
                   *t->inside ? "/" : "", top ? top : "", top ? "/" : "", (int)best_n, best);
}

/* Every folder with files is a class, an empty one without folders too; files beside folders only where one of them is an
 * image (a README is none). */
static genet_status find_folders(tar_set *t, genet_error *err)
{
    genet_status status = GENET_OK;
    gn_finds tree = {0};
    GN_TRY(gn_finds_create(&tree, err));
    for (int64_t i = 0; i < t->members.count; i++) {
        gn_member *m = &t->members.items[i];
        size_t n = m->folder ? strlen(m->name) : folder_length(m->name);
        m->group = -1;
        if (n)
            GN_TRY(note_folder(&tree, m->name, n, &m->group, err));
    }
    for (int64_t i = 0; i < t->members.count; i++) { /* label 1: an image was seen */
        const gn_member *m = &t->members.items[i];
        gn_group *folder = m->group < 0 ? NULL : &tree.groups[m->group];
        if (folder && !m->folder && folder->label != 1 && (folder->files == 0 || member_is_image(t, m)))
            folder->label = 1;
    }
    for (int64_t i = 0; i < t->members.count; i++) {
        const gn_member *m = &t->members.items[i];
        const gn_group *folder = m->group < 0 ? NULL : &tree.groups[m->group];
        int group;
        if (m->folder ? folder->files > 0 : !folder || folder->label != 1) {
            t->finds->loose += !m->folder;
            continue;
        }
        GN_TRY(gn_finds_group(t->finds, folder->text, strlen(folder->text), &group, err));
        if (!m->folder)
            GN_TRY(add_image(t, m, group, err));
    }
out:
    gn_finds_free(&tree);
    return status;
}

genet_status gn_scan_tars(gn_finds *f, const char *const *shards, int shard_count, const char *inside, genet_error *err)
{
    genet_status status = GENET_OK;
    tar_set t = {.finds = f, .shards = shards, .shard_count = shard_count, .inside = inside};
    bool pairs = false;
    t.shard_path = gn_calloc((size_t)shard_count, sizeof *t.shard_path);
    if (!t.shard_path)
        return gn_fail_memory(err, (size_t)shard_count * sizeof *t.shard_path, "the table of shards");
    for (int i = 0; i < shard_count; i++) {
        t.shard_path[i] = gn_arena_put(f->memory, shards[i], strlen(shards[i]));
        if (!t.shard_path[i]) {
            status = gn_fail_memory(err, strlen(shards[i]), "file names");
            goto out;
        }
        GN_TRY(gn_tar_read(&t.members, f->memory, shards[i], i, inside, err));
    }
    f->ignored += t.members.ignored;
    f->loose += t.members.links;
    for (int64_t i = 0; i < t.members.count; i++)
        pairs |= t.members.items[i].text != NULL;
    if (pairs) {
        status = find_pairs(&t, err);
        goto out;
    }
    const char *top = strip_top(&t);
    GN_TRY(fail_splits(&t, top, err));
    GN_TRY(find_folders(&t, err));
    if (f->group_count == 0)
        status = gn_fail(err, GENET_DATA,
                         "'%s'%s%s%s has no class folders: expected members as 'apple/1.jpg', or pairs '0001.jpg' and "
                         "'0001.cls'", shards[0], *inside ? " (below '" : "", inside, *inside ? "')" : "");
out:
    gn_members_free(&t.members);
    gn_text_free(&t.name);
    gn_free(t.shard_path);
    return status;
}
