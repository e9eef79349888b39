// Joining activations along channels and splitting them again, as cpu.rs defines them.
#include "kernel.h"

// Copies `width` columns of a matrix of n / width rows into another: from column `start` of `columns` to column
// `to_start` of `to_columns`. Fewer than 2^31 elements: indices of 32 bits divide faster.
#define PARAMETERS(T) const T *x, T *y, size_t n, int width, int columns, int start, int to_columns, int to_start
template <class T> DEVICE void copy(PARAMETERS(T)) {
    ELEMENTS(i, n) {
        uint32_t row = (uint32_t)i / (uint32_t)width, column = (uint32_t)i - row * (uint32_t)width;
        y[row * (uint32_t)to_columns + to_start + column] = x[row * (uint32_t)columns + start + column];
    }
}
FOR_BOTH_TYPES(concat_copy, copy, PARAMETERS, (x, y, n, width, columns, start, to_columns, to_start))
#undef PARAMETERS
