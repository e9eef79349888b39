//! Colours and dashes of lines: the palette of Okabe and Ito, which colour-blind readers can tell apart, then the
//! same colours dashed.

use plotters::style::RGBColor;

const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// Lengths of dashes, 0 for none.
const DASHES: [i32; 3] = [0, 8, 3];

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub color: RGBColor,
    /// Length of a dash, 0 for a line without gaps.
    pub dash: i32,
}

impl Look {
    /// The look of line `index` of a chart.
    pub fn of(index: usize) -> Self {
        Self {
            color: COLORS[index % COLORS.len()],
            dash: DASHES[index / COLORS.len() % DASHES.len()],
        }
    }
}

/// A grey of the given lightness, from 0 to 255.
pub fn grey(lightness: u8) -> RGBColor {
    RGBColor(lightness, lightness, lightness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eighteen_lines_look_different() {
        let looks: Vec<Look> = (0..18).map(Look::of).collect();
        for (i, look) in looks.iter().enumerate() {
            assert!(!looks[..i].contains(look));
        }
    }
}
