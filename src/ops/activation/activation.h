// The activations' values and derivatives, for every kernel that applies one.
#pragma once
#include "kernel.h"

enum { IDENTITY = 0, RELU = 1, RELU6 = 2, SILU = 3 };

// Not-a-number stays what it is: a run must notice it.
DEVICE float activate(int kind, float z) {
    switch (kind) {
    case RELU: return z <= 0.0f ? 0.0f : z;
    case RELU6: return z <= 0.0f ? 0.0f : (z >= 6.0f ? 6.0f : z);
    case SILU: return z / (1.0f + expf(-z));
    default: return z;
    }
}

// dy times the derivative at z; 0 at the kinks.
DEVICE float pull(int kind, float z, float dy) {
    switch (kind) {
    case RELU: return z > 0.0f ? dy : 0.0f;
    case RELU6: return z > 0.0f && z < 6.0f ? dy : 0.0f;
    case SILU: {
        float gate = 1.0f / (1.0f + expf(-z));
        return dy * gate * (1.0f + z * (1.0f - gate));
    }
    default: return dy;
    }
}
