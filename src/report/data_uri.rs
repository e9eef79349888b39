//! Small images inside an SVG: PNG bytes as a data URI.

use crate::data::png::encode;

/// An image of `channels` x `height` x `width` numbers in \[0,1\], channel by channel, as a PNG data URI; `None` for
/// images that are neither grey nor RGB.
pub fn png(pixels: &[f32], shape: [usize; 3]) -> Option<String> {
    Some(format!(
        "data:image/png;base64,{}",
        base64(&encode(pixels, shape)?)
    ))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for position in 0..4 {
            let six = (bits >> (18 - 6 * position)) & 63;
            text.push(match position <= chunk.len() {
                true => ALPHABET[six as usize] as char,
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

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
