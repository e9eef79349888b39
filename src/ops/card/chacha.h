// The random words of rng.rs: ChaCha with 8 rounds, word for word what `rng::stream` draws.
//
// The key is (seed, purpose, epoch, batch), the nonce the index, each 64 bits, little end first; the block's number is
// 64 bits as well. Word w of a stream is word w % 16 of block w / 16.
#pragma once
#include "kernel.h"

// Purposes that kernels draw for, as rng.rs numbers them.
enum { PURPOSE_DROPOUT = 4, PURPOSE_ATTACK_START = 5 };

DEVICE void chacha_quarter(uint32_t &a, uint32_t &b, uint32_t &c, uint32_t &d) {
    a += b, d ^= a, d = d << 16 | d >> 16;
    c += d, b ^= c, b = b << 12 | b >> 20;
    a += b, d ^= a, d = d << 8 | d >> 24;
    c += d, b ^= c, b = b << 7 | b >> 25;
}

DEVICE void chacha_block(uint64_t seed, uint64_t purpose, uint64_t epoch, uint64_t batch, uint64_t index,
                         uint64_t block, uint32_t words[16]) {
    uint32_t start[16] = {
        // "expand 32-byte k"
        0x61707865,      0x3320646e,
        0x79622d32,      0x6b206574,
        (uint32_t)seed,  (uint32_t)(seed >> 32),
        (uint32_t)purpose, (uint32_t)(purpose >> 32),
        (uint32_t)epoch, (uint32_t)(epoch >> 32),
        (uint32_t)batch, (uint32_t)(batch >> 32),
        (uint32_t)block, (uint32_t)(block >> 32),
        (uint32_t)index, (uint32_t)(index >> 32),
    };
    uint32_t w[16];
    for (int i = 0; i < 16; ++i) w[i] = start[i];
    for (int twice = 0; twice < 4; ++twice) {
        chacha_quarter(w[0], w[4], w[8], w[12]);
        chacha_quarter(w[1], w[5], w[9], w[13]);
        chacha_quarter(w[2], w[6], w[10], w[14]);
        chacha_quarter(w[3], w[7], w[11], w[15]);
        chacha_quarter(w[0], w[5], w[10], w[15]);
        chacha_quarter(w[1], w[6], w[11], w[12]);
        chacha_quarter(w[2], w[7], w[8], w[13]);
        chacha_quarter(w[3], w[4], w[9], w[14]);
    }
    for (int i = 0; i < 16; ++i) words[i] = w[i] + start[i];
}
