/* SPDX-License-Identifier: Apache-2.0
 * Classifies pictures with a trained model: the smallest useful client of libgenet.
 *
 *     classify MODEL.safetensors PICTURE.jpg [PICTURE ...]
 *
 * Build it against the installed library, either way:
 *     cc classify.c $(pkg-config --cflags --libs genet) -o classify
 *     cmake -S . -B build && cmake --build build */
#include <genet/genet.h>
#include <stdio.h>

enum { TOP = 3 };

static int classify(genet_session *session, const char *path, genet_error *error)
{
    genet_prediction best[TOP];
    int found = 0;
    if (genet_session_classify_file(session, path, best, TOP, &found, error) != GENET_OK)
        return 1;
    printf("%s\n", path);
    for (int i = 0; i < found; i++)
        printf("  %5.1f %%  %s\n", 100 * (double)best[i].probability, best[i].class_name);
    return 0;
}

int main(int argc, char **argv)
{
    genet_config *config = NULL;
    genet_session *session = NULL;
    genet_error error = {GENET_OK, ""};
    int failed = 1;
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.safetensors PICTURE [PICTURE ...]\n", argv[0]);
        return genet_status_exit_code(GENET_USAGE);
    }
    if (genet_config_create(&config, &error) != GENET_OK ||
        genet_config_set(config, "model", argv[1], &error) != GENET_OK ||
        genet_session_open(&session, config, &error) != GENET_OK)
        goto out;
    failed = 0;
    for (int i = 2; i < argc && !failed; i++)
        failed = classify(session, argv[i], &error);
out:
    if (failed)
        fprintf(stderr, "%s\n", error.text);
    genet_session_close(session);
    genet_config_free(config);
    return failed ? genet_status_exit_code(error.status) : 0;
}
