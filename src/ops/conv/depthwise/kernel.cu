// Depthwise convolution: one square filter a channel, as cpu.rs computes it.
//
// A thread has a pack of neighbouring channels and makes tiles of WIDE x TALL neighbouring outputs, whose windows
// overlap: what it reads once it uses several times, and a filter of 3 x 3 stays in registers for all of its tiles. A
// block first copies the filters of its channels into shared memory, [tap][channel], as no thread could read them
// together with its neighbours from where they lie.
#include "columns.h"

enum { WIDE = 4, TALL = 2 };

// Channels that one instruction reads where that is possible: 8 bytes, with which enough is on its way to and from memory.
// With a stride and for the filters' gradient a thread has more to keep in registers and stays with PACKED.
enum { PACKED = 2, PACKED_HALF = 4 };
template <class T> constexpr int PACKED_OF = sizeof(T) == 2 ? PACKED_HALF : PACKED;

// Numbers of a block's filters, for filters of 3 x 3 and for others.
enum { FILTERS_3 = 9 * 128, FILTERS = 4096 };

// An image that is read (h, w), one that is written (oh, ow) and what lies between. The tiles of an image are
// (rows, columns) of those that make up what is written, or for the weights' gradient what dy covers.
struct Sizes {
    int h, w, oh, ow, channels, kernel, stride, padding, tiles, tile_rows, tile_columns, width, flip;
};
#define SIZES                                                                                                          \
    int h, int w, int oh, int ow, int channels, int kernel, int stride, int padding, int tiles, int tile_rows,         \
        int tile_columns, int pack, int width, int flip
#define GIVE_SIZES                                                                                                     \
    { h, w, oh, ow, channels, kernel, stride, padding, tiles, tile_rows, tile_columns, width, flip }
#define PASS_SIZES                                                                                                     \
    h, w, oh, ow, channels, kernel, stride, padding, tiles, tile_rows, tile_columns, pack, width, flip

// Where a tile begins.
struct Corner {
    int image, y, x;
};

DEVICE Corner corner(int tile, const Sizes &s) {
    int line = tile / s.tile_columns, image = line / s.tile_rows;
    return {image, (line - image * s.tile_rows) * TALL, (tile - line * s.tile_columns) * WIDE};
}

// The filters of the block's channels, turned round where asked.
DEVICE void copy_filters(const float *__restrict__ weight, float *filters, int span, const Sizes &s) {
    int taps = s.kernel * s.kernel, start = blockIdx.y * span;
    EACH_THREAD(t) {
        for (int e = t; e < span * taps; e += THREADS) {
            int c = e / taps, tap = e % taps;
            if (start + c < s.channels)
                filters[(s.flip ? taps - 1 - tap : tap) * span + c] = weight[(start + c) * taps + tap];
        }
    }
}

// A pixel's pack of channels, zeros outside of the image. `image` begins at the pack.
template <class T, int V> DEVICE void load_pixel(const T *image, int y, int x, int h, int w, int channels, float *to) {
    if ((unsigned)y < (unsigned)h && (unsigned)x < (unsigned)w) {
        load<T, V>(image + (size_t)((y * w + x) * channels), to);
    } else {
        UNROLL for (int v = 0; v < V; ++v) to[v] = 0.0f;
    }
}

// Writes a tile, as much of it as is inside.
template <class T, int V>
DEVICE void save_tile(T *image, const Corner &at, const Sizes &s, const float (&sums)[TALL][WIDE][V]) {
    UNROLL for (int i = 0; i < TALL; ++i) {
        UNROLL for (int j = 0; j < WIDE; ++j) {
            int y = at.y + i, x = at.x + j;
            if ((unsigned)y < (unsigned)s.oh && (unsigned)x < (unsigned)s.ow)
                save<T, V>(image + (size_t)((y * s.ow + x) * s.channels), sums[i][j]);
        }
    }
}

// One tile of outputs with 3 x 3 filters and stride S.
template <class T, int V, int S> struct Correlate3 {
    DEVICE void tile(const T *x, T *y, Corner at, const float (&filter)[9][V], const Sizes &s) {
        float sums[TALL][WIDE][V] = {};
        UNROLL for (int r = 0; r < (TALL - 1) * S + 3; ++r) {
            float line[(WIDE - 1) * S + 3][V];
            UNROLL for (int q = 0; q < (WIDE - 1) * S + 3; ++q)
                load_pixel<T, V>(x, at.y * S - s.padding + r, at.x * S - s.padding + q, s.h, s.w, s.channels, line[q]);
            UNROLL for (int i = 0; i < TALL; ++i) {
                int ky = r - i * S;
                if (ky >= 0 && ky < 3) {
                    UNROLL for (int j = 0; j < WIDE; ++j) {
                        UNROLL for (int kx = 0; kx < 3; ++kx) {
                            UNROLL for (int v = 0; v < V; ++v)
                                sums[i][j][v] = fmaf(line[j * S + kx][v], filter[ky * 3 + kx][v], sums[i][j][v]);
                        }
                    }
                }
            }
        }
        save_tile<T, V>(y, at, s, sums);
    }
};

// One tile of the input's gradient with 3 x 3 filters and stride 2: tiles begin where a position with its padding is
// even, so that the compiler knows which taps meet an output at all.
template <class T, int V> struct Gather3 {
    DEVICE void tile(const T *dy, T *dx, Corner at, const float (&filter)[9][V], const Sizes &s) {
        at.y -= s.padding & 1;
        at.x -= s.padding & 1;
        int y = (at.y + s.padding) / 2 - 1, x = (at.x + s.padding) / 2 - 1;
        float window[TALL / 2 + 1][WIDE / 2 + 1][V], sums[TALL][WIDE][V] = {};
        UNROLL for (int r = 0; r < TALL / 2 + 1; ++r) {
            UNROLL for (int q = 0; q < WIDE / 2 + 1; ++q)
                load_pixel<T, V>(dy, y + r, x + q, s.h, s.w, s.channels, window[r][q]);
        }
        UNROLL for (int i = 0; i < TALL; ++i) {
            UNROLL for (int j = 0; j < WIDE; ++j) {
                UNROLL for (int ky = i % 2; ky < 3; ky += 2) {
                    UNROLL for (int kx = j % 2; kx < 3; kx += 2) {
                        UNROLL for (int v = 0; v < V; ++v)
                            sums[i][j][v] = fmaf(window[(i - ky + 2) / 2][(j - kx + 2) / 2][v], filter[ky * 3 + kx][v],
                                                 sums[i][j][v]);
                    }
                }
            }
        }
        save_tile<T, V>(dx, at, s, sums);
    }
};

// All tiles of a thread; `Tile` makes one of `to` from `from`.
template <class T, int V, class Tile>
DEVICE void tiles_3(const T *__restrict__ from, const float *filters, T *__restrict__ to, const Sizes &s) {
    int lanes = THREADS / s.width, span = s.width * V;
    EACH_THREAD(t) {
        int lane = t / s.width, column = t % s.width * V, c = blockIdx.y * span + column;
        if (lane < lanes && c < s.channels) {
            float filter[9][V];
            UNROLL for (int tap = 0; tap < 9; ++tap) {
                UNROLL for (int v = 0; v < V; ++v) filter[tap][v] = filters[tap * span + column + v];
            }
            for (int tile = blockIdx.x * lanes + lane; tile < s.tiles; tile += gridDim.x * lanes) {
                Corner at = corner(tile, s);
                size_t image = at.image;
                Tile().tile(from + image * s.h * s.w * s.channels + c, to + image * s.oh * s.ow * s.channels + c, at,
                           filter, s);
            }
        }
    }
}

#define PARAMETERS(T) const T *__restrict__ from, const float *__restrict__ weight, T *__restrict__ to, SIZES
template <class T> DEVICE void correlate_3(PARAMETERS(T)) {
    SHARED(float, filters, FILTERS_3);
    Sizes s = GIVE_SIZES;
    s.kernel = 3;
    copy_filters(weight, filters, width * pack, s);
    if (pack == PACKED_OF<T> && stride == 1)
        tiles_3<T, PACKED_OF<T>, Correlate3<T, PACKED_OF<T>, 1>>(from, filters, to, s);
    else if (pack == PACKED)
        tiles_3<T, PACKED, Correlate3<T, PACKED, 2>>(from, filters, to, s);
    else if (stride == 1)
        tiles_3<T, 1, Correlate3<T, 1, 1>>(from, filters, to, s);
    else
        tiles_3<T, 1, Correlate3<T, 1, 2>>(from, filters, to, s);
}
// Two blocks at once: one alone would wait for memory most of the time.
#undef BOUNDS
#define BOUNDS __launch_bounds__(THREADS, 2)
FOR_BOTH_TYPES(depthwise_correlate_3, correlate_3, PARAMETERS, (from, weight, to, PASS_SIZES))
#undef BOUNDS
#define BOUNDS

template <class T> DEVICE void gather_3(PARAMETERS(T)) {
    SHARED(float, filters, FILTERS_3);
    constexpr int V = PACKED_OF<T>;
    Sizes s = GIVE_SIZES;
    s.kernel = 3;
    copy_filters(weight, filters, width * pack, s);
    if (pack == V)
        tiles_3<T, V, Gather3<T, V>>(from, filters, to, s);
    else
        tiles_3<T, 1, Gather3<T, 1>>(from, filters, to, s);
}
FOR_BOTH_TYPES(depthwise_gather_3, gather_3, PARAMETERS, (from, weight, to, PASS_SIZES))

// Outputs with filters and strides of any size; `GATHER` makes the input's gradient instead.
template <class T, int V, bool GATHER>
DEVICE void tiles_any(const T *__restrict__ all, const float *filters, T *__restrict__ to, const Sizes &s) {
    int lanes = THREADS / s.width, span = s.width * V;
    EACH_THREAD(t) {
        int lane = t / s.width, column = t % s.width * V, c = blockIdx.y * span + column;
        if (lane < lanes && c < s.channels) {
            for (int tile = blockIdx.x * lanes + lane; tile < s.tiles; tile += gridDim.x * lanes) {
                Corner at = corner(tile, s);
                const T *from = all + (size_t)at.image * s.h * s.w * s.channels + c;
                float sums[TALL][WIDE][V] = {};
                for (int ky = 0; ky < s.kernel; ++ky) {
                    for (int kx = 0; kx < s.kernel; ++kx) {
                        float filter[V];
                        UNROLL for (int v = 0; v < V; ++v)
                            filter[v] = filters[(ky * s.kernel + kx) * span + column + v];
                        UNROLL for (int i = 0; i < TALL; ++i) {
                            UNROLL for (int j = 0; j < WIDE; ++j) {
                                int y = (at.y + i) * s.stride - s.padding + ky;
                                int x = (at.x + j) * s.stride - s.padding + kx;
                                if (GATHER) {
                                    y = at.y + i + s.padding - ky;
                                    x = at.x + j + s.padding - kx;
                                    // No output has its tap here: then none is read.
                                    y = y % s.stride == 0 ? y / s.stride : -1;
                                    x = x % s.stride == 0 ? x / s.stride : -1;
                                }
                                float pixel[V];
                                load_pixel<T, V>(from, y, x, s.h, s.w, s.channels, pixel);
                                UNROLL for (int v = 0; v < V; ++v)
                                    sums[i][j][v] = fmaf(pixel[v], filter[v], sums[i][j][v]);
                            }
                        }
                    }
                }
                save_tile<T, V>(to + (size_t)at.image * s.oh * s.ow * s.channels + c, at, s, sums);
            }
        }
    }
}

template <class T> DEVICE void correlate(PARAMETERS(T)) {
    SHARED(float, filters, FILTERS);
    constexpr int V = PACKED_OF<T>;
    Sizes s = GIVE_SIZES;
    copy_filters(weight, filters, width * pack, s);
    if (pack == V)
        tiles_any<T, V, false>(from, filters, to, s);
    else
        tiles_any<T, 1, false>(from, filters, to, s);
}
FOR_BOTH_TYPES(depthwise_correlate, correlate, PARAMETERS, (from, weight, to, PASS_SIZES))

template <class T> DEVICE void gather(PARAMETERS(T)) {
    SHARED(float, filters, FILTERS);
    constexpr int V = PACKED_OF<T>;
    Sizes s = GIVE_SIZES;
    copy_filters(weight, filters, width * pack, s);
    if (pack == V)
        tiles_any<T, V, true>(from, filters, to, s);
    else
        tiles_any<T, 1, true>(from, filters, to, s);
}
FOR_BOTH_TYPES(depthwise_gather, gather, PARAMETERS, (from, weight, to, PASS_SIZES))
#undef PARAMETERS

// The filters' gradient: a thread adds up some tiles for all nine taps, a block its threads, fold_weights the blocks.
// `x` is (h, w), dy is (oh, ow); a part has `stretch` tiles; partial sums are [part][tap][channel].
template <class T, int V, int S>
DEVICE void weights_3(const T *__restrict__ x, const T *__restrict__ dy, float *sums, int stretch, const Sizes &s) {
    int lanes = THREADS / s.width;
    EACH_THREAD(t) {
        int lane = t / s.width, c = (blockIdx.y * s.width + t % s.width) * V;
        if (lane < lanes && c < s.channels) {
            float taps[9][V] = {};
            int first = blockIdx.x * stretch, end = s.tiles - first < stretch ? s.tiles : first + stretch;
            for (int tile = first + lane; tile < end; tile += lanes) {
                Corner at = corner(tile, s);
                const T *from = x + (size_t)at.image * s.h * s.w * s.channels + c;
                const T *image = dy + (size_t)at.image * s.oh * s.ow * s.channels + c;
                float gradient[TALL][WIDE][V];
                UNROLL for (int i = 0; i < TALL; ++i) {
                    UNROLL for (int j = 0; j < WIDE; ++j)
                        load_pixel<T, V>(image, at.y + i, at.x + j, s.oh, s.ow, s.channels, gradient[i][j]);
                }
                UNROLL for (int r = 0; r < (TALL - 1) * S + 3; ++r) {
                    float line[(WIDE - 1) * S + 3][V];
                    UNROLL for (int q = 0; q < (WIDE - 1) * S + 3; ++q)
                        load_pixel<T, V>(from, at.y * S - s.padding + r, at.x * S - s.padding + q, s.h, s.w, s.channels,
                                         line[q]);
                    UNROLL for (int i = 0; i < TALL; ++i) {
                        int ky = r - i * S;
                        if (ky >= 0 && ky < 3) {
                            UNROLL for (int j = 0; j < WIDE; ++j) {
                                UNROLL for (int kx = 0; kx < 3; ++kx) {
                                    UNROLL for (int v = 0; v < V; ++v) {
                                        float &tap = taps[ky * 3 + kx][v];
                                        tap = fmaf(gradient[i][j][v], line[j * S + kx][v], tap);
                                    }
                                }
                            }
                        }
                    }
                }
            }
            UNROLL for (int tap = 0; tap < 9; ++tap) {
                UNROLL for (int v = 0; v < V; ++v) sums[(tap * V + v) * THREADS + t] = taps[tap][v];
            }
        }
    }
}

#define PARAMETERS(T) const T *__restrict__ x, const T *__restrict__ dy, double *partial, int stretch, SIZES
template <class T> DEVICE void all_weights_3(PARAMETERS(T)) {
    SHARED(float, sums, 9 * PACKED * THREADS);
    Sizes s = GIVE_SIZES;
    if (pack == PACKED) {
        if (stride == 1)
            weights_3<T, PACKED, 1>(x, dy, sums, stretch, s);
        else
            weights_3<T, PACKED, 2>(x, dy, sums, stretch, s);
        add_lanes<9, PACKED>(sums, partial, blockIdx.x, 9, 0, channels, width);
    } else {
        if (stride == 1)
            weights_3<T, 1, 1>(x, dy, sums, stretch, s);
        else
            weights_3<T, 1, 2>(x, dy, sums, stretch, s);
        add_lanes<9, 1>(sums, partial, blockIdx.x, 9, 0, channels, width);
    }
}
FOR_BOTH_TYPES(depthwise_weights_3, all_weights_3, PARAMETERS, (x, dy, partial, stretch, PASS_SIZES))

// Filters of any size: blocks along z have a tap each.
template <class T, int V>
DEVICE void weights_any(const T *__restrict__ x, const T *__restrict__ dy, float *sums, int stretch, const Sizes &s) {
    int lanes = THREADS / s.width, ky = blockIdx.z / s.kernel, kx = blockIdx.z % s.kernel;
    EACH_THREAD(t) {
        int lane = t / s.width, c = (blockIdx.y * s.width + t % s.width) * V;
        if (lane < lanes && c < s.channels) {
            float sum[V] = {};
            int first = blockIdx.x * stretch, end = s.tiles - first < stretch ? s.tiles : first + stretch;
            for (int tile = first + lane; tile < end; tile += lanes) {
                Corner at = corner(tile, s);
                const T *from = x + (size_t)at.image * s.h * s.w * s.channels + c;
                const T *image = dy + (size_t)at.image * s.oh * s.ow * s.channels + c;
                UNROLL for (int i = 0; i < TALL; ++i) {
                    UNROLL for (int j = 0; j < WIDE; ++j) {
                        float gradient[V], pixel[V];
                        load_pixel<T, V>(image, at.y + i, at.x + j, s.oh, s.ow, s.channels, gradient);
                        load_pixel<T, V>(from, (at.y + i) * s.stride - s.padding + ky,
                                         (at.x + j) * s.stride - s.padding + kx, s.h, s.w, s.channels, pixel);
                        UNROLL for (int v = 0; v < V; ++v) sum[v] = fmaf(gradient[v], pixel[v], sum[v]);
                    }
                }
            }
            UNROLL for (int v = 0; v < V; ++v) sums[v * THREADS + t] = sum[v];
        }
    }
}

template <class T> DEVICE void all_weights(PARAMETERS(T)) {
    SHARED(float, sums, PACKED * THREADS);
    Sizes s = GIVE_SIZES;
    if (pack == PACKED) {
        weights_any<T, PACKED>(x, dy, sums, stretch, s);
        add_lanes<1, PACKED>(sums, partial, blockIdx.x, kernel * kernel, blockIdx.z, channels, width);
    } else {
        weights_any<T, 1>(x, dy, sums, stretch, s);
        add_lanes<1, 1>(sums, partial, blockIdx.x, kernel * kernel, blockIdx.z, channels, width);
    }
}
FOR_BOTH_TYPES(depthwise_weights, all_weights, PARAMETERS, (x, dy, partial, stretch, PASS_SIZES))
#undef PARAMETERS

KERNEL(depthwise_fold_weights, const double *partial, int parts, int channels, int taps, float *weight) {
    SHARED(double, sums, THREADS);
    fold(partial, parts, (size_t)taps * channels, taps * channels, sums);
    EACH_THREAD(t) {
        int column = blockIdx.x * FOLDED + t;
        if (t < FOLDED && column < taps * channels)
            weight[column % channels * taps + column / channels] = (float)sums[t];
    }
}
