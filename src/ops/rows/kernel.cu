// Rows copied from place to place, as cpu.rs does.
#include "kernel.h"

// blockIdx.x is the pair of places among all, from which row and to which; blockIdx.y the stretch of the row.
KERNEL(rows_put, float *into, const float *from, const uint32_t *places, int width) {
    const uint32_t *pair = places + 2 * (size_t)blockIdx.x;
    from += pair[0] * (size_t)width;
    into += pair[1] * (size_t)width;
    EACH_THREAD(t) {
        int i = blockIdx.y * blockDim.x + t;
        if (i < width) into[i] = from[i];
    }
}
