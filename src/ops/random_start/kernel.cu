// Random starts of attacks in linf, as cpu.rs draws them: pixel k goes by word k of the example's stream.
#include "../perturbation/ball.h"
#include "chacha.h"

enum { THREADS = 64, WORDS = 16, PITCH = WORDS + 1 };

// blockIdx.x is the image, blockIdx.y a stretch of 16 pixels for each thread: a thread makes the words of 16 pixels,
// then the threads go through the pixels side by side.
KERNEL(random_start_linf, const float *originals, const int64_t *indices, float *out, int pixels, int plane, uint64_t seed,
       uint64_t epoch, uint64_t place, double epsilon0, double epsilon1, double epsilon2) {
    // One word more than a block has: the words of neighbouring threads lie in different banks.
    SHARED(uint32_t, drawn, THREADS * PITCH);
    int start = blockIdx.y * (THREADS * WORDS);
    originals += blockIdx.x * (size_t)pixels;
    out += blockIdx.x * (size_t)pixels;
    uint64_t index = (uint64_t)indices[blockIdx.x];
    EACH_THREAD(t) {
        uint32_t words[WORDS];
        if (start + t * WORDS < pixels) {
            chacha_block(seed, PURPOSE_ATTACK_START, epoch, place, index, (uint64_t)(start / WORDS + t), words);
            for (int i = 0; i < WORDS; ++i) drawn[t * PITCH + i] = words[i];
        }
    }
    EACH_THREAD(t) {
        for (int i = t; i < THREADS * WORDS && start + i < pixels; i += THREADS) {
            int k = start + i, channel = k / plane;
            double epsilon = channel == 0 ? epsilon0 : channel == 1 ? epsilon1 : epsilon2;
            // A float32 in [0, 1): the upper 24 bits.
            float uniform = (float)(drawn[i / WORDS * PITCH + i % WORDS] >> 8) * (1.0f / 16777216.0f);
            double share = 2.0 * (double)uniform - 1.0;
            float moved = originals[k] + (float)(epsilon * share);
            out[k] = into_linf(moved, originals[k], (float)epsilon);
        }
    }
}
