// Max and average pooling, as cpu.rs defines them.
//
// A block works on a stretch of one row of pixels, so that all but one division are the same in the whole block:
// blockIdx.x is the row among those of all images, blockIdx.y the stretch of its values.
#include "kernel.h"

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

// The first of equal maxima wins; not-a-number wins over everything.
#define PARAMETERS(T)                                                                                                  \
    const T *x, T *y, uint8_t *taps, int h, int w, int c, int oh, int ow, int kernel, int stride, int padding
template <class T> DEVICE void max_forward(PARAMETERS(T)) {
    size_t image = blockIdx.x / oh, row = blockIdx.x * (size_t)(ow * c);
    int top = (int)(blockIdx.x % oh) * stride - padding;
    x += image * h * w * c;
    EACH_THREAD(t) {
        int at = blockIdx.y * blockDim.x + t;
        if (at >= ow * c) continue;
        int ox = at / c, channel = at - ox * c, left = ox * stride - padding;
        float best = 0.0f;
        int tap = -1;
        for (int ky = 0; ky < kernel; ++ky) {
            if (top + ky < 0 || top + ky >= h) continue;
            for (int kx = 0; kx < kernel; ++kx) {
                if (left + kx < 0 || left + kx >= w) continue;
                float value = number(x[((top + ky) * w + left + kx) * c + channel]);
                if (tap < 0 || value > best || value != value) {
                    best = value;
                    tap = ky * kernel + kx;
                }
            }
        }
        store(y + row + at, best);
        taps[row + at] = (uint8_t)tap;
    }
}
FOR_BOTH_TYPES(pool_max_forward, max_forward, PARAMETERS,
               (x, y, taps, h, w, c, oh, ow, kernel, stride, padding))
#undef PARAMETERS

// Every input gathers from the outputs that it won, in their order.
#define PARAMETERS(T)                                                                                                  \
    const T *dy, const uint8_t *taps, T *dx, int h, int w, int c, int oh, int ow, int kernel, int stride, int padding
template <class T> DEVICE void max_backward(PARAMETERS(T)) {
    size_t image = blockIdx.x / h, row = blockIdx.x * (size_t)(w * c);
    int y = (int)(blockIdx.x % h) + padding;
    Range ys = holders(y, 0, oh, kernel, stride);
    dy += image * oh * ow * c;
    taps += image * oh * ow * c;
    EACH_THREAD(t) {
        int at = blockIdx.y * blockDim.x + t;
        if (at >= w * c) continue;
        int ix = at / c, channel = at - ix * c, x = ix + padding;
        Range xs = holders(x, 0, ow, kernel, stride);
        float sum = 0.0f;
        for (int oy = ys.from; oy < ys.to; ++oy)
            for (int ox = xs.from; ox < xs.to; ++ox) {
                int from = (oy * ow + ox) * c + channel;
                if (taps[from] == (y - oy * stride) * kernel + x - ox * stride) sum += number(dy[from]);
            }
        store(dx + row + at, sum);
    }
}
FOR_BOTH_TYPES(pool_max_backward, max_backward, PARAMETERS,
               (dy, taps, dx, h, w, c, oh, ow, kernel, stride, padding))
#undef PARAMETERS

// The mean of every cell.
#define PARAMETERS(T) const T *x, T *y, int h, int w, int c, int oh, int ow, int kernel, int stride
template <class T> DEVICE void average_forward(PARAMETERS(T)) {
    size_t image = blockIdx.x / oh, row = blockIdx.x * (size_t)(ow * c);
    Range ys = cell(blockIdx.x % oh, h, oh, kernel, stride);
    x += image * h * w * c;
    EACH_THREAD(t) {
        int at = blockIdx.y * blockDim.x + t;
        if (at >= ow * c) continue;
        int ox = at / c, channel = at - ox * c;
        Range xs = cell(ox, w, ow, kernel, stride);
        // A global mean adds up a whole image.
        double sum = 0.0;
        for (int iy = ys.from; iy < ys.to; ++iy) {
            float line = 0.0f;
            for (int ix = xs.from; ix < xs.to; ++ix) line += number(x[(iy * w + ix) * c + channel]);
            sum += line;
        }
        store(y + row + at, (float)(sum / ((ys.to - ys.from) * (xs.to - xs.from))));
    }
}
FOR_BOTH_TYPES(pool_average_forward, average_forward, PARAMETERS, (x, y, h, w, c, oh, ow, kernel, stride))
#undef PARAMETERS

// Every input gathers its shares of the outputs that it is in, in their order.
#define PARAMETERS(T) const T *dy, T *dx, int h, int w, int c, int oh, int ow, int kernel, int stride
template <class T> DEVICE void average_backward(PARAMETERS(T)) {
    size_t image = blockIdx.x / h, row = blockIdx.x * (size_t)(w * c);
    Range ys = holders(blockIdx.x % h, h, oh, kernel, stride);
    dy += image * oh * ow * c;
    EACH_THREAD(t) {
        int at = blockIdx.y * blockDim.x + t;
        if (at >= w * c) continue;
        int ix = at / c, channel = at - ix * c;
        Range xs = holders(ix, w, ow, kernel, stride);
        float sum = 0.0f;
        for (int oy = ys.from; oy < ys.to; ++oy) {
            Range rows = cell(oy, h, oh, kernel, stride);
            for (int ox = xs.from; ox < xs.to; ++ox) {
                Range columns = cell(ox, w, ow, kernel, stride);
                float share = 1.0f / ((rows.to - rows.from) * (columns.to - columns.from));
                sum += share * number(dy[(oy * ow + ox) * c + channel]);
            }
        }
        store(dx + row + at, sum);
    }
}
FOR_BOTH_TYPES(pool_average_backward, average_backward, PARAMETERS, (dy, dx, h, w, c, oh, ow, kernel, stride))
#undef PARAMETERS
