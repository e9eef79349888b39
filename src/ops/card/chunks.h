// Many small tensors in one launch: a block has a chunk of one of them.
#pragma once
#include "pack.h"

// Elements of a chunk.
enum { CHUNK = 4096 };

// `row`: the addresses of the tensors that belong together, then their length.
struct Chunk {
    const uint64_t *row;
    size_t first;
    int count;
};

// The block's chunk, from the table of `columns` addresses a row and the table of (row, first element) a block.
DEVICE Chunk chunk_of_block(const uint64_t *rows, const uint64_t *blocks, int columns) {
    const uint64_t *row = rows + blocks[2 * blockIdx.x] * (columns + 1);
    size_t first = blocks[2 * blockIdx.x + 1], rest = row[columns] - first;
    return {row, first, (int)(rest < (size_t)CHUNK ? rest : (size_t)CHUNK)};
}

// The part of the row's tensor in `column` that is the block's, or null where there is no such tensor.
DEVICE float *part(const Chunk &chunk, int column) {
    float *start = reinterpret_cast<float *>(chunk.row[column]);
    return start ? start + chunk.first : nullptr;
}
