/* SPDX-License-Identifier: Apache-2.0
 * Scores by hand: ranks with ties, losses, precision and recall where undefined, Wilson's interval against published values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/scores.h"
#include "infer/session.h"

static void test_ranks(void **state)
{
    (void)state;
    const float logits[] = {1, 3, 3, 2, NAN, 0, INFINITY};
    assert_int_equal(gn_rank_of(logits, 7, 1), 0);
    assert_int_equal(gn_rank_of(logits, 7, 2), 1); /* the lower index wins */
    assert_int_equal(gn_rank_of(logits, 7, 3), 2);
    assert_int_equal(gn_rank_of(logits, 7, 5), 4);
    assert_int_equal(gn_rank_of(logits, 7, 4), 5); /* not a number: behind all numbers */
}

static void test_scores(void **state)
{
    (void)state;
    gn_scores s;
    genet_error err;
    const float right[] = {0, 2, 0}, wrong[] = {5, 1, 0};
    assert_int_equal(gn_scores_create(&s, 3, &err), GENET_OK);
    assert_true(isnan(gn_scores_top1(&s)));
    gn_scores_add(&s, right, 1);
    gn_scores_add(&s, wrong, 2);
    assert_true(fabs(gn_scores_top1(&s) - 0.5) < 1e-15);
    assert_true(fabs(gn_scores_top5(&s) - 1) < 1e-15);
    double loss = (log(exp(-2) * 2 + 1) + log(1 + exp(-4) + exp(-5)) + 5) / 2;
    assert_true(fabs(gn_scores_loss(&s) - loss) < 1e-12);
    gn_class_counts c = gn_scores_class(&s, 2);
    assert_int_equal(c.images, 1);
    assert_int_equal(c.predicted, 0);
    assert_true(isnan(gn_precision(c)) && fabs(gn_recall(c)) < 1e-15 && fabs(gn_f1(c)) < 1e-15);
    c = gn_scores_class(&s, 1);
    assert_true(fabs(gn_precision(c) - 1) < 1e-15 && fabs(gn_f1(c) - 1) < 1e-15);
    c = gn_scores_class(&s, 0);
    assert_true(fabs(gn_precision(c)) < 1e-15 && isnan(gn_recall(c)));
    gn_scores_reset(&s);
    assert_int_equal(s.images, 0);
    assert_int_equal(s.confusion[1 * 3 + 1], 0);
    gn_scores_free(&s);
}

/* Newcombe 1998 (Statistics in Medicine 17), method 3: 81/263, 15/148, 0/20, 1/29. */
static void test_wilson(void **state)
{
    (void)state;
    static const struct {
        int hits, all;
        double low, high;
    } known[] = {{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}};
    for (int i = 0; i < 4; i++) {
        double low, high;
        gn_wilson(known[i].hits, known[i].all, &low, &high);
        assert_true(fabs(low - known[i].low) < 6e-5 && fabs(high - known[i].high) < 6e-5);
    }
}

static void test_softmax(void **state)
{
    (void)state;
    float p[] = {1000, 1001, -1000};
    gn_softmax(p, 3);
    assert_true(fabs((double)p[1] - 1 / (1 + exp(-1))) < 1e-6);
    assert_true(fabs((double)(p[0] + p[1] + p[2]) - 1) < 1e-6);
}

/* Pieces cover the batch, none is empty, none has more than four pictures a thread or is larger than it must be. */
static void test_pieces(void **state)
{
    (void)state;
    assert_int_equal(gn_session_piece(32, 2), 8);
    assert_int_equal(gn_session_piece(9, 2), 5);
    assert_int_equal(gn_session_piece(32, 16), 32);
    assert_int_equal(gn_session_piece(65536, 4096), 16384);
    for (int threads = 1; threads <= 5; threads++)
        for (int batch = 1; batch <= 100; batch++) {
            int piece = gn_session_piece(batch, threads), pieces = (batch + piece - 1) / piece;
            assert_in_range(piece, 1, 4 * threads);
            assert_int_equal(pieces, (batch + 4 * threads - 1) / (4 * threads));
            assert_true((piece - 1) * pieces < batch);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranks), cmocka_unit_test(test_scores),
                                       cmocka_unit_test(test_wilson), cmocka_unit_test(test_softmax),
                                       cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests_name("scores", tests, NULL, NULL);
}
