// Activations and their derivatives, as cpu.rs defines them.
#include "activation.h"

// y = act(x)
#define PARAMETERS(T) const T *x, T *y, size_t n, int kind
template <class T> DEVICE void forward(const T *x, T *y, size_t n, int kind) {
    ELEMENTS(i, n) store(y + i, activate(kind, number(x[i])));
}
FOR_BOTH_TYPES(activation_forward, forward, PARAMETERS, (x, y, n, kind))
#undef PARAMETERS

// dx = dy act'(z)
#define PARAMETERS(T) const T *dy, const T *z, T *dx, size_t n, int kind
template <class T> DEVICE void backward(const T *dy, const T *z, T *dx, size_t n, int kind) {
    ELEMENTS(i, n) store(dx + i, pull(kind, number(z[i]), number(dy[i])));
}
FOR_BOTH_TYPES(activation_backward, backward, PARAMETERS, (dy, z, dx, n, kind))
#undef PARAMETERS
