//! Small images inside an SVG: PNG bytes as a data URI.

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::data::png::encode;

/// An image of `channels` x `height` x `width` numbers in \[0,1\], channel by channel, as a PNG data URI; `None` for
/// images that are neither grey nor RGB.
pub fn png(pixels: &[f32], shape: [usize; 3]) -> Option<String> {
    Some(format!(
        "data:image/png;base64,{}",
        BASE64_STANDARD.encode(encode(pixels, shape)?)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_rgb_are_drawn_and_others_are_not() {
        assert!(
            png(&[0.0, 0.5, 1.0, 2.0], [1, 2, 2])
                .unwrap()
                .starts_with("data:image/png;base64,iVBOR")
        );
        assert!(png(&[0.5; 12], [3, 2, 2]).is_some());
        assert!(png(&[0.5; 8], [2, 2, 2]).is_none());
    }
}
