// Between images (N, C, H, W) and activations (N, H, W, C), as cpu.rs defines them.
#include "kernel.h"

// The normalisation of up to four channels.
#define FACTORS float m0, float m1, float m2, float m3, float s0, float s1, float s2, float s3
#define NAMES m0, m1, m2, m3, s0, s1, s2, s3

DEVICE float nth(int channel, float a, float b, float c, float d) {
    return channel == 0 ? a : channel == 1 ? b : channel == 2 ? c : d;
}

// Few channels: a thread has a pixel. blockIdx.x is the image, blockIdx.y the stretch of its pixels.
template <class S, class T> DEVICE void few_to_last(const S *x, T *y, int pixels, int c, FACTORS) {
    x += blockIdx.x * (size_t)(pixels * c);
    y += blockIdx.x * (size_t)(pixels * c);
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= pixels) continue;
        for (int channel = 0; channel < c; ++channel) {
            float value = number(x[channel * pixels + pixel]);
            store(y + pixel * c + channel, (value - nth(channel, m0, m1, m2, m3)) / nth(channel, s0, s1, s2, s3));
        }
    }
}

template <class S, class T> DEVICE void few_to_first(const S *dy, T *dx, int pixels, int c, FACTORS) {
    (void)m0, (void)m1, (void)m2, (void)m3;
    dy += blockIdx.x * (size_t)(pixels * c);
    dx += blockIdx.x * (size_t)(pixels * c);
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= pixels) continue;
        for (int channel = 0; channel < c; ++channel)
            store(dx + channel * pixels + pixel,
                  number(dy[pixel * c + channel]) / nth(channel, s0, s1, s2, s3));
    }
}

// Many channels: each image is a matrix, turned in tiles, so that neighbours read and write neighbours. blockIdx.x is
// the image, y and z the tile's columns and rows.
enum { TILE = 32 };

template <class S, class T> DEVICE void turn(const S *x, T *y, int rows, int columns) {
    // One column more than the tile has: a column's values lie in different banks.
    SHARED(float, tile, TILE * (TILE + 1));
    x += blockIdx.x * (size_t)(rows * columns);
    y += blockIdx.x * (size_t)(rows * columns);
    int left = blockIdx.y * TILE, top = blockIdx.z * TILE, step = blockDim.x / TILE;
    EACH_THREAD(t) {
        int column = left + t % TILE;
        for (int i = t / TILE; i < TILE; i += step)
            if (top + i < rows && column < columns)
                tile[i * (TILE + 1) + t % TILE] = number(x[(top + i) * columns + column]);
    }
    EACH_THREAD(t) {
        int row = top + t % TILE;
        for (int i = t / TILE; i < TILE; i += step)
            if (left + i < columns && row < rows)
                store(y + (left + i) * rows + row, tile[t % TILE * (TILE + 1) + i]);
    }
}

// From a source type, named in the kernel, to both types.
#define FROM(S, s)                                                                                                     \
    KERNEL(image_few_to_last_from_##s##_f32, const S *x, float *y, int pixels, int c, FACTORS) {                       \
        few_to_last<S, float>(x, y, pixels, c, NAMES);                                                                 \
    }                                                                                                                  \
    KERNEL(image_few_to_last_from_##s##_bf16, const S *x, bf16 *y, int pixels, int c, FACTORS) {                       \
        few_to_last<S, bf16>(x, y, pixels, c, NAMES);                                                                  \
    }                                                                                                                  \
    KERNEL(image_few_to_first_from_##s##_f32, const S *x, float *y, int pixels, int c, FACTORS) {                      \
        few_to_first<S, float>(x, y, pixels, c, NAMES);                                                                \
    }                                                                                                                  \
    KERNEL(image_few_to_first_from_##s##_bf16, const S *x, bf16 *y, int pixels, int c, FACTORS) {                      \
        few_to_first<S, bf16>(x, y, pixels, c, NAMES);                                                                 \
    }                                                                                                                  \
    KERNEL(image_turn_from_##s##_f32, const S *x, float *y, int rows, int columns) {                                   \
        turn<S, float>(x, y, rows, columns);                                                                           \
    }                                                                                                                  \
    KERNEL(image_turn_from_##s##_bf16, const S *x, bf16 *y, int rows, int columns) {                                   \
        turn<S, bf16>(x, y, rows, columns);                                                                            \
    }
FROM(float, f32)
FROM(bf16, bf16)
