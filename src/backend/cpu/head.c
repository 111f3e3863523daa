/* SPDX-License-Identifier: Apache-2.0
 * The two ends of the network: input, gradient of the global mean, loss; and the update of the parameters. */
#include "backend/cpu/pass.h"

/* (pixel - mean)/std of every byte, in f32 as ops.def says. */
static void byte_table(const gn_attr *a, float table[3][256])
{
    for (int c = 0; c < 3; c++)
        for (int b = 0; b < 256; b++)
            table[c][b] = ((float)b - a->mean[c]) / a->std[c];
}

/* One row of the map: columns v0..v1-1 are the partner's; blended where part < 1. */
static void input_row(const float (*table)[256], const uint8_t *own, const uint8_t *other, float part, bool blend, int64_t v0,
                      int64_t v1, int64_t width, float *to)
{
    for (int64_t v = 0; v < width; v++) {
        const uint8_t *from = (v >= v0 && v < v1 ? other : own) + v * 3;
        for (int c = 0; c < 3; c++)
            to[v * 3 + c] = table[c][from[c]];
    }
    for (int64_t e = 0; blend && e < width * 3; e++)
        to[e] = part * to[e] + (1 - part) * table[e % 3][other[e]];
}

/* The first column (or row) that is not below a bound of the box. */
static int64_t first_inside(float bound, int64_t size)
{
    return bound <= 0 ? 0 : bound >= (float)size ? size : (int64_t)ceilf(bound);
}

void KERNEL(INPUT)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[0]);
    const uint8_t *pixels = j->in[0];
    float (*table)[256] = (float(*)[256])(void *)behind_rows(j, me, m.c), *line_of = table[3];
    const range mine = share(m.n * m.h, 1, me, all);
    (void)phase;
    byte_table(j->attr, table);
    for (int64_t line = mine.begin; line < mine.end; line++) {
        int64_t n = line / m.h, h = line % m.h;
        const float *mix = (const float *)j->in[1] + n * 6;
        bool box = mix[4] > mix[2] && mix[5] > mix[3], in_rows = box && (float)h >= mix[2] && (float)h < mix[4];
        input_row((const float(*)[256])table, pixels + line * m.w * 3, pixels + ((int64_t)mix[0] * m.h + h) * m.w * 3, mix[1],
                  !box && mix[1] < 1, in_rows ? first_inside(mix[3], m.w) : 0, in_rows ? first_inside(mix[5], m.w) : 0, m.w,
                  line_of);
        map_t *to = (map_t *)j->out[0] + line * m.w * 3;
        EACH_VECTOR(e, lanes, 0, m.w * 3, store(to + e, row_get(line_of, e), lanes));
    }
}

void KERNEL(GLOBAL_POOL_DX)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tout[0]);
    const float *d_o = j->in[0];
    map_t *dx = j->out[0];
    const vec part = same(1 / (float)m.pixels);
    const range mine = share(m.count, 1, me, all);
    (void)phase;
    for (int64_t p = mine.begin; p < mine.end; p++)
        EACH_VECTOR(c, n, 0, m.c, store(dx + p * m.c + c, load_f(d_o + p / m.pixels * m.c + c, n) * part, n));
}

/* A label that no class has (the second one, unused) adds attr.off. */
static double target_of(const gn_attr *a, const int32_t *labels, double part, int64_t c)
{
    return part * (labels[0] == c ? a->on : a->off) + (1 - part) * (labels[1] == c ? a->on : a->off);
}

void KERNEL(SOFTMAX_LOSS)(const gn_job *j, int phase, int me, int all)
{
    const map m = map_of(j->tin[0]);
    const gn_attr *a = j->attr;
    const range mine = share(m.n, 1, me, all);
    float *losses = j->out[0];
    (void)phase;
    for (int64_t n = mine.begin; n < mine.end; n++) {
        const float *z = (const float *)j->in[0] + n * m.c;
        const int32_t *labels = (const int32_t *)j->in[1] + 2 * n;
        const double part = ((const float *)j->in[2])[n];
        float *dlogits = (float *)j->out[1] + n * m.c;
        double largest = z[0], sum = 0, loss = 0, target_sum = 0;
        for (int64_t c = 0; c < m.c; c++)
            largest = z[c] > largest ? z[c] : largest;
        for (int64_t c = 0; c < m.c; c++)
            sum += exp(z[c] - largest);
        const double log_sum = largest + log(sum);
        for (int64_t c = 0; c < m.c; c++) {
            double target = target_of(a, labels, part, c);
            target_sum += target;
            loss += target * (log_sum - z[c]);
        }
        losses[n] = (float)(labels[0] < 0 ? 0 : loss);
        for (int64_t c = 0; c < m.c; c++) {
            double gradient = exp(z[c] - log_sum) * (a->exact ? target_sum : 1) - target_of(a, labels, part, c);
            dlogits[c] = (float)(labels[0] < 0 ? 0 : gradient * a->grad_scale / (double)m.n);
        }
    }
}

/* The formula of backend.h on elements begin..end-1; decay is 0 where it does not apply. */
static void update(const gn_sgd *s, int64_t begin, int64_t end, float decay)
{
    float *w = s->w, *v = s->v, *ema = s->ema;
    const float *grad = s->grad;
    const vec factor = same((float)s->grad_factor), momentum = same((float)s->momentum), rate = same(-(float)s->rate);
    const vec forget = same((float)(1 - s->ema_keep)), shrink = same(decay);
    EACH_VECTOR(e, n, begin, end, {
        vec old = load_f(w + e, n), g = muladd(load_f(grad + e, n), factor, shrink * old);
        vec speed = muladd(momentum, load_f(v + e, n), g), step = s->nesterov ? muladd(momentum, speed, g) : speed;
        vec fresh = muladd(rate, step, old);
        store_f(v + e, speed, n);
        store_f(w + e, fresh, n);
        if (ema) {
            vec mean = load_f(ema + e, n);
            store_f(ema + e, muladd(forget, fresh - mean, mean), n);
        }
    });
}

void KERNEL(SGD)(const gn_sgd *s, int me, int all)
{
    int64_t total = 0, before = 0;
    for (int i = 0; i < s->segment_count; i++)
        total += s->segments[i].frozen ? 0 : s->segments[i].end - s->segments[i].begin;
    const range mine = share(total, GN_ROW_UNIT, me, all);
    for (int i = 0; i < s->segment_count; i++) {
        const gn_segment *k = &s->segments[i];
        if (k->frozen)
            continue;
        int64_t from = mine.begin - before, to = mine.end - before, length = k->end - k->begin;
        from = from < 0 ? 0 : from;
        to = to > length ? length : to;
        if (from < to)
            update(s, k->begin + from, k->begin + to, k->decay ? (float)s->decay : 0);
        before += length;
    }
}
