//! A layer of a network that a spec writes down, and the text that it is written as.

use std::fmt;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::kind::{LAYER_KINDS, LayerKind, Words};
use crate::choice::did_you_mean;
use crate::ops::activation::Activation;

/// A layer of a `sequential` network. Kernels and windows are squares, their sides in pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution to `out` channels.
    Conv {
        out: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        groups: usize,
        bias: bool,
    },
    /// Batch normalisation over channels, or over the numbers of a flat input.
    BatchNorm,
    /// ReLU, ReLU6 or SiLU.
    Activation(Activation),
    /// The maximum of each window.
    MaxPool {
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// The mean of each window.
    AvgPool { kernel: usize, stride: usize },
    /// The mean of each channel, as an image of one pixel.
    GlobalAvgPool,
    /// Zeroes numbers with this probability in training.
    Dropout(f64),
    /// An image as a row of numbers, channel by channel.
    Flatten,
    /// A fully connected layer to `out` numbers.
    Linear { out: usize, bias: bool },
    /// `body(x) + shortcut(x)`; a shortcut without layers is the identity.
    Residual {
        body: Vec<Layer>,
        shortcut: Vec<Layer>,
    },
}

impl Layer {
    /// The layer that a text stands for; an error says what was expected and, after a semicolon, why it is not that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let Some(kind) = LAYER_KINDS.iter().find(|kind| kind.name() == name) else {
            let names: Vec<&str> = LAYER_KINDS.iter().map(LayerKind::name).collect();
            let hint = did_you_mean(name, names.iter().copied());
            return Err(format!(
                "a layer ({}) or {{ residual = [...] }}{hint}",
                names.join(", ")
            ));
        };
        let mut words = Words::new(words);
        let read = (kind.read)(&mut words).and_then(|layer| words.end().map(|()| layer));
        read.map_err(|why| format!("\"{}\"; {why}", kind.usage))
    }

    /// Whether two lists of layers compute the same with the same weights, outside training.
    pub fn agree(these: &[Self], those: &[Self]) -> bool {
        let same = |(this, that): (&Self, &Self)| match (this, that) {
            (Self::Dropout(_), Self::Dropout(_)) => true,
            (
                Self::Residual { body, shortcut },
                Self::Residual {
                    body: other,
                    shortcut: side,
                },
            ) => Self::agree(body, other) && Self::agree(shortcut, side),
            (this, that) => this == that,
        };
        these.len() == those.len() && these.iter().zip(those).all(same)
    }
}

impl fmt::Display for Layer {
    /// Its text in a spec, without what is the default; a residual block as the table that it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        let mut option = |name: &str, value: usize, default: usize| {
            if value != default {
                text.push(format!(" {name}={value}"));
            }
        };
        match self {
            Self::Conv {
                out,
                kernel,
                stride,
                padding,
                groups,
                bias,
            } => {
                write!(f, "conv {out} {kernel}x{kernel}")?;
                option("stride", *stride, 1);
                option("pad", *padding, 0);
                option("groups", *groups, 1);
                if !bias {
                    text.push(" bias=false".into());
                }
            }
            Self::BatchNorm => f.write_str("batch-norm")?,
            Self::Activation(Activation::Relu) => f.write_str("relu")?,
            Self::Activation(Activation::Relu6) => f.write_str("relu6")?,
            Self::Activation(Activation::Silu) => f.write_str("silu")?,
            Self::Activation(Activation::Identity) => f.write_str("identity")?,
            Self::MaxPool {
                kernel,
                stride,
                padding,
            } => {
                write!(f, "max-pool {kernel}")?;
                option("stride", *stride, *kernel);
                option("pad", *padding, 0);
            }
            Self::AvgPool { kernel, stride } => {
                write!(f, "avg-pool {kernel}")?;
                option("stride", *stride, *kernel);
            }
            Self::GlobalAvgPool => f.write_str("global-avg-pool")?,
            Self::Dropout(rate) => write!(f, "dropout {rate}")?,
            Self::Flatten => f.write_str("flatten")?,
            Self::Linear { out, bias } => {
                write!(f, "linear {out}")?;
                if !bias {
                    text.push(" bias=false".into());
                }
            }
            Self::Residual { body, shortcut } => {
                write!(f, "{{ residual = [{}]", list(body))?;
                if !shortcut.is_empty() {
                    write!(f, ", shortcut = [{}]", list(shortcut))?;
                }
                f.write_str(" }")?;
            }
        }
        f.write_str(&text.concat())
    }
}

/// Layers as the items of a list in a spec.
pub(super) fn list(layers: &[Layer]) -> String {
    let items = layers.iter().map(|layer| match layer {
        Layer::Residual { .. } => layer.to_string(),
        _ => format!("\"{layer}\""),
    });
    items.collect::<Vec<_>>().join(", ")
}

impl Serialize for Layer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let Self::Residual { body, shortcut } = self else {
            return serializer.collect_str(self);
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("residual", body)?;
        if !shortcut.is_empty() {
            map.serialize_entry("shortcut", shortcut)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, deny_unknown_fields)]
        enum Written {
            Text(String),
            Block {
                residual: Vec<Layer>,
                #[serde(default)]
                shortcut: Vec<Layer>,
            },
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Self::parse(&text).map_err(de::Error::custom),
            Written::Block { residual, shortcut } => Ok(Self::Residual {
                body: residual,
                shortcut,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_to_themselves() {
        for text in [
            "conv 32 3x3",
            "conv 64 5x5 stride=2 pad=2 groups=4 bias=false",
            "batch-norm",
            "relu",
            "relu6",
            "silu",
            "max-pool 2",
            "max-pool 3 stride=2 pad=1",
            "avg-pool 4",
            "avg-pool 3 stride=1",
            "global-avg-pool",
            "dropout 0.5",
            "flatten",
            "linear 10",
            "linear 10 bias=false",
        ] {
            assert_eq!(Layer::parse(text).unwrap().to_string(), text);
        }
        let spaced = Layer::parse(" conv  32 3x3   pad=0 stride=1 bias=true ").unwrap();
        assert_eq!(spaced.to_string(), "conv 32 3x3");
        let text =
            r#"[{"residual":["conv 8 3x3 pad=1","relu"],"shortcut":["conv 8 1x1"]},"flatten"]"#;
        let layers: Vec<Layer> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&layers).unwrap(), text);
        assert_eq!(
            list(&layers),
            r#"{ residual = ["conv 8 3x3 pad=1", "relu"], shortcut = ["conv 8 1x1"] }, "flatten""#
        );
        assert!(serde_json::from_str::<Layer>(r#"{"residual":[],"body":[]}"#).is_err());
    }

    #[test]
    fn faults_say_what_a_layer_is_like() {
        for (text, expected) in [
            ("conv 32", "the kernel KxK is missing"),
            (
                "conv 0 3x3",
                "OUT is a whole number from 1 to 1048576, not \"0\"",
            ),
            (
                "conv 32 3x5",
                "the kernel is a square such as 3x3, not \"3x5\"",
            ),
            ("conv 32 3", "the kernel is a square such as 3x3, not \"3\""),
            (
                "conv 32 99999999999999999999x3",
                "the kernel is a square such as 3x3",
            ),
            ("conv 32 3x3 padding=1", "there is no \"padding\""),
            ("conv 32 3x3 pad=1 pad=2", "\"pad\" stands there twice"),
            (
                "conv 32 3x3 pad=-1",
                "pad is a whole number from 0 to 64, not \"-1\"",
            ),
            ("conv 32 3x3 bias=no", "bias is true or false, not \"no\""),
            ("relu 3", "\"3\" is too much"),
            ("max-pool 2 pad=2", "a pad is at most half of the window"),
            (
                "max-pool 16",
                "K is a whole number from 1 to 15, not \"16\"",
            ),
            ("dropout 1", "P is a number in [0, 1), not \"1\""),
            ("dropout nan", "P is a number in [0, 1), not \"nan\""),
            ("linear", "OUT is missing"),
            ("linaer 10", "; did you mean \"linear\"?"),
            ("", "a layer (conv, batch-norm, "),
        ] {
            let fault = Layer::parse(text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }

    #[test]
    fn rates_of_dropout_leave_weights_what_they_are() {
        let layers = |text: &str| serde_json::from_str::<Vec<Layer>>(text).unwrap();
        let own = layers(r#"["dropout 0.5",{"residual":["dropout 0.1","relu"]}]"#);
        let other = layers(r#"["dropout 0",{"residual":["dropout 0.2","relu"]}]"#);
        let unlike = layers(r#"["dropout 0.5",{"residual":["dropout 0.1","silu"]}]"#);
        assert!(Layer::agree(&own, &other) && !Layer::agree(&own, &unlike));
        assert!(!Layer::agree(&own, &own[..1]));
    }
}
