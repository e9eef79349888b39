// Batch normalisation over the rows of (rows, channels), as cpu.rs defines it.
//
// What the passes need to know of the channels are the rows of `saved`, (4, channels): scale, offset, mean and
// 1 / deviation, where z = (x - mean) scale + offset. Taking the mean off first loses nothing where a deviation is small.
#include "../activation/activation.h"
#include "columns.h"

// Elements read at once where the channels allow it.
enum { PACKED = 4 };

// A block's rows, and the column where the thread's pack begins.
struct Place {
    size_t row, end;
    int lanes, channel;
};

template <int V> DEVICE Place place(int t, size_t rows, int width, int stretch) {
    size_t first = blockIdx.x * (size_t)stretch;
    size_t end = first + stretch < rows ? first + stretch : rows;
    int lanes = THREADS / width;
    // A thread beyond the last lane has no rows.
    size_t row = t / width < lanes ? first + t / width : end;
    return {row, end, lanes, (int)(blockIdx.y * width + t % width) * V};
}

// Per thread and element of a pack: sums of x - origin and of its square, with the channel's first pixel as the origin,
// which keeps the squares small where a mean is far from zero.
template <class T, int V>
DEVICE void moments(const T *__restrict__ x, float *sums, double *partial, size_t rows, int channels, int width,
                    int stretch) {
    EACH_THREAD(t) {
        Place at = place<V>(t, rows, width, stretch);
        if (at.channel < channels) {
            float origin[V], sum[V] = {}, square[V] = {};
            load<T, V>(x + at.channel, origin);
            UNROLL_BY_4 for (size_t row = at.row; row < at.end; row += at.lanes) {
                float value[V];
                load<T, V>(x + row * channels + at.channel, value);
                UNROLL for (int v = 0; v < V; ++v) {
                    float d = value[v] - origin[v];
                    sum[v] += d;
                    square[v] = fmaf(d, d, square[v]);
                }
            }
            UNROLL for (int v = 0; v < V; ++v) {
                sums[v * THREADS + t] = sum[v];
                sums[(V + v) * THREADS + t] = square[v];
            }
        }
    }
    add_lanes<2, V>(sums, partial, blockIdx.x, 2, 0, channels, width);
}

#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ x, double *partial, size_t rows, int channels, int pack, int width, int stretch
template <class T> DEVICE void any_moments(PARAMETERS(T)) {
    SHARED(float, sums, 2 * PACKED * THREADS);
    if (pack == PACKED)
        moments<T, PACKED>(x, sums, partial, rows, channels, width, stretch);
    else
        moments<T, 1>(x, sums, partial, rows, channels, width, stretch);
}
FOR_BOTH_TYPES(batch_norm_moments, any_moments, PARAMETERS, (x, partial, rows, channels, pack, width, stretch))
#undef PARAMETERS

DEVICE void save_channel(float *saved, int c, int channels, double mean, double variance, float gamma, float beta,
                         double eps) {
    double inverse = 1.0 / sqrt(variance + eps), scale = inverse * (double)gamma;
    float rounded = (float)mean;
    saved[c] = (float)scale;
    saved[channels + c] = (float)((double)beta - (mean - (double)rounded) * scale);
    saved[2 * channels + c] = rounded;
    saved[3 * channels + c] = (float)inverse;
}

// Statistics of the batch from the partial sums; the running ones move towards them.
#define PARAMETERS(T)                                                                                                  \
    const double *partial, int parts, const T *x, size_t rows, int channels, const float *gamma, const float *beta,    \
        float *running_mean, float *running_var, double eps, double momentum, float *saved
template <class T> DEVICE void statistics(PARAMETERS(T)) {
    SHARED(double, sums, THREADS);
    SHARED(double, squares, THREADS);
    fold(partial, parts, 2 * (size_t)channels, channels, sums);
    fold(partial + channels, parts, 2 * (size_t)channels, channels, squares);
    EACH_THREAD(t) {
        int c = blockIdx.x * FOLDED + t;
        if (t < FOLDED && c < channels) {
            double n = (double)rows, from_origin = sums[t] / n;
            double mean = (double)number(x[c]) + from_origin;
            double variance = fmax(squares[t] / n - from_origin * from_origin, 0.0);
            save_channel(saved, c, channels, mean, variance, gamma[c], beta[c], eps);
            // One element has no unbiased variance.
            double unbiased = rows > 1 ? variance * (n / (n - 1.0)) : variance;
            double old_mean = running_mean[c], old_var = running_var[c];
            running_mean[c] = (float)(old_mean + momentum * (mean - old_mean));
            running_var[c] = (float)(old_var + momentum * (unbiased - old_var));
        }
    }
}
FOR_BOTH_TYPES(batch_norm_statistics, statistics, PARAMETERS,
               (partial, parts, x, rows, channels, gamma, beta, running_mean, running_var, eps, momentum, saved))
#undef PARAMETERS

// The same numbers from the running statistics.
KERNEL(batch_norm_constants, const float *gamma, const float *beta, const float *running_mean, const float *running_var,
       int channels, double eps, float *saved) {
    ELEMENTS(c, (size_t)channels)
    save_channel(saved, (int)c, channels, running_mean[c], running_var[c], gamma[c], beta[c], eps);
}

// y = act((x - mean) scale + offset (+ residual))
template <class T, int V, int A>
DEVICE void normalise(const T *__restrict__ x, const T *__restrict__ residual, const float *__restrict__ saved,
                      T *__restrict__ y, size_t rows, int channels, int width, int stretch) {
    EACH_THREAD(t) {
        Place at = place<V>(t, rows, width, stretch);
        if (at.channel < channels) {
            float scale[V], offset[V], mean[V];
            load<float, V>(saved + at.channel, scale);
            load<float, V>(saved + channels + at.channel, offset);
            load<float, V>(saved + 2 * channels + at.channel, mean);
            UNROLL_BY_4 for (size_t row = at.row; row < at.end; row += at.lanes) {
                size_t i = row * channels + at.channel;
                float z[V];
                load<T, V>(x + i, z);
                UNROLL for (int v = 0; v < V; ++v) z[v] = fmaf(z[v] - mean[v], scale[v], offset[v]);
                if (residual) {
                    float r[V];
                    load<T, V>(residual + i, r);
                    UNROLL for (int v = 0; v < V; ++v) z[v] += r[v];
                }
                UNROLL for (int v = 0; v < V; ++v) z[v] = activate(A, z[v]);
                save<T, V>(y + i, z);
            }
        }
    }
}

// Calls body<T, V, activation> with everything in brackets.
#define FOR_ACTIVATION(kind, body, T, V, ARGUMENTS)                                                                    \
    switch (kind) {                                                                                                    \
    case RELU: body<T, V, RELU> ARGUMENTS; break;                                                                      \
    case RELU6: body<T, V, RELU6> ARGUMENTS; break;                                                                    \
    case SILU: body<T, V, SILU> ARGUMENTS; break;                                                                      \
    default: body<T, V, IDENTITY> ARGUMENTS;                                                                           \
    }
#define FOR_PACK_AND_ACTIVATION(pack, kind, body, T, ARGUMENTS)                                                        \
    if (pack == PACKED) {                                                                                              \
        FOR_ACTIVATION(kind, body, T, PACKED, ARGUMENTS)                                                               \
    } else {                                                                                                           \
        FOR_ACTIVATION(kind, body, T, 1, ARGUMENTS)                                                                    \
    }

#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ x, const T *__restrict__ residual, const float *__restrict__ saved, T *__restrict__ y,       \
        size_t rows, int channels, int pack, int width, int stretch, int kind
template <class T> DEVICE void any_normalise(PARAMETERS(T)) {
    FOR_PACK_AND_ACTIVATION(pack, kind, normalise, T, (x, residual, saved, y, rows, channels, width, stretch))
}
FOR_BOTH_TYPES(batch_norm_forward, any_normalise, PARAMETERS,
               (x, residual, saved, y, rows, channels, pack, width, stretch, kind))
#undef PARAMETERS

// Per thread and element of a pack: sums of dz and of dz (x - mean), with dz from dy and the activation at z.
template <class T, int V, int A>
DEVICE void gradient_sums(const T *__restrict__ dy, const T *__restrict__ x, const float *__restrict__ saved,
                          float *sums, size_t rows, int channels, int width, int stretch) {
    EACH_THREAD(t) {
        Place at = place<V>(t, rows, width, stretch);
        if (at.channel < channels) {
            float scale[V], offset[V], mean[V], sum[V] = {}, product[V] = {};
            load<float, V>(saved + at.channel, scale);
            load<float, V>(saved + channels + at.channel, offset);
            load<float, V>(saved + 2 * channels + at.channel, mean);
            UNROLL_BY_4 for (size_t row = at.row; row < at.end; row += at.lanes) {
                size_t i = row * channels + at.channel;
                float dz[V], value[V];
                load<T, V>(dy + i, dz);
                load<T, V>(x + i, value);
                UNROLL for (int v = 0; v < V; ++v) {
                    float d = value[v] - mean[v];
                    dz[v] = pull(A, fmaf(d, scale[v], offset[v]), dz[v]);
                    sum[v] += dz[v];
                    product[v] = fmaf(dz[v], d, product[v]);
                }
            }
            UNROLL for (int v = 0; v < V; ++v) {
                sums[v * THREADS + t] = sum[v];
                sums[(V + v) * THREADS + t] = product[v];
            }
        }
    }
}

#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ dy, const T *__restrict__ x, const float *__restrict__ saved, double *partial, size_t rows,  \
        int channels, int pack, int width, int stretch, int kind
template <class T> DEVICE void any_gradient_sums(PARAMETERS(T)) {
    SHARED(float, sums, 2 * PACKED * THREADS);
    FOR_PACK_AND_ACTIVATION(pack, kind, gradient_sums, T, (dy, x, saved, sums, rows, channels, width, stretch))
    if (pack == PACKED)
        add_lanes<2, PACKED>(sums, partial, blockIdx.x, 2, 0, channels, width);
    else
        add_lanes<2, 1>(sums, partial, blockIdx.x, 2, 0, channels, width);
}
FOR_BOTH_TYPES(batch_norm_gradient_sums, any_gradient_sums, PARAMETERS,
               (dy, x, saved, partial, rows, channels, pack, width, stretch, kind))
#undef PARAMETERS

// Gradients of gamma and beta, and what dx takes from x - mean and as a constant: (2, channels). Each is left out where
// its pointer is null.
KERNEL(batch_norm_gradients, const double *partial, int parts, size_t rows, int channels, const float *saved,
       float *gamma, float *beta, float *from_x) {
    SHARED(double, sums, THREADS);
    SHARED(double, products, THREADS);
    fold(partial, parts, 2 * (size_t)channels, channels, sums);
    fold(partial + channels, parts, 2 * (size_t)channels, channels, products);
    EACH_THREAD(t) {
        int c = blockIdx.x * FOLDED + t;
        if (t < FOLDED && c < channels) {
            double n = (double)rows, scale = saved[c], inverse = saved[3 * channels + c];
            if (gamma) {
                gamma[c] = (float)(products[t] * inverse);
                beta[c] = (float)sums[t];
            }
            if (from_x) {
                from_x[c] = (float)(-scale * inverse * inverse * products[t] / n);
                from_x[channels + c] = (float)(-scale * sums[t] / n);
            }
        }
    }
}

// dx = scale dz, and in training mode + from_x (x - mean) + constant
template <class T, int V, int A>
DEVICE void input_gradient(const T *__restrict__ dy, const T *__restrict__ x, const float *__restrict__ saved,
                           const float *__restrict__ from_x, T *__restrict__ dx, size_t rows, int channels, int width,
                           int stretch) {
    EACH_THREAD(t) {
        Place at = place<V>(t, rows, width, stretch);
        if (at.channel < channels) {
            float scale[V], offset[V], mean[V], factor[V] = {}, constant[V] = {};
            load<float, V>(saved + at.channel, scale);
            load<float, V>(saved + channels + at.channel, offset);
            load<float, V>(saved + 2 * channels + at.channel, mean);
            if (from_x) {
                load<float, V>(from_x + at.channel, factor);
                load<float, V>(from_x + channels + at.channel, constant);
            }
            // Nothing but the activation and the statistics needs x.
            bool reads_x = A != IDENTITY || from_x;
            UNROLL_BY_4 for (size_t row = at.row; row < at.end; row += at.lanes) {
                size_t i = row * channels + at.channel;
                float dz[V], value[V] = {};
                load<T, V>(dy + i, dz);
                if (reads_x) load<T, V>(x + i, value);
                UNROLL for (int v = 0; v < V; ++v) {
                    float d = value[v] - mean[v];
                    dz[v] = pull(A, fmaf(d, scale[v], offset[v]), dz[v]) * scale[v];
                    if (from_x) dz[v] += fmaf(d, factor[v], constant[v]);
                }
                save<T, V>(dx + i, dz);
            }
        }
    }
}

#define PARAMETERS(T)                                                                                                  \
    const T *__restrict__ dy, const T *__restrict__ x, const float *__restrict__ saved,                                \
        const float *__restrict__ from_x, T *__restrict__ dx, size_t rows, int channels, int pack, int width,          \
        int stretch, int kind
template <class T> DEVICE void any_input_gradient(PARAMETERS(T)) {
    FOR_PACK_AND_ACTIVATION(pack, kind, input_gradient, T,
                            (dy, x, saved, from_x, dx, rows, channels, width, stretch))
}
FOR_BOTH_TYPES(batch_norm_backward, any_input_gradient, PARAMETERS,
               (dy, x, saved, from_x, dx, rows, channels, pack, width, stretch, kind))
#undef PARAMETERS
