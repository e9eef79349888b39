// What kernels read and write at once.
#pragma once
#include "kernel.h"

// Loops whose length the compiler knows are unrolled whole, the others by four so that their loads overlap.
#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#define UNROLL_BY_4 _Pragma("unroll 4")
#else
#define UNROLL
#define UNROLL_BY_4
#endif

// Threads of a block.
enum { THREADS = 256 };

// Neighbouring elements that one instruction moves; their address is a multiple of their size.
template <class T, int V> struct alignas(sizeof(T) * V) Pack {
    T values[V];
};

template <class T, int V> DEVICE void load(const T *from, float *to) {
    Pack<T, V> pack = *reinterpret_cast<const Pack<T, V> *>(from);
    UNROLL for (int v = 0; v < V; ++v) to[v] = number(pack.values[v]);
}

template <class T, int V> DEVICE void save(T *to, const float *from) {
    Pack<T, V> pack;
    UNROLL for (int v = 0; v < V; ++v) store(pack.values + v, from[v]);
    *reinterpret_cast<Pack<T, V> *>(to) = pack;
}
