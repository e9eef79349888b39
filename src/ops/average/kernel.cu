// Averages that move towards values, as cpu.rs defines them. A row is (average, value).
#include "chunks.h"

KERNEL(average, const uint64_t *rows, const uint64_t *blocks, float share) {
    Chunk chunk = chunk_of_block(rows, blocks, 2);
    float *__restrict__ mean = part(chunk, 0);
    const float *__restrict__ value = part(chunk, 1);
    EACH_THREAD(t) {
        UNROLL_BY_4 for (int i = t; i < chunk.count; i += THREADS) mean[i] += share * (value[i] - mean[i]);
    }
}
