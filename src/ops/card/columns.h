// Rows of channels shared among a block's threads: neighbouring threads take neighbouring packs of channels, which are
// read at once, and the threads left over take further rows. Sums down the columns go in two steps: a block's partial
// sums, then the sum over blocks.
#pragma once
#include "pack.h"

// A block's partial sums, [part][kind][channel]: `sums` holds KINDS * V sums of each thread, [kind][v][thread], of which
// only threads below lanes * width have any. Each thread adds up some columns over the lanes.
template <int KINDS, int V>
DEVICE void add_lanes(const float *sums, double *partial, size_t part, int kinds, int first_kind, int channels,
                      int width) {
    int lanes = THREADS / width, span = width * V, start = blockIdx.y * span;
    EACH_THREAD(t) {
        for (int e = t; e < KINDS * span; e += THREADS) {
            int kind = e / span, column = e % span;
            if (start + column < channels) {
                const float *from = sums + (kind * V + column % V) * THREADS + column / V;
                double sum = 0.0;
                UNROLL_BY_4 for (int lane = 0; lane < lanes; ++lane) sum += from[lane * width];
                partial[(part * kinds + first_kind + kind) * channels + start + column] = sum;
            }
        }
    }
}

// Columns that a block folds; each is shared by the threads that have the same remainder.
enum { FOLDED = 8 };

// Sums over `parts` rows of `stride` partial sums: totals[t] of the column FOLDED * blockIdx.x + t below `columns`, for
// t below FOLDED. `totals` has a place for each thread.
DEVICE void fold(const double *partial, int parts, size_t stride, int columns, double *totals) {
    EACH_THREAD(t) {
        int column = blockIdx.x * FOLDED + t % FOLDED;
        double sum = 0.0;
        if (column < columns) {
            UNROLL_BY_4 for (int part = t / FOLDED; part < parts; part += THREADS / FOLDED)
                sum += partial[part * stride + column];
        }
        totals[t] = sum;
    }
    for (int half = THREADS / 2; half >= FOLDED; half /= 2) {
        EACH_THREAD(t) {
            if (t < half) totals[t] += totals[t + half];
        }
    }
}
