// The plain C++ side of kernel.h: a block runs as one call, its threads as the loops of its phases.
#pragma once

#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

struct Index3 {
    unsigned x, y, z;
};
static thread_local Index3 blockIdx, gridDim, blockDim;

// A float's upper half, rounded to the nearest, ties to even, as the card's type is.
struct bf16 {
    uint16_t bits;
};

#define DEVICE static inline
#define SHARED(type, name, length) type name[length]
#define EACH_THREAD(t) for (int t = 0; t < (int)blockDim.x; ++t)
#define ELEMENTS(i, n)                                                                                                 \
    for (size_t thread_ = 0; thread_ < blockDim.x; ++thread_)                                                          \
        for (size_t i = blockIdx.x * (size_t)blockDim.x + thread_; i < (n); i += gridDim.x * (size_t)blockDim.x)

static inline float number(float value) { return value; }
static inline float number(bf16 value) {
    uint32_t bits = (uint32_t)value.bits << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}
static inline void store(float *to, float value) { *to = value; }
static inline void store(bf16 *to, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (value != value) {
        to->bits = (uint16_t)((bits >> 16) | 0x40);
        return;
    }
    bits += 0x7fff + ((bits >> 16) & 1);
    to->bits = (uint16_t)(bits >> 16);
}

template <class... A, size_t... I>
static void call_one(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<typename std::remove_cv<A>::type *>(arguments[I])...);
}

// Every block of a grid, one after the other: what the driver's launch does, with the same arguments.
template <class... A>
static void launch(void (*kernel)(A...), const unsigned *grid, unsigned block, void **arguments) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block, 1, 1};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                call_one(kernel, arguments, std::index_sequence_for<A...>{});
            }
}

// The letter of a parameter's type; that of a pointer is the element's as a capital.
template <class T> struct Letter;
template <> struct Letter<int> { enum { value = 'i' }; };
template <> struct Letter<float> { enum { value = 'f' }; };
template <> struct Letter<double> { enum { value = 'd' }; };
template <> struct Letter<uint64_t> { enum { value = 'w' }; };
template <> struct Letter<int64_t> { enum { value = 'w' }; };
template <> struct Letter<uint32_t> { enum { value = 'u' }; };
template <> struct Letter<uint8_t> { enum { value = 'b' }; };
template <> struct Letter<bf16> { enum { value = 'h' }; };
template <class T> struct Letter<T *> {
    enum { value = Letter<typename std::remove_cv<T>::type>::value - 'a' + 'A' };
};

template <class... A> static const char *types_of(void (*)(A...)) {
    static const char letters[] = {(char)Letter<typename std::remove_cv<A>::type>::value..., 0};
    return letters;
}

#define KERNEL(name, ...)                                                                                              \
    static void name(__VA_ARGS__);                                                                                     \
    extern "C" const char *types_##name() { return types_of(name); }                                                   \
    extern "C" void launch_##name(const unsigned *grid, unsigned block, void **arguments) {                            \
        launch(name, grid, block, arguments);                                                                          \
    }                                                                                                                  \
    static void name(__VA_ARGS__)
