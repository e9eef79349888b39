// Borders below and to the right of activations, as cpu.rs defines them. An image without its border has `height` rows of
// `length` numbers, with it `wide_height` rows of `wide_length`. Fewer than 2^31 elements: indices of 32 bits divide faster.
#include "kernel.h"

#define PARAMETERS(T) const T *x, T *y, size_t n, int height, int length, int wide_height, int wide_length
template <class T> DEVICE void add(PARAMETERS(T)) {
    ELEMENTS(i, n) {
        uint32_t line = (uint32_t)i / (uint32_t)wide_length, column = (uint32_t)i - line * (uint32_t)wide_length;
        uint32_t image = line / (uint32_t)wide_height, row = line - image * (uint32_t)wide_height;
        bool inside = row < (uint32_t)height && column < (uint32_t)length;
        if (inside)
            y[i] = x[(image * (uint32_t)height + row) * (uint32_t)length + column];
        else
            store(y + i, 0.0f);
    }
}
template <class T> DEVICE void take(PARAMETERS(T)) {
    ELEMENTS(i, n) {
        uint32_t line = (uint32_t)i / (uint32_t)length, column = (uint32_t)i - line * (uint32_t)length;
        uint32_t image = line / (uint32_t)height, row = line - image * (uint32_t)height;
        y[i] = x[(image * (uint32_t)wide_height + row) * (uint32_t)wide_length + column];
    }
}
FOR_BOTH_TYPES(pad_add, add, PARAMETERS, (x, y, n, height, length, wide_height, wide_length))
FOR_BOTH_TYPES(pad_take, take, PARAMETERS, (x, y, n, height, length, wide_height, wide_length))
#undef PARAMETERS
