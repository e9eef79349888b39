// Batches gathered from a data set that lies on the card, with random crops and flips, as cpu.rs defines them.
#include "kernel.h"

// A value of a data set: 8-bit ones mean shares of 255.
DEVICE float intensity(float value) { return value; }
DEVICE float intensity(uint8_t value) { return (float)value / 255.0f; }

// places holds four words an image: its index in the data set, how far down and right its window lies in the padded
// image, and whether it is mirrored afterwards. blockIdx.x is the plane among those of all images of the batch,
// blockIdx.y the stretch of its pixels.
template <class S>
DEVICE void crop_flip(const S *data, const uint32_t *places, float *out, size_t examples, int channels, int h, int w,
                      int padding) {
    const uint32_t *place = places + blockIdx.x / channels * (size_t)4;
    size_t index = place[0];
    int down = (int)place[1] - padding, right = (int)place[2] - padding;
    bool flip = place[3] != 0, known = index < examples;
    data += (index * channels + blockIdx.x % channels) * (size_t)(h * w);
    out += blockIdx.x * (size_t)(h * w);
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= h * w) continue;
        int y = pixel / w, x = pixel - y * w;
        int from_y = y + down, from_x = (flip ? w - 1 - x : x) + right;
        bool inside = from_y >= 0 && from_y < h && from_x >= 0 && from_x < w;
        float value = 0.0f;
        // An index beyond the data set must be noticed: the host does not see what lies in places.
        if (!known)
            value = nanf("");
        else if (inside)
            value = intensity(data[from_y * w + from_x]);
        out[pixel] = value;
    }
}

KERNEL(augment_crop_flip_u8, const uint8_t *data, const uint32_t *places, float *out, size_t examples, int channels,
       int h, int w, int padding) {
    crop_flip(data, places, out, examples, channels, h, w, padding);
}
KERNEL(augment_crop_flip_f32, const float *data, const uint32_t *places, float *out, size_t examples, int channels,
       int h, int w, int padding) {
    crop_flip(data, places, out, examples, channels, h, w, padding);
}
