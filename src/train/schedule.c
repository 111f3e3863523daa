/* SPDX-License-Identifier: Apache-2.0
 * Learning rates: functions of the step alone. All arithmetic in double; the published tables round to float afterwards. */
#include <math.h>

#include "base/text.h"
#include "train/train.h"

#define PI 3.14159265358979323846

/* Published "cosine" (TensorFlow's linear-cosine decay): 0.47 periods under a line to zero, plus 1e-5. */
static double linear_cosine(double rate, double i, double steps)
{
    return rate * ((steps - i) / steps * 0.5 * (1 + cos(2 * PI * 0.47 * i / steps)) + 0.00001);
}

double gn_schedule_rate(const gn_schedule *s, int64_t step)
{
    if (step < s->warmup_steps)
        return s->rate * (double)(step + 1) / (double)s->warmup_steps;
    double i = (double)(step - s->warmup_steps), steps = (double)(s->steps - s->warmup_steps), rate = s->rate;
    switch (s->kind) {
    case GN_CHOICE_SCHEDULE_COSINE:
        return s->rate_end + (rate - s->rate_end) * 0.5 * (1 + cos(PI * i / steps));
    case GN_CHOICE_SCHEDULE_LINEAR:
        return rate - (rate - s->rate_end) * i / steps;
    case GN_CHOICE_SCHEDULE_LINEAR_COSINE:
        return linear_cosine(rate, i, steps);
    case GN_CHOICE_SCHEDULE_STEP:
        for (int k = 0; k < s->drop_count; k++)
            if (step >= s->drops[k])
                rate *= s->factor;
        return rate;
    default:
        return rate;
    }
}

gn_schedule gn_schedule_from(const gn_settings *s, int64_t steps_per_epoch, int64_t *drops)
{
    gn_schedule schedule = {.kind = s->schedule, .rate = s->rate, .rate_end = s->rate_end, .factor = s->step_factor,
                            .steps = steps_per_epoch * s->epochs, .drops = drops, .drop_count = s->step_epochs.count};
    for (int i = 0; i < s->step_epochs.count; i++) {
        int64_t epoch = 0;
        gn_parse_int(s->step_epochs.items[i], &epoch); /* gn_settings_check has read them */
        drops[i] = epoch * steps_per_epoch;
    }
    double warmup = floor(gn_settings_warmup(s) * (double)steps_per_epoch + 0.5);
    schedule.warmup_steps = warmup < (double)schedule.steps ? (int64_t)warmup : schedule.steps;
    return schedule;
}
