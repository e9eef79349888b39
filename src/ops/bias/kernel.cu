// The bias of a linear layer: added to every row, and its gradient, the sum of all rows.
#include "kernel.h"

// y += bias in each row of c, in place. Fewer than 2^31 elements: indices of 32 bits divide faster.
#define PARAMETERS(T) T *y, const float *bias, size_t n, int c
template <class T> DEVICE void add(T *y, const float *bias, size_t n, int c) {
    ELEMENTS(i, n) store(y + i, number(y[i]) + bias[(uint32_t)i % (uint32_t)c]);
}
FOR_BOTH_TYPES(bias_add, add, PARAMETERS, (y, bias, n, c))
#undef PARAMETERS

// Column sums in two steps. A block has `wide` neighbouring columns and goes down its share of the rows, blockDim.x /
// wide of them at a time; blockIdx.x is the columns' number, blockIdx.y the share's. The second step adds up the
// shares in the same way.
enum { MOST_THREADS = 256, STRETCH = 16 };

// The sums of the block's lanes of rows, in the order of the lanes.
template <class T> DEVICE void add_lanes(const double *sums, T *to, int c, int wide) {
    EACH_THREAD(t) {
        int column = blockIdx.x * wide + t;
        if (t >= wide || column >= c) continue;
        double total = 0.0;
        for (int at = t; at < (int)blockDim.x; at += wide) total += sums[at];
        to[column] = (T)total;
    }
}

#define PARAMETERS(T) const T *dy, double *shares, int rows, int c, int wide
template <class T> DEVICE void sum_rows(const T *dy, double *shares, int rows, int c, int wide) {
    SHARED(double, sums, MOST_THREADS);
    int lanes = blockDim.x / wide, step = lanes * gridDim.y;
    EACH_THREAD(t) {
        int column = blockIdx.x * wide + t % wide;
        double sum = 0.0;
        if (column < c) {
            int row = blockIdx.y * lanes + t / wide;
            while (row < rows) {
                float few = 0.0f;
                for (int k = 0; k < STRETCH && row < rows; ++k, row += step) few += number(dy[row * (size_t)c + column]);
                sum += few;
            }
        }
        sums[t] = sum;
    }
    add_lanes(sums, shares + blockIdx.y * (size_t)c, c, wide);
}
FOR_BOTH_TYPES(bias_sum_rows, sum_rows, PARAMETERS, (dy, shares, rows, c, wide))
#undef PARAMETERS

KERNEL(bias_sum_shares, const double *shares, float *gradient, int rows, int c, int wide) {
    SHARED(double, sums, MOST_THREADS);
    int lanes = blockDim.x / wide;
    EACH_THREAD(t) {
        int column = blockIdx.x * wide + t % wide;
        double sum = 0.0;
        if (column < c)
            for (int row = t / wide; row < rows; row += lanes) sum += shares[row * (size_t)c + column];
        sums[t] = sum;
    }
    add_lanes(sums, gradient, c, wide);
}
