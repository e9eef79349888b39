// Max and average pooling, as cpu.rs defines them.
//
// A block works on a stretch of one row of pixels, so that most divisions are the same in the whole block: blockIdx.x is
// the row among those of all images, blockIdx.y the stretch of its packs of channels. A thread has a pack, so that what
// it computes of its place it computes once for all of them.
#include "pack.h"

// Channels of a pack, where they are a multiple of it.
enum { PACKED = 4 };

// Positions from (inclusive) and to (exclusive) along one side.
struct Range {
    int from, to;
};

// The inputs of output i: a window, or with kernel 0 an adaptive cell.
DEVICE Range cell(int i, int side, int out, int kernel, int stride) {
    if (kernel > 0) return {i * stride, i * stride + kernel};
    return {i * side / out, ((i + 1) * side + out - 1) / out};
}

// The outputs whose windows or cells hold input i.
DEVICE Range holders(int i, int side, int out, int kernel, int stride) {
    if (kernel == 0) return {i * out / side, ((i + 1) * out + side - 1) / side};
    int from = i < kernel ? 0 : (i - kernel) / stride + 1;
    int to = i / stride + 1;
    return {from, to < out ? to : out};
}

// A kernel of both types, whose last parameter says what a thread has.
#define FOR_BOTH_PACKS(name, body, PARAMETERS, ARGUMENTS)                                                              \
    template <class T> DEVICE void any_##body(PARAMETERS(T), int pack) {                                               \
        if (pack == PACKED)                                                                                            \
            body<T, PACKED> ARGUMENTS;                                                                                 \
        else                                                                                                           \
            body<T, 1> ARGUMENTS;                                                                                      \
    }                                                                                                                  \
    FOR_BOTH_TYPES(name, any_##body, PACKED_PARAMETERS, WITH_PACK ARGUMENTS)
#define PACKED_PARAMETERS(T) PARAMETERS(T), int pack
#define WITH_PACK(...) (__VA_ARGS__, pack)

// The first of equal maxima wins; not-a-number wins over everything.
#define PARAMETERS(T)                                                                                                  \
    const T *x, T *y, uint8_t *taps, int h, int w, int c, int oh, int ow, int kernel, int stride, int padding
template <class T, int V> DEVICE void max_forward(PARAMETERS(T)) {
    size_t image = blockIdx.x / oh, row = blockIdx.x * (size_t)(ow * c);
    int top = (int)(blockIdx.x % oh) * stride - padding;
    x += image * h * w * c;
    EACH_THREAD(t) {
        int at = (blockIdx.y * blockDim.x + t) * V;
        if (at >= ow * c) continue;
        int ox = at / c, channel = at - ox * c, left = ox * stride - padding;
        float best[V];
        Pack<uint8_t, V> tap;
        bool first = true;
        for (int ky = 0; ky < kernel; ++ky) {
            if (top + ky < 0 || top + ky >= h) continue;
            for (int kx = 0; kx < kernel; ++kx) {
                if (left + kx < 0 || left + kx >= w) continue;
                float value[V];
                load<T, V>(x + ((top + ky) * w + left + kx) * c + channel, value);
                UNROLL for (int v = 0; v < V; ++v) {
                    if (first || value[v] > best[v] || value[v] != value[v]) {
                        best[v] = value[v];
                        tap.values[v] = (uint8_t)(ky * kernel + kx);
                    }
                }
                first = false;
            }
        }
        save<T, V>(y + row + at, best);
        *reinterpret_cast<Pack<uint8_t, V> *>(taps + row + at) = tap;
    }
}
FOR_BOTH_PACKS(pool_max_forward, max_forward, PARAMETERS, (x, y, taps, h, w, c, oh, ow, kernel, stride, padding))
#undef PARAMETERS

// Every input gathers from the outputs that it won, in their order.
#define PARAMETERS(T)                                                                                                  \
    const T *dy, const uint8_t *taps, T *dx, int h, int w, int c, int oh, int ow, int kernel, int stride, int padding
template <class T, int V> DEVICE void max_backward(PARAMETERS(T)) {
    size_t image = blockIdx.x / h, row = blockIdx.x * (size_t)(w * c);
    int y = (int)(blockIdx.x % h) + padding;
    Range ys = holders(y, 0, oh, kernel, stride);
    dy += image * oh * ow * c;
    taps += image * oh * ow * c;
    EACH_THREAD(t) {
        int at = (blockIdx.y * blockDim.x + t) * V;
        if (at >= w * c) continue;
        int ix = at / c, channel = at - ix * c, x = ix + padding;
        Range xs = holders(x, 0, ow, kernel, stride);
        float sum[V] = {};
        for (int oy = ys.from; oy < ys.to; ++oy)
            for (int ox = xs.from; ox < xs.to; ++ox) {
                int from = (oy * ow + ox) * c + channel, won = (y - oy * stride) * kernel + x - ox * stride;
                Pack<uint8_t, V> tap = *reinterpret_cast<const Pack<uint8_t, V> *>(taps + from);
                float value[V];
                load<T, V>(dy + from, value);
                UNROLL for (int v = 0; v < V; ++v) sum[v] += tap.values[v] == won ? value[v] : 0.0f;
            }
        save<T, V>(dx + row + at, sum);
    }
}
FOR_BOTH_PACKS(pool_max_backward, max_backward, PARAMETERS, (dy, taps, dx, h, w, c, oh, ow, kernel, stride, padding))
#undef PARAMETERS

// The sum of every window's weights, exp(temperature (x - y)).
#define PARAMETERS(T)                                                                                                  \
    const T *x, const T *y, float *sums, int h, int w, int c, int oh, int ow, int kernel, int stride, int padding,     \
        float temperature
template <class T> DEVICE void softmax_sums(PARAMETERS(T)) {
    size_t image = blockIdx.x / oh, row = blockIdx.x * (size_t)(ow * c);
    int top = (int)(blockIdx.x % oh) * stride - padding;
    x += image * h * w * c;
    EACH_THREAD(t) {
        int at = blockIdx.y * blockDim.x + t;
        if (at >= ow * c) continue;
        int ox = at / c, channel = at - ox * c, left = ox * stride - padding;
        float most = number(y[row + at]), sum = 0.0f;
        for (int iy = top < 0 ? 0 : top; iy < top + kernel && iy < h; ++iy)
            for (int ix = left < 0 ? 0 : left; ix < left + kernel && ix < w; ++ix)
                sum += expf(temperature * (number(x[(iy * w + ix) * c + channel]) - most));
        sums[row + at] = sum;
    }
}
FOR_BOTH_TYPES(pool_softmax_sums, softmax_sums, PARAMETERS,
               (x, y, sums, h, w, c, oh, ow, kernel, stride, padding, temperature))
#undef PARAMETERS

// Every input gathers its shares of the outputs that it is in, in their order.
#define PARAMETERS(T)                                                                                                  \
    const T *dy, const T *x, const T *y, const float *sums, T *dx, int h, int w, int c, int oh, int ow, int kernel,    \
        int stride, int padding, float temperature
template <class T> DEVICE void softmax_backward(PARAMETERS(T)) {
    size_t image = blockIdx.x / h, row = blockIdx.x * (size_t)(w * c);
    Range ys = holders(blockIdx.x % h + padding, 0, oh, kernel, stride);
    dy += image * oh * ow * c;
    y += image * oh * ow * c;
    sums += image * oh * ow * c;
    EACH_THREAD(t) {
        int at = blockIdx.y * blockDim.x + t;
        if (at >= w * c) continue;
        int ix = at / c, channel = at - ix * c;
        Range xs = holders(ix + padding, 0, ow, kernel, stride);
        float own = number(x[row + at]), sum = 0.0f;
        for (int oy = ys.from; oy < ys.to; ++oy)
            for (int ox = xs.from; ox < xs.to; ++ox) {
                int from = (oy * ow + ox) * c + channel;
                sum += number(dy[from]) * expf(temperature * (own - number(y[from]))) / sums[from];
            }
        store(dx + row + at, sum);
    }
}
FOR_BOTH_TYPES(pool_softmax_backward, softmax_backward, PARAMETERS,
               (dy, x, y, sums, dx, h, w, c, oh, ow, kernel, stride, padding, temperature))
#undef PARAMETERS

// The mean of every cell.
#define PARAMETERS(T) const T *x, T *y, int h, int w, int c, int oh, int ow, int kernel, int stride
template <class T, int V> DEVICE void average_forward(PARAMETERS(T)) {
    size_t image = blockIdx.x / oh, row = blockIdx.x * (size_t)(ow * c);
    Range ys = cell(blockIdx.x % oh, h, oh, kernel, stride);
    x += image * h * w * c;
    EACH_THREAD(t) {
        int at = (blockIdx.y * blockDim.x + t) * V;
        if (at >= ow * c) continue;
        int ox = at / c, channel = at - ox * c;
        Range xs = cell(ox, w, ow, kernel, stride);
        // A global mean adds up a whole image.
        double sum[V] = {};
        for (int iy = ys.from; iy < ys.to; ++iy) {
            float line[V] = {};
            for (int ix = xs.from; ix < xs.to; ++ix) {
                float value[V];
                load<T, V>(x + (iy * w + ix) * c + channel, value);
                UNROLL for (int v = 0; v < V; ++v) line[v] += value[v];
            }
            UNROLL for (int v = 0; v < V; ++v) sum[v] += line[v];
        }
        float mean[V];
        UNROLL for (int v = 0; v < V; ++v) mean[v] = (float)(sum[v] / ((ys.to - ys.from) * (xs.to - xs.from)));
        save<T, V>(y + row + at, mean);
    }
}
FOR_BOTH_PACKS(pool_average_forward, average_forward, PARAMETERS, (x, y, h, w, c, oh, ow, kernel, stride))
#undef PARAMETERS

// Every input gathers its shares of the outputs that it is in, in their order.
#define PARAMETERS(T) const T *dy, T *dx, int h, int w, int c, int oh, int ow, int kernel, int stride
template <class T, int V> DEVICE void average_backward(PARAMETERS(T)) {
    size_t image = blockIdx.x / h, row = blockIdx.x * (size_t)(w * c);
    Range ys = holders(blockIdx.x % h, h, oh, kernel, stride);
    dy += image * oh * ow * c;
    EACH_THREAD(t) {
        int at = (blockIdx.y * blockDim.x + t) * V;
        if (at >= w * c) continue;
        int ix = at / c, channel = at - ix * c;
        Range xs = holders(ix, w, ow, kernel, stride);
        float sum[V] = {};
        for (int oy = ys.from; oy < ys.to; ++oy) {
            Range rows = cell(oy, h, oh, kernel, stride);
            for (int ox = xs.from; ox < xs.to; ++ox) {
                Range columns = cell(ox, w, ow, kernel, stride);
                float share = 1.0f / ((rows.to - rows.from) * (columns.to - columns.from));
                float value[V];
                load<T, V>(dy + (oy * ow + ox) * c + channel, value);
                UNROLL for (int v = 0; v < V; ++v) sum[v] += share * value[v];
            }
        }
        save<T, V>(dx + row + at, sum);
    }
}
FOR_BOTH_PACKS(pool_average_backward, average_backward, PARAMETERS, (dy, dx, h, w, c, oh, ow, kernel, stride))
#undef PARAMETERS
