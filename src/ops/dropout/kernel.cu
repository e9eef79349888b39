// Dropout, as cpu.rs defines it: element e goes by word e of the layer's stream.
#include "chacha.h"

enum { THREADS = 256, WORDS = 16 };

// A thread makes a block of 16 words and keeps a bit of each; then the threads go through the elements side by side.
#define PARAMETERS(T)                                                                                                  \
    const T *x, T *y, size_t n, const uint64_t *at, uint64_t seed, uint64_t epoch, uint64_t batch, uint64_t layer,      \
        uint64_t threshold, float keep
template <class T> DEVICE void apply(PARAMETERS(T)) {
    SHARED(uint16_t, dropped, THREADS);
    size_t start = blockIdx.x * (size_t)(THREADS * WORDS);
    // A recorded pass is told its coordinates when it is replayed.
    if (at) seed = at[0], epoch = at[1], batch = at[2];
    EACH_THREAD(t) {
        uint32_t words[WORDS];
        chacha_block(seed, PURPOSE_DROPOUT, epoch, batch, layer, start / WORDS + t, words);
        unsigned bits = 0;
        for (int i = 0; i < WORDS; ++i) bits |= (unsigned)(words[i] < threshold) << i;
        dropped[t] = (uint16_t)bits;
    }
    EACH_THREAD(t) {
        for (int i = t; i < THREADS * WORDS && start + i < n; i += THREADS) {
            bool drop = dropped[i / WORDS] >> i % WORDS & 1;
            store(y + start + i, drop ? 0.0f : number(x[start + i]) * keep);
        }
    }
}
FOR_BOTH_TYPES(dropout_apply, apply, PARAMETERS, (x, y, n, at, seed, epoch, batch, layer, threshold, keep))
#undef PARAMETERS
