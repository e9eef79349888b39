// Sums over a block's threads, for kernels that give a block to each example.
#pragma once
#include "kernel.h"

// The most threads of such a block; their number is a power of two.
enum { MOST_THREADS = 512 };

// Adds up the threads' values, halving by halving; the sum is the first. Every thread takes part, and may read it after.
DEVICE double block_sum(double *values) {
    for (int half = blockDim.x / 2; half > 0; half /= 2)
        EACH_THREAD(t) {
            if (t < half) values[t] += values[t + half];
        }
    return values[0];
}

// The largest of the threads' values, none of which is not-a-number.
DEVICE double block_max(double *values) {
    for (int half = blockDim.x / 2; half > 0; half /= 2)
        EACH_THREAD(t) {
            if (t < half && values[t + half] > values[t]) values[t] = values[t + half];
        }
    return values[0];
}
