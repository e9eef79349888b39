// Softmax cross-entropy and its gradient, as cpu.rs defines them: GROUP threads have an example.
#include "pack.h"

enum { GROUP = 32 };

// The loss of each example and the gradient times `weight`. Exponentials and sums are computed in double. `second` and its
// weights are null where no example has a second label.
#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ logits, const uint32_t *__restrict__ labels, const uint32_t *__restrict__ second,            \
        const double *__restrict__ weights, int n, int classes, double smoothing, double weight,                       \
        double *__restrict__ losses, T *__restrict__ gradient
template <class T> DEVICE void forward_backward(PARAMETERS(T)) {
    SHARED(float, largest, THREADS);
    SHARED(double, sums, THREADS);
    int first = blockIdx.x * (THREADS / GROUP);
    // Not-a-number is never the largest: it must reach the sum.
    EACH_THREAD(t) {
        int example = first + t / GROUP;
        float max = -INFINITY;
        if (example < n) {
            const T *row = logits + (size_t)example * classes;
            UNROLL_BY_4 for (int c = t % GROUP; c < classes; c += GROUP) max = fmaxf(max, number(row[c]));
        }
        largest[t] = max;
    }
    for (int half = GROUP / 2; half > 0; half /= 2) {
        EACH_THREAD(t) {
            if (t % GROUP < half) largest[t] = fmaxf(largest[t], largest[t + half]);
        }
    }
    EACH_THREAD(t) {
        int example = first + t / GROUP;
        double sum = 0.0, max = largest[t / GROUP * GROUP];
        if (example < n) {
            const T *row = logits + (size_t)example * classes;
            for (int c = t % GROUP; c < classes; c += GROUP) sum += exp((double)number(row[c]) - max);
        }
        sums[t] = sum;
    }
    for (int half = GROUP / 2; half > 0; half /= 2) {
        EACH_THREAD(t) {
            if (t % GROUP < half) sums[t] += sums[t + half];
        }
    }
    SHARED(double, totals, THREADS);
    if (smoothing > 0.0) {
        EACH_THREAD(t) {
            int example = first + t / GROUP;
            double total = 0.0;
            if (example < n) {
                const T *row = logits + (size_t)example * classes;
                for (int c = t % GROUP; c < classes; c += GROUP) total += number(row[c]);
            }
            totals[t] = total;
        }
        for (int half = GROUP / 2; half > 0; half /= 2) {
            EACH_THREAD(t) {
                if (t % GROUP < half) totals[t] += totals[t + half];
            }
        }
    }
    EACH_THREAD(t) {
        int example = first + t / GROUP;
        double sum = sums[t / GROUP * GROUP], max = largest[t / GROUP * GROUP];
        if (example < n) {
            const T *row = logits + (size_t)example * classes;
            int label = (int)labels[example], other = second ? (int)second[example] : label;
            double share = second ? weights[example] : 0.0;
            double keep = 1.0 - smoothing, even = smoothing / classes;
            if (t % GROUP == 0) {
                double expected = number(row[label]);
                // What has no weight is not looked at: it may be infinite.
                if (share > 0.0) expected = (1.0 - share) * expected + share * number(row[other]);
                if (smoothing > 0.0) expected = keep * expected + even * totals[t];
                losses[example] = log(sum) + max - expected;
            }
            for (int c = t % GROUP; c < classes; c += GROUP) {
                double target = even;
                if (c == label) target += keep * (1.0 - share);
                if (c == other) target += keep * share;
                store(gradient + (size_t)example * classes + c,
                      (float)(weight * (exp(number(row[c]) - max) / sum - target)));
            }
        }
    }
}
FOR_BOTH_TYPES(cross_entropy, forward_backward, PARAMETERS,
               (logits, labels, second, weights, n, classes, smoothing, weight, losses, gradient))
#undef PARAMETERS
