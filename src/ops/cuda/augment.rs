//! Batches gathered on the card from a data set that lies there, with random crops and flips, see
//! [`crate::data::augment`].

use candle_core::{DType, Tensor};

use super::{Call, Card, expect};
use crate::{Error, Result};

/// The images `(B, C, H, W)`, float32, that `places (B, 4)` of type u32 names in `data (N, C H W)` of images of
/// `shape`, (C, H, W). Data is 8-bit (`v` means the intensity `v / 255`) or float32.
///
/// A place is an index, the shifts down and right of the window in the image with `padding` zero pixels on each side,
/// and 1 where the window is mirrored. So crops come before flips, as in the usual list; shifts that equal the padding
/// crop nothing. A flip before the crop is the same call with `2 padding - right` in place of right; more than one crop
/// or flip would have to be put together by whoever makes the places. An index outside the data set gives an image of
/// not-a-number: places lie on the card, where the host does not look.
pub fn crop_flip(
    card: &dyn Card,
    data: &Tensor,
    places: &Tensor,
    shape: [usize; 3],
    padding: usize,
) -> Result<Tensor> {
    let [c, h, w] = shape;
    let (examples, batch) = (data.dim(0)?, places.dim(0)?);
    let kernel = match data.dtype() {
        DType::U8 => "augment_crop_flip_u8",
        DType::F32 => "augment_crop_flip_f32",
        other => {
            return Err(Error::failed(format!(
                "data sets lie on a card as u8 or f32, not as {other:?}"
            )));
        }
    };
    expect::indexable("images", &shape)?;
    expect::indexable("a padding", &[2, padding.max(h).max(w), 2])?;
    expect::tensor("a data set", data, &[examples, c * h * w], data.dtype())?;
    expect::tensor("places in a data set", places, &[batch, 4], DType::U32)?;
    let out = card.scratch(&[batch, c, h, w], DType::F32)?;
    card.launch(
        &Call::rows("augment", kernel, batch * c, h * w)
            .pointer(card.address(data)?)
            .pointer(card.address(places)?)
            .pointer(card.address(&out)?)
            .size(examples)
            .int(c)
            .int(h)
            .int(w)
            .int(padding),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Augmentation;
    use crate::ops::cuda::host::{host, within};
    use crate::rng::{Purpose, stream};
    use candle_core::Device;
    use rand::Rng;

    const CPU: &Device = &Device::Cpu;

    /// A data set of bytes, and the intensities that they mean.
    fn set(n: usize, shape: [usize; 3]) -> (Tensor, Tensor, Vec<f32>) {
        let width = shape.iter().product::<usize>();
        let bytes: Vec<u8> = (0..n * width).map(|i| (1 + i * 7 % 255) as u8).collect();
        let floats: Vec<f32> = bytes.iter().map(|&v| f32::from(v) / 255.0).collect();
        (
            Tensor::from_slice(&bytes, (n, width), CPU).unwrap(),
            Tensor::from_slice(&floats, (n, width), CPU).unwrap(),
            floats,
        )
    }

    #[test]
    fn crops_and_flips_are_those_of_the_loader() {
        let Some(card) = host() else { return };
        for shape in [[3, 32, 32], [1, 5, 7], [5, 3, 3], [2, 1, 70]] {
            for padding in [0, 1, 4] {
                let (n, batch) = (9, 40);
                let width = shape.iter().product::<usize>();
                let (bytes, floats, values) = set(n, shape);
                let (mut places, mut mirrored) = (Vec::new(), Vec::new());
                let (mut expected, mut flip_first) = (Vec::new(), Vec::new());
                for i in 0..batch {
                    let index = i * 5 % n;
                    let rng = || stream(3, Purpose::Augment, 0, 0, i as u64);
                    let original = &values[index * width..(index + 1) * width];
                    let apply = |augmentation: Augmentation, image: &mut Vec<f32>, rng: &mut _| {
                        augmentation.apply(image, shape, &mut Vec::new(), rng);
                    };
                    let crop = Augmentation::RandomCrop { padding };
                    let (mut image, mut draws) = (original.to_vec(), rng());
                    apply(crop, &mut image, &mut draws);
                    apply(Augmentation::HorizontalFlip, &mut image, &mut draws);
                    expected.extend(image);

                    // The loader's draws, in its order.
                    let mut draws = rng();
                    let down = draws.random_range(0..=2 * padding as u64) as u32;
                    let right = draws.random_range(0..=2 * padding as u64) as u32;
                    let flip = u32::from(draws.random::<bool>());
                    places.extend([index as u32, down, right, flip]);

                    let (mut image, mut draws) = (original.to_vec(), rng());
                    image.chunks_exact_mut(shape[2]).for_each(<[f32]>::reverse);
                    apply(crop, &mut image, &mut draws);
                    flip_first.extend(image);
                    mirrored.extend([index as u32, down, 2 * padding as u32 - right, 1]);
                }
                let [c, h, w] = shape;
                let places = Tensor::from_slice(&places, (batch, 4), CPU).unwrap();
                let expected = Tensor::from_slice(&expected, (batch, c, h, w), CPU).unwrap();
                for data in [&bytes, &floats] {
                    let found = crop_flip(card, data, &places, shape, padding).unwrap();
                    within(&found, &expected, 0.0);
                }
                let places = Tensor::from_slice(&mirrored, (batch, 4), CPU).unwrap();
                let expected = Tensor::from_slice(&flip_first, (batch, c, h, w), CPU).unwrap();
                let found = crop_flip(card, &bytes, &places, shape, padding).unwrap();
                within(&found, &expected, 0.0);
            }
        }
    }

    #[test]
    fn without_augmentation_a_batch_is_the_examples_themselves() {
        let Some(card) = host() else { return };
        let shape = [3, 4, 5];
        let (bytes, floats, _) = set(6, shape);
        let places = [5u32, 2, 2, 0, 0, 2, 2, 0, 3, 2, 2, 0];
        let places = Tensor::from_slice(&places, (3, 4), CPU).unwrap();
        let found = crop_flip(card, &bytes, &places, shape, 2).unwrap();
        let rows = Tensor::from_slice(&[5u32, 0, 3], 3, CPU).unwrap();
        let expected = floats.index_select(&rows, 0).unwrap();
        within(&found, &expected.reshape((3, 3, 4, 5)).unwrap(), 0.0);
    }

    #[test]
    fn what_is_outside_the_data_set_is_noticed() {
        let Some(card) = host() else { return };
        let shape = [1, 2, 2];
        let (bytes, _, _) = set(3, shape);
        let places = Tensor::from_slice(&[3u32, 0, 0, 0, 2, 0, 0, 0], (2, 4), CPU).unwrap();
        let found = crop_flip(card, &bytes, &places, shape, 0).unwrap();
        let values = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values[..4].iter().all(|v| v.is_nan()));
        assert!(values[4..].iter().all(|v| v.is_finite()));
        assert!(crop_flip(card, &bytes, &places, [1, 2, 3], 0).is_err());
        let wide = places.to_dtype(DType::I64).unwrap();
        assert!(crop_flip(card, &bytes, &wide, shape, 0).is_err());
        let words = bytes.to_dtype(DType::U32).unwrap();
        assert!(crop_flip(card, &words, &places, shape, 0).is_err());
    }
}
