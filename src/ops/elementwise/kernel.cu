// Sums of tensors, as cpu.rs defines them.
#include "kernel.h"

// y = a + b; y may be a.
#define PARAMETERS(T) const T *a, const T *b, T *y, size_t n
template <class T> DEVICE void add(const T *a, const T *b, T *y, size_t n) {
    ELEMENTS(i, n) store(y + i, number(a[i]) + number(b[i]));
}
FOR_BOTH_TYPES(elementwise_add, add, PARAMETERS, (a, b, y, n))
#undef PARAMETERS
