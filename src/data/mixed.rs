//! The labels of images that were mixed in pairs.

use crate::ops::augment::Overlay;

/// What the examples of a batch have beside their labels where images were mixed in pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The class that has the smaller share of each example.
    pub others: Vec<u32>,
    /// That share, from 0 to 1/2.
    pub weights: Vec<f64>,
}

impl Mixed {
    /// Of images of shape (C, H, W) under the blends of their overlays. Of the two classes of an image `labels` keeps the one
    /// with the larger share.
    pub(super) fn of<'a>(
        labels: &mut [u32],
        overlays: impl Iterator<Item = &'a Overlay>,
        shape: [usize; 3],
    ) -> Self {
        let own = labels.to_vec();
        let mut mixed = Self {
            others: own.clone(),
            weights: vec![0.0; own.len()],
        };
        for (position, overlay) in overlays.enumerate() {
            let Some(blend) = overlay.blend else {
                continue;
            };
            let gone = (1.0 - f64::from(blend.own)) * blend.area.share(shape);
            let other = own[blend.partner];
            if gone > 0.5 {
                labels[position] = other;
                mixed.weights[position] = 1.0 - gone;
            } else {
                mixed.others[position] = other;
                mixed.weights[position] = gone;
            }
        }
        mixed
    }

    /// Those of the first `n` examples.
    pub fn first(&self, n: usize) -> Self {
        Self {
            others: self.others[..n].to_vec(),
            weights: self.weights[..n].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::augment::{Area, Blend};

    #[test]
    fn the_label_with_the_larger_share_comes_first() {
        let mut labels = [3, 7, 7];
        let blend = |partner, columns, own| Overlay {
            blend: Some(Blend {
                partner,
                area: Area {
                    top: 0,
                    bottom: 4,
                    left: 0,
                    right: columns,
                },
                own,
            }),
            ..Overlay::default()
        };
        let overlays = [blend(1, 3, 0.0), blend(0, 4, 0.75), Overlay::default()];
        let mixed = Mixed::of(&mut labels, overlays.iter(), [3, 4, 4]);
        assert_eq!(labels, [7, 7, 7]);
        assert_eq!(mixed.others, [3, 3, 7]);
        assert_eq!(mixed.weights, [0.25, 0.25, 0.0]);
    }
}
