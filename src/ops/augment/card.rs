//! Crops, flips and overlays on a card.

use candle_core::{DType, Tensor};

use super::{Area, Overlay, Window};
use crate::ops::card::{Call, Card, expect};
use crate::{Error, Result};

pub fn crop_flip(
    card: &dyn Card,
    data: &Tensor,
    windows: &[Window],
    shape: [usize; 3],
    padding: usize,
) -> Result<Tensor> {
    let words = |w: &Window| {
        [
            w.index as u32,
            w.down as u32,
            w.right as u32,
            u32::from(w.flip),
        ]
    };
    let table: Vec<u32> = windows.iter().flat_map(words).collect();
    let table = Tensor::from_vec(table, (windows.len(), 4), card.device())?;
    let [c, h, w] = shape;
    let (examples, batch) = (data.dim(0)?, windows.len());
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
    let out = card.scratch(&[batch, c, h, w], DType::F32)?;
    card.launch(
        &Call::rows("augment", kernel, batch * c, h * w)
            .tensors([data, &table, &out])
            .size(examples)
            .ints([c, h, w, padding]),
    )?;
    Ok(out)
}

pub fn overlay(card: &dyn Card, images: &Tensor, overlays: &[Overlay]) -> Result<Tensor> {
    let (batch, c, h, w) = images.dims4()?;
    expect::indexable("images", &[c, h, w])?;
    expect::tensor("images", images, &[batch, c, h, w], DType::F32)?;
    let words = |area: Area| [area.top, area.bottom, area.left, area.right].map(|at| at as u32);
    // At least one column: a table has no place for none.
    let most = overlays.iter().map(|overlay| overlay.holes.len()).max();
    let most = most.unwrap_or(0).max(1);
    let (mut areas, mut values) = (Vec::new(), Vec::new());
    let (mut blends, mut own) = (Vec::new(), Vec::new());
    for (position, overlay) in overlays.iter().enumerate() {
        for number in 0..most {
            let hole = overlay.holes.get(number);
            areas.extend(words(hole.map_or(Area::default(), |hole| hole.area)));
            values.push(hole.map_or(0.0, |hole| hole.value));
        }
        let blend = overlay.blend;
        blends.push(blend.map_or(position, |blend| blend.partner) as u32);
        blends.extend(words(blend.map_or(Area::default(), |blend| blend.area)));
        own.push(blend.map_or(1.0, |blend| blend.own));
    }
    let areas = Tensor::from_vec(areas, (batch, most * 4), card.device())?;
    let values = Tensor::from_vec(values, (batch, most), card.device())?;
    let blends = Tensor::from_vec(blends, (batch, 5), card.device())?;
    let own = Tensor::from_vec(own, batch, card.device())?;
    let out = card.scratch(&[batch, c, h, w], DType::F32)?;
    card.launch(
        &Call::rows("augment", "augment_overlay", batch * c, h * w)
            .tensors([images, &areas, &values, &blends, &own, &out])
            .ints([c, h, w, most]),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::{Blend, Hole, check, cpu};
    use super::*;
    use crate::ops::card::host::{host, within};

    /// A data set of bytes, and the intensities that they mean.
    fn set(n: usize, shape: [usize; 3]) -> [Tensor; 2] {
        let width = shape.iter().product::<usize>();
        let bytes: Vec<u8> = (0..n * width).map(|i| (1 + i * 7 % 255) as u8).collect();
        let floats: Vec<f32> = bytes.iter().map(|&v| f32::from(v) / 255.0).collect();
        [
            Tensor::from_vec(bytes, (n, width), &Device::Cpu).unwrap(),
            Tensor::from_vec(floats, (n, width), &Device::Cpu).unwrap(),
        ]
    }

    #[test]
    fn crops_and_flips_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for shape in [[3, 32, 32], [1, 5, 7], [5, 3, 3], [2, 1, 70]] {
            for padding in [0, 1, 4] {
                let window = |i: usize| Window {
                    index: i * 5 % 9,
                    down: i % (2 * padding + 1),
                    right: i / 2 % (2 * padding + 1),
                    flip: i.is_multiple_of(3),
                };
                let windows: Vec<Window> = (0..40).map(window).collect();
                for data in set(9, shape) {
                    let found = crop_flip(card, &data, &windows, shape, padding).unwrap();
                    let expected = cpu::crop_flip(&data, &windows, shape, padding).unwrap();
                    within(&found, &expected, 0.0);
                }
            }
        }
    }

    #[test]
    fn without_augmentation_a_batch_is_the_examples_themselves() {
        let Some(card) = host() else { return };
        let [bytes, floats] = set(6, [3, 4, 5]);
        let window = |index| Window {
            index,
            down: 2,
            right: 2,
            flip: false,
        };
        let found = crop_flip(card, &bytes, &[5, 0, 3].map(window), [3, 4, 5], 2).unwrap();
        let rows = Tensor::from_slice(&[5u32, 0, 3], 3, &Device::Cpu).unwrap();
        let expected = floats.index_select(&rows, 0).unwrap();
        within(&found, &expected.reshape((3, 3, 4, 5)).unwrap(), 0.0);
    }

    #[test]
    fn overlays_are_those_of_the_cpu() {
        let Some(card) = host() else { return };
        for [c, h, w] in [[3, 32, 32], [1, 5, 7], [2, 1, 70]] {
            let (batch, mut state) = (11, 1u32);
            let mut below = |most: usize| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as usize % most
            };
            let mut area = || {
                let (top, left) = (below(h), below(w));
                Area {
                    top,
                    bottom: top + below(h - top + 1),
                    left,
                    right: left + below(w - left + 1),
                }
            };
            let overlays: Vec<Overlay> = (0..batch)
                .map(|i| Overlay {
                    holes: (0..i % 3)
                        .map(|n| Hole {
                            area: area(),
                            value: n as f32 / 3.0,
                        })
                        .collect(),
                    blend: (i % 4 > 0).then(|| Blend {
                        partner: (i * 7 + 3) % batch,
                        area: area(),
                        own: (i % 3) as f32 / 3.7,
                    }),
                })
                .collect();
            let [_, floats] = set(batch, [c, h, w]);
            let images = floats.reshape((batch, c, h, w)).unwrap();
            let found = overlay(card, &images, &overlays).unwrap();
            let expected = cpu::overlay(&images, &overlays).unwrap();
            within(&found, &expected, 0.0);
            let none = vec![Overlay::default(); batch];
            within(&overlay(card, &images, &none).unwrap(), &images, 0.0);
        }
    }

    #[test]
    fn what_does_not_fit_the_data_set_is_refused() {
        let Some(card) = host() else { return };
        let (shape, [bytes, _]) = ([1, 2, 2], set(3, [1, 2, 2]));
        let window = Window {
            index: 2,
            down: 0,
            right: 0,
            flip: false,
        };
        assert!(check(&bytes, &[window], shape).is_ok());
        assert!(check(&bytes, &[window], [1, 2, 3]).is_err());
        assert!(check(&bytes, &[Window { index: 3, ..window }], shape).is_err());
        let words = bytes.to_dtype(DType::U32).unwrap();
        assert!(crop_flip(card, &words, &[window], shape, 0).is_err());
    }
}
