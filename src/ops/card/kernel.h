// What every kernel file begins with. Compiled by nvcc a kernel is a kernel; compiled as plain C++ (see host.h) the
// threads of a block become loops, so that its arithmetic and its indices run, and are tested, without a card.
//
// A kernel is written in phases. EACH_THREAD(t) runs the statement that follows once in each thread of the block and
// then waits for all of them: nothing but shared memory and global memory lives from one phase to the next.
// ELEMENTS(i, n) runs a statement for every i below n, shared among all threads of the grid, without waiting.
//
// Sums are never added up by atomics: every result of a kernel has one fixed order, so the same launch on the same card
// gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__

#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

#define DEVICE __device__ __forceinline__
#define SHARED(type, name, length) __shared__ type name[length]
#define EACH_THREAD(t) for (int t = threadIdx.x, once = 1; once; once = 0, __syncthreads())
#define ELEMENTS(i, n)                                                                                                 \
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (n); i += gridDim.x * (size_t)blockDim.x)
// What the compiler is told of a kernel's blocks; a file defines it anew around the kernels that it concerns.
#define BOUNDS
#define KERNEL(name, ...) extern "C" __global__ void BOUNDS name(__VA_ARGS__)

DEVICE float number(float value) { return value; }
DEVICE float number(bf16 value) { return __bfloat162float(value); }
DEVICE void store(float *to, float value) { *to = value; }
DEVICE void store(bf16 *to, float value) { *to = __float2bfloat16_rn(value); }

#else
#include "host.h"
#endif

// The same kernel for both types that activations have: body<T>(arguments) under the names name_f32 and name_bf16.
// PARAMETERS is a macro of T that lists the parameters in brackets, ARGUMENTS their names.
#define FOR_BOTH_TYPES(name, body, PARAMETERS, ARGUMENTS)                                                              \
    KERNEL(name##_f32, PARAMETERS(float)) { body<float> ARGUMENTS; }                                                   \
    KERNEL(name##_bf16, PARAMETERS(bf16)) { body<bf16> ARGUMENTS; }
