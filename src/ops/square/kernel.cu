// The proposals of the Square attack in linf, as cpu.rs defines them.
#include "../perturbation/ball.h"

// Of each image: the window's first row, first column and side, then for each channel whether it goes up.
enum { TOP = 0, LEFT = 1, SIDE = 2, UP = 3 };

KERNEL(square_propose, const float *images, const float *originals, const uint32_t *proposals, float *out, size_t n,
       int channels, int rows, int columns, float epsilon) {
    ELEMENTS(i, n) {
        size_t plane = i / ((size_t)rows * columns);
        int channel = (int)(plane % channels), pixel = (int)(i % ((size_t)rows * columns));
        const uint32_t *proposal = proposals + plane / channels * (UP + channels);
        uint32_t row = pixel / columns, column = pixel % columns, side = proposal[SIDE];
        // Below the first row or column the differences wrap and are large.
        if (row - proposal[TOP] < side && column - proposal[LEFT] < side) {
            float change = proposal[UP + channel] ? epsilon : -epsilon;
            out[i] = into_linf(originals[i] + change, originals[i], epsilon);
        } else {
            out[i] = images[i];
        }
    }
}
