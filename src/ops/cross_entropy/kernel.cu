// Softmax cross-entropy and its gradient, as cpu.rs defines them: GROUP threads have an example.
#include "pack.h"

enum { GROUP = 32 };

// The loss of each example and the gradient times `weight`. Exponentials and their sum are computed in double.
#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ logits, const uint32_t *__restrict__ labels, int n, int classes, double weight,              \
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
    EACH_THREAD(t) {
        int example = first + t / GROUP;
        double sum = sums[t / GROUP * GROUP], max = largest[t / GROUP * GROUP];
        if (example < n) {
            size_t start = (size_t)example * classes;
            int label = (int)labels[example];
            for (int c = t % GROUP; c < classes; c += GROUP) {
                double value = number(logits[start + c]);
                double target = c == label ? 1.0 : 0.0;
                store(gradient + start + c, (float)(weight * (exp(value - max) / sum - target)));
                if (c == label) losses[example] = log(sum) + max - value;
            }
        }
    }
}
FOR_BOTH_TYPES(cross_entropy, forward_backward, PARAMETERS, (logits, labels, n, classes, weight, losses, gradient))
#undef PARAMETERS
