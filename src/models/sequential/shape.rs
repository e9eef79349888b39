//! The shapes that run through the layers of a network, and where they do not fit.

use std::fmt;

use super::layer::Layer;

/// What one image has become between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Channels, height, width.
    Image([usize; 3]),
    /// A row of so many numbers.
    Flat(usize),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image([c, h, w]) => write!(f, "{c}x{h}x{w}"),
            Self::Flat(1) => f.write_str("1 number"),
            Self::Flat(count) => write!(f, "{count} numbers"),
        }
    }
}

/// The most numbers that an image may become: products of these with the width of a layer do not overflow.
const MOST: usize = 1 << 31;

/// Why a layer does not take a shape, and what would leave it all the same, where that is known.
type Misfit = (String, Option<Shape>);

impl Layer {
    /// What leaves a layer that is no residual block where `x` enters it.
    fn output(&self, x: Shape) -> Result<Shape, Misfit> {
        match (self, x) {
            (
                Self::Conv {
                    out,
                    kernel,
                    stride,
                    padding,
                    groups,
                    ..
                },
                Shape::Image([c, h, w]),
            ) => {
                let y = windows([*out, h, w], *kernel, *stride, *padding, x)?;
                match c.is_multiple_of(*groups) && out.is_multiple_of(*groups) {
                    true => Ok(y),
                    false => Err((
                        format!(
                            "expected channels that {groups} groups divide, found {x} for {out} channels"
                        ),
                        Some(y),
                    )),
                }
            }
            (
                Self::MaxPool {
                    kernel,
                    stride,
                    padding,
                },
                Shape::Image(image),
            ) => windows(image, *kernel, *stride, *padding, x),
            (Self::AvgPool { kernel, stride }, Shape::Image(image)) => {
                windows(image, *kernel, *stride, 0, x)
            }
            (Self::GlobalAvgPool, Shape::Image([c, ..])) => Ok(Shape::Image([c, 1, 1])),
            (Self::Flatten, Shape::Image(sides)) => {
                let count = sides.into_iter().try_fold(1usize, usize::checked_mul);
                let count = count.filter(|count| *count <= MOST);
                count.map(Shape::Flat).ok_or_else(|| {
                    let why = format!(
                        "expected an image of at most {MOST} numbers, found {x}; pool it first"
                    );
                    (why, None)
                })
            }
            (Self::Linear { out, .. }, Shape::Flat(_)) => Ok(Shape::Flat(*out)),
            (Self::Linear { out, .. }, Shape::Image(_)) => Err((
                format!("expected a flat input, found {x}; put \"flatten\" before it"),
                Some(Shape::Flat(*out)),
            )),
            (
                Self::Conv { .. }
                | Self::MaxPool { .. }
                | Self::AvgPool { .. }
                | Self::GlobalAvgPool,
                Shape::Flat(_),
            ) => Err((
                format!("expected an image, found {x}; put \"flatten\" after it"),
                None,
            )),
            _ => Ok(x),
        }
    }
}

/// The image of the outputs of windows over an image.
fn windows(
    [c, h, w]: [usize; 3],
    kernel: usize,
    stride: usize,
    padding: usize,
    x: Shape,
) -> Result<Shape, Misfit> {
    let side = |side: usize| Some((side + 2 * padding).checked_sub(kernel)? / stride + 1);
    match (side(h), side(w)) {
        (Some(h), Some(w)) => Ok(Shape::Image([c, h, w])),
        _ => Err((
            format!(
                "expected an image of at least {kernel}x{kernel} with its padding of {padding}, found {x}"
            ),
            None,
        )),
    }
}

/// What leaves `layers` where `x` enters them; nothing where a fault hides it. `path` names the list in faults.
pub(super) fn after(
    layers: &[Layer],
    path: &str,
    mut x: Shape,
    faults: &mut Vec<String>,
) -> Option<Shape> {
    for (number, layer) in layers.iter().enumerate() {
        let path = format!("{path}[{number}]");
        x = match layer {
            Layer::Residual { body, shortcut } => {
                let main = after(body, &format!("{path}.residual"), x, faults);
                let side = after(shortcut, &format!("{path}.shortcut"), x, faults);
                if let (Some(main), Some(side)) = (main, side)
                    && main != side
                {
                    faults.push(format!(
                        "{path}: expected a residual branch and a shortcut of one shape, found {main} and {side} where \
                         {x} enters"
                    ));
                }
                main.or(side)?
            }
            layer => match layer.output(x) {
                Ok(y) => y,
                Err((why, then)) => {
                    faults.push(format!("{path} \"{layer}\": {why}"));
                    then?
                }
            },
        };
    }
    Some(x)
}

/// Every fault of layers that are to make `classes` numbers of an image.
pub(super) fn faults(layers: &[Layer], image: [usize; 3], classes: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let end = after(layers, "model.layers", Shape::Image(image), &mut faults);
    if let Some(end) = end.filter(|end| *end != Shape::Flat(classes)) {
        let last = layers.len().saturating_sub(1);
        let text = match layers.last() {
            Some(Layer::Residual { .. }) | None => String::new(),
            Some(layer) => format!(" \"{layer}\""),
        };
        faults.push(format!(
            "model.layers[{last}]{text}: expected {classes} numbers after the last layer, one a class of the data, found \
             {end}; end with \"linear {classes}\""
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<String> {
        let layers: Vec<Layer> = serde_json::from_str(text).unwrap();
        faults(&layers, [3, 8, 8], 10)
    }

    #[test]
    fn shapes_that_fit() {
        for text in [
            r#"["conv 6 3x3 pad=1 groups=3","batch-norm","relu","max-pool 3 stride=2 pad=1","flatten","linear 10"]"#,
            r#"["flatten","flatten","batch-norm","dropout 0.5","linear 10"]"#,
            r#"["conv 10 8x8","flatten"]"#,
            r#"["conv 10 1x1","avg-pool 2","global-avg-pool","flatten"]"#,
            r#"[{"residual":["conv 4 3x3 pad=1 stride=2"],"shortcut":["conv 4 1x1 stride=2"]},"flatten","linear 10"]"#,
        ] {
            assert_eq!(faults_of(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_fault_is_named_with_its_layer_and_what_arrives() {
        for (text, expected) in [
            (
                r#"["conv 64 3x3 pad=1","linear 10"]"#,
                vec![
                    "model.layers[1] \"linear 10\": expected a flat input, found 64x8x8; put \"flatten\" before it",
                ],
            ),
            (
                r#"["conv 4 3x3 groups=2","conv 8 9x9","flatten","linear 10"]"#,
                vec![
                    "model.layers[0] \"conv 4 3x3 groups=2\": expected channels that 2 groups divide, found 3x8x8 for 4 \
                     channels",
                    "model.layers[1] \"conv 8 9x9\": expected an image of at least 9x9 with its padding of 0, found 4x6x6",
                ],
            ),
            (
                r#"["flatten","linear 64","max-pool 2"]"#,
                vec![
                    "model.layers[2] \"max-pool 2\": expected an image, found 64 numbers; put \"flatten\" after it",
                ],
            ),
            (
                r#"["linear 5","relu"]"#,
                vec![
                    "model.layers[0] \"linear 5\": expected a flat input, found 3x8x8; put \"flatten\" before it",
                    "model.layers[1] \"relu\": expected 10 numbers after the last layer, one a class of the data, found 5 \
                     numbers; end with \"linear 10\"",
                ],
            ),
            (
                r#"[{"residual":["conv 4 3x3","linear 3"]},{"residual":["relu","conv 4 2x2"]},"flatten","linear 10"]"#,
                vec![
                    "model.layers[0].residual[1] \"linear 3\": expected a flat input, found 4x6x6; put \"flatten\" before it",
                    "model.layers[0]: expected a residual branch and a shortcut of one shape, found 3 numbers and 3x8x8 where \
                     3x8x8 enters",
                    "model.layers[1].residual[1] \"conv 4 2x2\": expected an image, found 3 numbers; put \"flatten\" after it",
                ],
            ),
            (
                r#"["conv 1048576 1x1 pad=64","flatten","linear 10"]"#,
                vec![
                    "model.layers[1] \"flatten\": expected an image of at most 2147483648 numbers, found 1048576x136x136; \
                     pool it first",
                ],
            ),
        ] {
            assert_eq!(faults_of(text), expected, "{text}");
        }
    }
}
