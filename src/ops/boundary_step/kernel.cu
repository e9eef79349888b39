// FAB's steps to the boundary of a class, as cpu.rs and hyperplane.rs define them. A block has an image.
#include "../perturbation/ball.h"
#include "block_sum.h"

enum { ROUNDS = 10000 };

// How the pixels of an image move towards a hyperplane: each by t (linf) or t times its weight's size (l2), until it has no
// room left; where the hyperplane is out of reach, to the end of their room.
struct Way {
    double t, length;
    bool down, reachable;
};

// Where a pixel can go in the direction that reduces the margin.
DEVICE double room(float x, float w, bool down) { return (w > 0.0f) == down ? (double)x : 1.0 - (double)x; }

// How far a pixel goes.
DEVICE double distance(const Way &way, float x, float w, int l2) {
    double size = fabs((double)w);
    if (size == 0.0) return 0.0;
    double far = room(x, w, way.down), moved = way.t * (l2 ? size : 1.0);
    return way.reachable && moved < far ? moved : far;
}

DEVICE float moved(const Way &way, float x, float w, int l2, float eta) {
    float far = (float)distance(way, x, w, l2);
    return x + eta * ((w > 0.0f) != way.down ? far : -far);
}

// The shortest way to where the margin, which falls or rises along w, is 0. `a` and `b` are the block's to sum in.
DEVICE Way project(const float *x, const float *w, int width, double margin, int l2, double *a, double *b) {
    Way way = {0.0, 0.0, margin > 0.0, true};
    double need = fabs(margin), last = -1.0;
    for (int round = 0; round < ROUNDS; ++round) {
        EACH_THREAD(k) {
            double gained = 0.0, slope = 0.0;
            for (int i = k; i < width; i += blockDim.x) {
                double size = fabs((double)w[i]), rate = l2 ? size : 1.0, far = room(x[i], w[i], way.down);
                if (way.t * rate >= far) {
                    gained += size * far;
                } else {
                    gained += size * rate * way.t;
                    slope += size * rate;
                }
            }
            a[k] = gained;
            b[k] = slope;
        }
        double gained = block_sum(a), slope = block_sum(b);
        // All have read the sums before the next round overwrites them.
        EACH_THREAD(k) { (void)k; }
        if (gained >= need || way.t <= last) break;
        if (slope <= 0.0) {
            way.reachable = false;
            break;
        }
        last = way.t;
        way.t += (need - gained) / slope;
    }
    EACH_THREAD(k) {
        double sum = 0.0, most = 0.0;
        for (int i = k; i < width; i += blockDim.x) {
            double far = distance(way, x[i], w[i], l2);
            sum += far * far;
            if (far > most) most = far;
        }
        a[k] = l2 ? sum : most;
    }
    way.length = l2 ? sqrt(block_sum(a)) : block_max(a);
    EACH_THREAD(k) { (void)k; }
    return way;
}

KERNEL(boundary_step, const float *images, const float *originals, const float *gradients, const double *margins,
       float *out, int width, int l2, double eta, double most) {
    SHARED(double, a, MOST_THREADS);
    SHARED(double, b, MOST_THREADS);
    size_t start = blockIdx.x * (size_t)width;
    const float *x = images + start, *o = originals + start, *w = gradients + start;
    out += start;
    EACH_THREAD(k) {
        double sum = 0.0;
        for (int i = k; i < width; i += blockDim.x) sum += (double)w[i] * ((double)o[i] - (double)x[i]);
        a[k] = sum;
    }
    double ahead = block_sum(a), margin = margins[blockIdx.x];
    EACH_THREAD(k) { (void)k; }
    Way here = project(x, w, width, margin, l2, a, b);
    Way there = project(o, w, width, margin + ahead, l2, a, b);
    double near = here.length > 1e-8 ? here.length : 1e-8, far = there.length > 1e-8 ? there.length : 1e-8;
    double share = near / (near + far);
    float alpha = (float)(share < most ? share : most);
    EACH_THREAD(k) {
        for (int i = k; i < width; i += blockDim.x)
            out[i] = into_pixels((1.0f - alpha) * moved(here, x[i], w[i], l2, (float)eta) +
                                 alpha * moved(there, o[i], w[i], l2, (float)eta));
    }
}
