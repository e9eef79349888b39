// Gradients brought to the norms of others, as cpu.rs defines it.
#include "block_sum.h"

// A block has an example.
#define PARAMETERS(T) const T *x, const T *reference, T *y, int width
template <class T> DEVICE void to_norms(const T *x, const T *reference, T *y, int width) {
    SHARED(double, own, MOST_THREADS);
    SHARED(double, other, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    x += start;
    reference += start;
    y += start;
    EACH_THREAD(t) {
        double mine = 0.0, theirs = 0.0;
        for (int i = t; i < width; i += blockDim.x) {
            double a = number(x[i]), b = number(reference[i]);
            mine += a * a;
            theirs += b * b;
        }
        own[t] = mine;
        other[t] = theirs;
    }
    double length = sqrt(block_sum(own)), wanted = sqrt(block_sum(other));
    // An example of norm 0 stays as it is.
    float factor = length > 0.0 ? (float)(wanted / length) : 1.0f;
    EACH_THREAD(t) {
        for (int i = t; i < width; i += blockDim.x) store(y + i, number(x[i]) * factor);
    }
}
FOR_BOTH_TYPES(rescale_to_norms, to_norms, PARAMETERS, (x, reference, y, width))
#undef PARAMETERS
