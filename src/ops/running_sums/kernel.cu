// The account of a training epoch that stays on the card: sum of losses, correct predictions, examples, and the first
// step whose losses were not finite.
#include "pack.h"

// One block of BLOCK threads; `group` of them, a power of two, look at an example.
enum { BLOCK = 512 };

#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ logits, const uint32_t *__restrict__ labels, const double *__restrict__ losses, int n,       \
        int classes, int group, uint64_t step, double *totals
template <class T> DEVICE void tally(PARAMETERS(T)) {
    SHARED(double, sums, BLOCK);
    SHARED(int, correct, BLOCK);
    SHARED(int, beaten, BLOCK);
    int slots = BLOCK / group;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < n; i += BLOCK) sum += losses[i];
        sums[t] = sum;
        correct[t] = 0;
    }
    for (int first = 0; first < n; first += slots) {
        EACH_THREAD(t) { beaten[t] = 0; }
        // The prediction is the first of the largest logits: not the label where an earlier logit is as large or a
        // later one larger. All who find one write the same.
        EACH_THREAD(t) {
            int slot = t / group, example = first + slot;
            if (example < n) {
                const T *row = logits + (size_t)example * classes;
                int label = (int)labels[example];
                float value = number(row[label]);
                bool found = false;
                UNROLL_BY_4 for (int c = t % group; c < classes; c += group) {
                    float other = number(row[c]);
                    found = found || other > value || (c < label && other == value);
                }
                if (found) beaten[slot] = 1;
            }
        }
        EACH_THREAD(t) {
            if (t < slots && first + t < n) correct[t] += 1 - beaten[t];
        }
    }
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        EACH_THREAD(t) {
            if (t < half) {
                sums[t] += sums[t + half];
                correct[t] += correct[t + half];
            }
        }
    }
    EACH_THREAD(t) {
        if (t == 0 && totals[3] == 0.0) {
            // Neither infinity nor not-a-number differ from themselves by nothing.
            if (sums[0] - sums[0] == 0.0) {
                totals[0] += sums[0];
                totals[1] += correct[0];
                totals[2] += n;
            } else {
                totals[3] = (double)step;
            }
        }
    }
}
FOR_BOTH_TYPES(running_sums, tally, PARAMETERS, (logits, labels, losses, n, classes, group, step, totals))
#undef PARAMETERS
