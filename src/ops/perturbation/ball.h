// The projections of ball.rs.
#pragma once
#include "kernel.h"

// The nearest value within epsilon of the origin and within [0, 1].
DEVICE float into_linf(float x, float origin, float epsilon) {
    float low = origin - epsilon, high = origin + epsilon;
    low = low > 0.0f ? low : 0.0f;
    high = high < 1.0f ? high : 1.0f;
    return x < low ? low : (x > high ? high : x);
}

// The nearest value within [0, 1].
DEVICE float into_pixels(float x) { return x < 0.0f ? 0.0f : (x > 1.0f ? 1.0f : x); }

DEVICE float sign(float value) { return value > 0.0f ? 1.0f : (value < 0.0f ? -1.0f : 0.0f); }
