// The steps of attacks and the check of what they return, as cpu.rs and ball.rs define them.
#include "ball.h"
#include "block_sum.h"

// A step along the gradient's sign, then into the ball and the pixel range; steps and radii of the first two channels
// and of all further ones. blockIdx.x is the plane among those of all images, blockIdx.y the stretch of its pixels.
KERNEL(perturbation_step_linf, const float *x, const float *origin, const float *gradient, float *out, int plane,
       int channels, float step0, float step1, float step2, float epsilon0, float epsilon1, float epsilon2) {
    int channel = blockIdx.x % channels;
    float step = channel == 0 ? step0 : channel == 1 ? step1 : step2;
    float epsilon = channel == 0 ? epsilon0 : channel == 1 ? epsilon1 : epsilon2;
    size_t start = blockIdx.x * (size_t)plane;
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= plane) continue;
        size_t i = start + pixel;
        out[i] = into_linf(x[i] + step * sign(gradient[i]), origin[i], epsilon);
    }
}

// A step along the gradient's direction, then into the ball and the pixel range. A block has an image.
KERNEL(perturbation_step_l2, const float *x, const float *origin, const float *gradient, float *out, int width,
       double step, double epsilon) {
    SHARED(double, squares, MOST_THREADS);
    SHARED(double, distances, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    x += start;
    origin += start;
    gradient += start;
    out += start;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < width; i += blockDim.x) sum += (double)gradient[i] * gradient[i];
        squares[t] = sum;
    }
    double length = sqrt(block_sum(squares));
    // A zero gradient moves nothing.
    float scale = length > 0.0 ? (float)(step / length) : 0.0f;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < width; i += blockDim.x) {
            float moved = x[i] + scale * gradient[i];
            double d = moved - origin[i];
            sum += d * d;
            out[i] = moved;
        }
        distances[t] = sum;
    }
    double distance = sqrt(block_sum(distances));
    float shrink = distance > epsilon ? (float)(epsilon / distance) : 1.0f;
    // The same thread wrote what it reads here.
    EACH_THREAD(t) {
        for (int i = t; i < width; i += blockDim.x)
            out[i] = into_pixels(origin[i] + (out[i] - origin[i]) * shrink);
    }
}

// APGD's step: along the gradient's sign by the image's own step size, into the ball and the pixel range, then mixed with the
// movement from the previous point. blockIdx.x is the image, blockIdx.y the stretch of its pixels.
KERNEL(perturbation_momentum_step_linf, const float *x, const float *previous, const float *origin,
       const float *gradient, const double *step_sizes, float *out, int width, float epsilon, float share) {
    size_t start = blockIdx.x * (size_t)width;
    float step = (float)step_sizes[blockIdx.x];
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= width) continue;
        size_t i = start + pixel;
        float stepped = into_linf(x[i] + step * sign(gradient[i]), origin[i], epsilon);
        out[i] = into_linf(x[i] + share * (stepped - x[i]) + (1.0f - share) * (x[i] - previous[i]), origin[i], epsilon);
    }
}

// The same along the gradient's direction. A block has an image.
KERNEL(perturbation_momentum_step_l2, const float *images, const float *earlier, const float *originals,
       const float *gradients, const double *step_sizes, float *out, int width, double epsilon, float share) {
    SHARED(double, squares, MOST_THREADS);
    SHARED(double, distances, MOST_THREADS);
    SHARED(double, mixed, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    const float *x = images + start, *previous = earlier + start, *origin = originals + start;
    const float *gradient = gradients + start;
    out += start;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < width; i += blockDim.x) sum += (double)gradient[i] * gradient[i];
        squares[t] = sum;
    }
    double length = sqrt(block_sum(squares));
    float scale = length > 0.0 ? (float)(step_sizes[blockIdx.x] / length) : 0.0f;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < width; i += blockDim.x) {
            float moved = x[i] + scale * gradient[i];
            double d = moved - origin[i];
            sum += d * d;
            out[i] = moved;
        }
        distances[t] = sum;
    }
    double distance = sqrt(block_sum(distances));
    float shrink = distance > epsilon ? (float)(epsilon / distance) : 1.0f;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < width; i += blockDim.x) {
            float stepped = into_pixels(origin[i] + (out[i] - origin[i]) * shrink);
            float blend = x[i] + share * (stepped - x[i]) + (1.0f - share) * (x[i] - previous[i]);
            double d = blend - origin[i];
            sum += d * d;
            out[i] = blend;
        }
        mixed[t] = sum;
    }
    distance = sqrt(block_sum(mixed));
    shrink = distance > epsilon ? (float)(epsilon / distance) : 1.0f;
    EACH_THREAD(t) {
        for (int i = t; i < width; i += blockDim.x)
            out[i] = into_pixels(origin[i] + (out[i] - origin[i]) * shrink);
    }
}

// Images brought nearer to their originals, in place. blockIdx.x is the place among `places`, blockIdx.y the stretch of pixels.
KERNEL(perturbation_draw_nearer, float *x, const float *origin, const uint32_t *places, int width, float share) {
    size_t start = places[blockIdx.x] * (size_t)width;
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= width) continue;
        size_t i = start + pixel;
        x[i] = origin[i] + (x[i] - origin[i]) * share;
    }
}

// momentum = decay momentum + gradient / |gradient|_1, in place; a zero gradient adds nothing. A block has an image.
KERNEL(perturbation_accumulate, float *momentum, const float *gradient, int width, float decay) {
    SHARED(double, sums, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    momentum += start;
    gradient += start;
    EACH_THREAD(t) {
        double sum = 0.0;
        for (int i = t; i < width; i += blockDim.x) sum += fabs((double)gradient[i]);
        sums[t] = sum;
    }
    double length = block_sum(sums);
    float scale = length > 0.0 ? (float)(1.0 / length) : 0.0f;
    EACH_THREAD(t) {
        for (int i = t; i < width; i += blockDim.x) momentum[i] = decay * momentum[i] + scale * gradient[i];
    }
}

// A thread's part of the distance of an image from its original: its sum of squares (l2) or its largest change in the units of
// the first two channels and of all further ones.
DEVICE double part_of_distance(const float *x, const float *origin, int t, int width, int plane, int l2, double unit0,
                               double unit1, double unit2) {
    double distance = 0.0;
    for (int i = t; i < width; i += blockDim.x) {
        double d = x[i] - origin[i];
        if (l2) {
            distance += d * d;
        } else {
            int channel = i / plane;
            d = fabs(d) / (channel == 0 ? unit0 : channel == 1 ? unit1 : unit2);
            if (d > distance) distance = d;
        }
    }
    return distance;
}

// How far each image is from its original. A block has an image; l2 says which norm.
KERNEL(perturbation_distances, const float *x, const float *origin, double *found, int width, int plane, int l2,
       double unit0, double unit1, double unit2) {
    SHARED(double, distances, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    EACH_THREAD(t) {
        distances[t] = part_of_distance(x + start, origin + start, t, width, plane, l2, unit0, unit1, unit2);
    }
    double distance = l2 ? sqrt(block_sum(distances)) : block_max(distances);
    EACH_THREAD(t) {
        if (t == 0) found[blockIdx.x] = distance;
    }
}

enum { OUT_OF_RANGE = 1, OUT_OF_BALL = 2 };

// What is wrong with each image. A block has an image; l2 says which norm, limit is the radius with its slack.
KERNEL(perturbation_inspect, const float *x, const float *origin, uint32_t *wrong, int width, int plane, int l2,
       double unit0, double unit1, double unit2, double limit) {
    SHARED(double, distances, MOST_THREADS);
    SHARED(double, outside, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    x += start;
    origin += start;
    EACH_THREAD(t) {
        double out = 0.0;
        for (int i = t; i < width; i += blockDim.x) {
            // Not-a-number is outside as well.
            if (!(x[i] >= 0.0f && x[i] <= 1.0f)) out = 1.0;
        }
        distances[t] = part_of_distance(x, origin, t, width, plane, l2, unit0, unit1, unit2);
        outside[t] = out;
    }
    double distance = l2 ? sqrt(block_sum(distances)) : block_max(distances);
    double out = block_max(outside);
    EACH_THREAD(t) {
        if (t == 0) wrong[blockIdx.x] = (out > 0.0 ? OUT_OF_RANGE : 0) | (distance > limit ? OUT_OF_BALL : 0);
    }
}

// `faults`: the numbers of images out of range and out of the ball. One block in all.
KERNEL(perturbation_count, const uint32_t *wrong, uint32_t *faults, int images) {
    SHARED(double, range, MOST_THREADS);
    SHARED(double, ball, MOST_THREADS);
    EACH_THREAD(t) {
        double a = 0.0, b = 0.0;
        for (int i = t; i < images; i += blockDim.x) {
            a += (wrong[i] & OUT_OF_RANGE) != 0;
            b += (wrong[i] & OUT_OF_BALL) != 0;
        }
        range[t] = a;
        ball[t] = b;
    }
    double a = block_sum(range), b = block_sum(ball);
    EACH_THREAD(t) {
        if (t == 0) {
            faults[0] = (uint32_t)a;
            faults[1] = (uint32_t)b;
        }
    }
}
