// Scores of logits and their gradients, as cpu.rs defines them: a thread has an example.
#include "kernel.h"

enum { LOGIT = 0, MARGIN = 1, DLR = 2, TARGETED_DLR = 3 };
// Of the sorted logits, those that a score is made of.
enum { SORTED = 4 };

// The score of each example and its gradient. `target_classes` is null where there are none.
#define PARAMETERS(T)                                                                                                  \
    const T *logits, const uint32_t *labels, const uint32_t *target_classes, int n, int classes, int score,            \
        double least, double *values, T *gradient
template <class T> DEVICE void evaluate(PARAMETERS(T)) {
    ELEMENTS(i, (size_t)n) {
        const T *z = logits + i * classes;
        int y = (int)labels[i], t = target_classes ? (int)target_classes[i] : y;
        // The largest first, and of equal ones the first.
        int order[SORTED];
        double top[SORTED];
        for (int k = 0; k < SORTED; ++k) {
            order[k] = -1;
            top[k] = -INFINITY;
        }
        for (int c = 0; c < classes; ++c) {
            int place = c;
            double value = number(z[c]);
            for (int k = 0; k < SORTED; ++k) {
                if (order[k] < 0 || value > top[k]) {
                    int other = order[k];
                    double shorter = top[k];
                    order[k] = place;
                    top[k] = value;
                    if (other < 0) break;
                    place = other;
                    value = shorter;
                }
            }
        }
        double of_y = number(z[y]), of_t = number(z[t]), above = 0.0, below = 1.0, second = -1.0, third = 0.0;
        int likeliest_other = order[0] == y ? order[1] : order[0];
        int rival = target_classes ? t : likeliest_other;
        if (score == DLR) {
            rival = likeliest_other;
            above = of_y - number(z[rival]);
            below = top[0] - top[2] + least;
        } else if (score == TARGETED_DLR) {
            above = of_y - of_t;
            below = top[0] - 0.5 * (top[2] + top[3]) + least;
            second = third = -0.5;
        }
        double sign = target_classes ? 1.0 : -1.0;
        values[i] = score == LOGIT ? sign * of_t : score == MARGIN ? number(z[rival]) - of_y : -above / below;
        double fall = above / (below * below);
        for (int c = 0; c < classes; ++c) {
            double slope = 0.0;
            if (score == LOGIT) {
                if (c == t) slope = sign;
            } else if (score == MARGIN) {
                if (c == rival) slope += 1.0;
                if (c == y) slope -= 1.0;
            } else {
                if (c == y) slope -= 1.0 / below;
                if (c == rival) slope += 1.0 / below;
                if (c == order[0]) slope += fall;
                if (c == order[2]) slope += fall * second;
                if (c == order[3]) slope += fall * third;
            }
            store(gradient + i * classes + c, (float)slope);
        }
    }
}
FOR_BOTH_TYPES(logit_score, evaluate, PARAMETERS,
               (logits, labels, target_classes, n, classes, score, least, values, gradient))
#undef PARAMETERS
