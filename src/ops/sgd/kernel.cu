// Stochastic gradient descent, as cpu.rs defines it. A row is (parameter, velocity, gradient).
#include "chunks.h"

KERNEL(sgd, const uint64_t *rows, const uint64_t *blocks, float rate, float decay, float momentum,
       int nesterov) {
    Chunk chunk = chunk_of_block(rows, blocks, 3);
    float *__restrict__ parameter = part(chunk, 0);
    float *__restrict__ velocity = part(chunk, 1);
    const float *__restrict__ gradient = part(chunk, 2);
    EACH_THREAD(t) {
        if (velocity) {
            UNROLL_BY_4 for (int i = t; i < chunk.count; i += THREADS) {
                float p = parameter[i], g = gradient[i] + decay * p;
                float v = momentum * velocity[i] + g;
                velocity[i] = v;
                parameter[i] = p - rate * (nesterov ? g + momentum * v : v);
            }
        } else {
            UNROLL_BY_4 for (int i = t; i < chunk.count; i += THREADS) {
                float p = parameter[i];
                parameter[i] = p - rate * (gradient[i] + decay * p);
            }
        }
    }
}
