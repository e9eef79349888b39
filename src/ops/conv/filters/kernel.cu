// A convolution's weights between torch's order (out, in, taps) and the activations' (out, taps, in). Both are
// transpositions of (in, taps) matrices; a block moves some neighbouring (out, in) pairs with all of their taps through
// shared memory, so that it reads and writes whole lines.
#include "pack.h"

// Numbers that a block stages.
enum { STAGED = 4096 };

// The pairs of a block: `count` of them from `first`.
struct Pairs {
    int first, count;
};
DEVICE Pairs pairs_of_block(int pairs, int span) {
    int first = blockIdx.x * span;
    return {first, pairs - first < span ? pairs - first : span};
}

// Where the number of a pair and a tap lies in the activations' order.
DEVICE int channels_last(int pair, int tap, int inputs, int taps) {
    int out = pair / inputs;
    return (out * taps + tap) * inputs + pair - out * inputs;
}

#define PARAMETERS(T) const float *__restrict__ weight, T *__restrict__ to, int pairs, int inputs, int taps, int span
template <class T> DEVICE void to_channels_last(PARAMETERS(T)) {
    SHARED(float, staged, STAGED);
    Pairs block = pairs_of_block(pairs, span);
    EACH_THREAD(t) {
        for (int e = t; e < block.count * taps; e += THREADS) staged[e] = weight[block.first * taps + e];
    }
    EACH_THREAD(t) {
        for (int e = t; e < block.count * taps; e += THREADS) {
            int tap = e / block.count, pair = e - tap * block.count;
            store(to + channels_last(block.first + pair, tap, inputs, taps), staged[pair * taps + tap]);
        }
    }
}
FOR_BOTH_TYPES(filters_to_channels_last, to_channels_last, PARAMETERS, (weight, to, pairs, inputs, taps, span))
#undef PARAMETERS

#define PARAMETERS(T) const T *__restrict__ from, float *__restrict__ weight, int pairs, int inputs, int taps, int span
template <class T> DEVICE void to_torch(PARAMETERS(T)) {
    SHARED(float, staged, STAGED);
    Pairs block = pairs_of_block(pairs, span);
    EACH_THREAD(t) {
        for (int e = t; e < block.count * taps; e += THREADS) {
            int tap = e / block.count, pair = e - tap * block.count;
            staged[pair * taps + tap] = number(from[channels_last(block.first + pair, tap, inputs, taps)]);
        }
    }
    EACH_THREAD(t) {
        for (int e = t; e < block.count * taps; e += THREADS) weight[block.first * taps + e] = staged[e];
    }
}
FOR_BOTH_TYPES(filters_to_torch, to_torch, PARAMETERS, (from, weight, pairs, inputs, taps, span))
#undef PARAMETERS
