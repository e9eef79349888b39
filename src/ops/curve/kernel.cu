// Functions of each number and their derivatives, as cpu.rs defines them.
#include "kernel.h"

enum {
    SIGMOID = 0, HARD_SIGMOID = 1, HARD_SWISH = 2, LEAKY_RELU = 3, ELU = 4, GELU = 5, GELU_TANH = 6, MISH = 7,
    CLIP = 8, TANH = 9, SOFTPLUS = 10, ERF = 11, EXP = 12, LOG = 13, ABSOLUTE = 14, POWER = 15
};

DEVICE float sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }
DEVICE float softplus(float z) { return (z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z))); }
// What the tanh of GELU's tanh form is taken of.
DEVICE float inner(float z) { return 0.7978845608f * (z + 0.044715f * z * z * z); }

DEVICE float value(int kind, float a, float b, float z) {
    switch (kind) {
    case SIGMOID: return sigmoid(z);
    case HARD_SIGMOID: {
        float y = a * z + b;
        return y < 0.0f ? 0.0f : (y > 1.0f ? 1.0f : y);
    }
    case HARD_SWISH: {
        float gate = z + 3.0f;
        return z * (gate < 0.0f ? 0.0f : (gate > 6.0f ? 6.0f : gate)) / 6.0f;
    }
    case LEAKY_RELU: return z <= 0.0f ? a * z : z;
    case ELU: return z <= 0.0f ? a * expm1f(z) : z;
    case GELU: return 0.5f * z * (1.0f + erff(z * 0.7071067812f));
    case GELU_TANH: return 0.5f * z * (1.0f + tanhf(inner(z)));
    case MISH: return z * tanhf(softplus(z));
    case CLIP: return z < a ? a : (z > b ? b : z);
    case TANH: return tanhf(z);
    case SOFTPLUS: return z != z ? z : softplus(a * z) / a;
    case ERF: return erff(z);
    case EXP: return expf(z);
    case LOG: return logf(z);
    case ABSOLUTE: return fabsf(z);
    // powf of a negative number is none, but for whole exponents.
    default: return powf(z, a);
    }
}

DEVICE float derivative(int kind, float a, float b, float z) {
    switch (kind) {
    case SIGMOID: return sigmoid(z) * (1.0f - sigmoid(z));
    case HARD_SIGMOID: return 0.0f < a * z + b && a * z + b < 1.0f ? a : 0.0f;
    case HARD_SWISH: return z <= -3.0f ? 0.0f : (z < 3.0f ? z / 3.0f + 0.5f : 1.0f);
    case LEAKY_RELU: return z <= 0.0f ? a : 1.0f;
    case ELU: return z <= 0.0f ? a * expf(z) : 1.0f;
    case GELU: return 0.5f * (1.0f + erff(z * 0.7071067812f)) + z * expf(-0.5f * z * z) * 0.3989422804f;
    case GELU_TANH: {
        float t = tanhf(inner(z));
        return 0.5f * (1.0f + t) + 0.5f * z * (1.0f - t * t) * 0.7978845608f * (1.0f + 0.134145f * z * z);
    }
    case MISH: {
        float t = tanhf(softplus(z));
        return t + z * (1.0f - t * t) * sigmoid(z);
    }
    case CLIP: return a <= z && z <= b ? 1.0f : 0.0f;
    case TANH: return 1.0f - tanhf(z) * tanhf(z);
    case SOFTPLUS: return sigmoid(a * z);
    case ERF: return 1.1283791671f * expf(-z * z);
    case EXP: return expf(z);
    case LOG: return 1.0f / z;
    case ABSOLUTE: return z > 0.0f ? 1.0f : (z < 0.0f ? -1.0f : 0.0f);
    default: return a == 0.0f ? 0.0f : a * powf(z, a - 1.0f);
    }
}

// y = curve(x)
#define PARAMETERS(T) const T *x, T *y, size_t n, int kind, float a, float b
template <class T> DEVICE void forward(PARAMETERS(T)) {
    ELEMENTS(i, n) store(y + i, value(kind, a, b, number(x[i])));
}
FOR_BOTH_TYPES(curve_forward, forward, PARAMETERS, (x, y, n, kind, a, b))
#undef PARAMETERS

// dx = dy curve'(x)
#define PARAMETERS(T) const T *dy, const T *x, T *dx, size_t n, int kind, float a, float b
template <class T> DEVICE void backward(PARAMETERS(T)) {
    ELEMENTS(i, n) store(dx + i, number(dy[i]) * derivative(kind, a, b, number(x[i])));
}
FOR_BOTH_TYPES(curve_backward, backward, PARAMETERS, (dy, x, dx, n, kind, a, b))
#undef PARAMETERS
