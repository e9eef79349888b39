// Batches gathered from a data set that lies on the card, with random crops and flips, and overlays on them, as cpu.rs
// defines them.
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

// A rectangle is four words: its first row, the one after its last, and the same of its columns.
DEVICE bool within(const uint32_t *area, int y, int x) {
    return y >= (int)area[0] && y < (int)area[1] && x >= (int)area[2] && x < (int)area[3];
}

// A pixel of an image as the last of its holes over it leaves it.
DEVICE float erased(float value, const uint32_t *areas, const float *values, int most, int y, int x) {
    for (int i = 0; i < most; ++i)
        if (within(areas + 4 * i, y, x)) value = values[i];
    return value;
}

// areas and values hold so many holes an image, blends its partner's position and the rectangle where that comes in. The
// products are exact in double, so that it makes no difference whether the compiler fuses them with the sum.
KERNEL(augment_overlay, const float *images, const uint32_t *areas, const float *values, const uint32_t *blends,
       const float *own, float *out, int channels, int h, int w, int most) {
    size_t image = blockIdx.x / channels, channel = blockIdx.x % channels, plane = (size_t)(h * w);
    const uint32_t *blend = blends + image * 5;
    size_t partner = blend[0];
    float share = own[image];
    EACH_THREAD(t) {
        int pixel = blockIdx.y * blockDim.x + t;
        if (pixel >= h * w) continue;
        int y = pixel / w, x = pixel - y * w;
        float value = erased(images[blockIdx.x * plane + pixel], areas + image * 4 * most, values + image * most, most, y, x);
        if (within(blend + 1, y, x)) {
            float other = images[(partner * channels + channel) * plane + pixel];
            other = erased(other, areas + partner * 4 * most, values + partner * most, most, y, x);
            value = (float)((double)share * (double)value + (double)(1.0f - share) * (double)other);
        }
        out[blockIdx.x * plane + pixel] = value;
    }
}
