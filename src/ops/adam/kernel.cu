// Adam and AdamW, as cpu.rs defines them. A row is (parameter, mean, square, gradient).
#include "chunks.h"

// `coupled` is the weight decay through the gradient, `keep` what weights are multiplied with beforehand, `rate` is
// lr / (1 - beta1^t) and `correction` is sqrt(1 - beta2^t).
KERNEL(adam, const uint64_t *rows, const uint64_t *blocks, float beta1, float beta2, float eps, float coupled,
       float keep, float rate, float correction) {
    Chunk chunk = chunk_of_block(rows, blocks, 4);
    float *__restrict__ parameter = part(chunk, 0);
    float *__restrict__ mean = part(chunk, 1);
    float *__restrict__ square = part(chunk, 2);
    const float *__restrict__ gradient = part(chunk, 3);
    EACH_THREAD(t) {
        UNROLL_BY_4 for (int i = t; i < chunk.count; i += THREADS) {
            float p = parameter[i], g = gradient[i] + coupled * p;
            float m = beta1 * mean[i] + (1.0f - beta1) * g;
            float v = beta2 * square[i] + (1.0f - beta2) * g * g;
            mean[i] = m;
            square[i] = v;
            parameter[i] = p * keep - rate * m / (sqrtf(v) / correction + eps);
        }
    }
}
