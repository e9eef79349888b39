//! The architectures that a spec can name.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use candle_core::Tensor;

use super::architecture::{Architecture, Form, ModelConfig, Pattern};
use crate::nn::{Builder, Module, Network};
use crate::ops::image::Normalize;
use crate::{Error, Result};

/// The classes that an architecture is described for.
const CLASSES: usize = 10;

/// All architectures that have a name of their own; [`Arch::find`] knows others by their [`Pattern`].
pub fn all() -> impl Iterator<Item = &'static Architecture> {
    records().filter(|record| record.file.is_none())
}

/// The patterns of names, with the record of the architectures that they stand for.
pub fn patterns() -> impl Iterator<Item = (&'static Architecture, Pattern)> {
    records().filter_map(|record| Some((record, record.pattern?)))
}

fn records() -> impl Iterator<Item = &'static Architecture> {
    super::FAMILIES.iter().copied().flatten()
}

/// The names of all architectures that have a record.
pub fn names() -> Vec<&'static str> {
    all().map(|record| record.name).collect()
}

/// An architecture by name: its record, or that of a pattern that the name follows.
#[derive(Clone, Debug)]
pub struct Arch {
    name: String,
    record: &'static Architecture,
}

impl Deref for Arch {
    type Target = Architecture;

    fn deref(&self) -> &Architecture {
        self.record
    }
}

impl Arch {
    /// The architecture called `name`; an error says which there are.
    pub fn find(name: &str) -> Result<Self> {
        let record = match all().find(|record| record.name == name) {
            Some(record) => record,
            None => match patterns().find(|(_, pattern)| name.starts_with(pattern.prefix)) {
                Some((record, pattern)) => {
                    (pattern.check)(name)?;
                    record
                }
                None => {
                    let others: Vec<&str> = patterns().map(|(_, pattern)| pattern.name).collect();
                    return Err(Error::spec(format!(
                        "model.arch: unknown architecture \"{name}\"; known: {}, and what {} stand for",
                        names().join(", "),
                        others.join(", ")
                    )));
                }
            },
        };
        Ok(Self {
            name: name.to_string(),
            record,
        })
    }

    /// The shape of the images (channels, height, width) and the number of classes that it is described for; a file's own.
    ///
    /// # Errors
    /// A file that cannot be read, or that leaves them open.
    pub fn form(&self) -> Result<Form> {
        match self.record.file {
            Some(file) => (file.form)(&self.name),
            None => Ok((self.record.image, CLASSES)),
        }
    }

    /// The files that it is read from: none for an architecture of the program.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        self.record
            .file
            .map_or(Ok(Vec::new()), |file| (file.files)(&self.name))
    }

    fn define(&self, b: &Builder, config: &ModelConfig) -> Result<Box<dyn Module>> {
        if let Some(activation) = config.activation {
            b.replace_rectifiers(activation);
        }
        (self.record.define)(b, config, &self.name)
    }
}

/// Builds the architecture called `arch`.
pub fn build(arch: &str, config: &ModelConfig) -> Result<Network> {
    let arch = Arch::find(arch)?;
    Network::build(
        config.seed,
        config.dtype,
        &config.device,
        arch.normalize(config),
        |b| arch.define(b, config),
    )
}

/// What the network that [`build`] makes standardises its images by, if it does.
pub fn normalize(arch: &str, config: &ModelConfig) -> Result<Option<Normalize>> {
    Ok(Arch::find(arch)?.normalize(config))
}

/// The same network with names and shapes but without numbers: quick to build, to be asked and not to be run.
pub fn outline(arch: &str, config: &ModelConfig) -> Result<Network> {
    let arch = Arch::find(arch)?;
    Network::outline(|b| arch.define(b, config))
}

/// The rate of the architecture's dropout layers where none is given; none: it has no such layers.
pub fn dropout(arch: &str) -> Result<Option<f64>> {
    let (image, classes) = Arch::find(arch)?.form()?;
    Ok(outline(arch, &ModelConfig::new(image, classes))?.dropout())
}

/// Brings weights that are published in another form than the architecture's to that form; others stay as they are.
pub fn adapt(arch: &str, state: &mut BTreeMap<String, Tensor>) -> Result<()> {
    (Arch::find(arch)?.adapt)(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::Activation;
    use candle_core::DType;

    #[test]
    fn activations_can_be_replaced() {
        let config = |activation| ModelConfig {
            activation,
            ..ModelConfig::new([3, 16, 16], 10)
        };
        let silu = build("mobilenet_v2", &config(Some(Activation::Silu))).unwrap();
        let relu = build("mobilenet_v2", &config(None)).unwrap();
        let x = candle_core::Tensor::ones((1, 3, 16, 16), DType::F32, &candle_core::Device::Cpu)
            .unwrap();
        let logits = |network: &Network| network.logits(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_ne!(logits(&silu), logits(&relu));
        assert_eq!(silu.activations(), relu.activations());
    }

    /// Robust weights of wide residual networks hold a block that nothing uses.
    #[test]
    fn surplus_tensors_are_named() {
        let network = build("wide_resnet10_1", &ModelConfig::new([3, 8, 8], 10)).unwrap();
        let mut state = network.state().unwrap();
        let unused = "sub_block1.layer.0.bn1.weight".to_string();
        state.insert(unused.clone(), state["fc.bias"].clone());
        state.insert("bn1.num_batches_tracked".into(), state["fc.bias"].clone());
        assert_eq!(network.load(&state).unwrap(), [unused]);
        state.remove("fc.bias");
        let fault = network.load(&state).unwrap_err().to_string();
        let expected = "tensor fc.bias of shape [10] is missing; unused of the weights are 1: \
                        sub_block1.layer.0.bn1.weight [10]";
        assert_eq!(fault, expected);
    }

    #[test]
    fn a_network_knows_whether_it_has_dropout() {
        for (arch, expected) in [
            ("mlp", None),
            ("lenet5", None),
            ("resnet18", None),
            ("mobilenet_v2", Some(0.2)),
            ("vgg16_bn", Some(0.5)),
            ("squeezenet", Some(0.5)),
            ("densenet121", Some(0.0)),
            ("wide_resnet16_4", Some(0.0)),
        ] {
            assert_eq!(dropout(arch).unwrap(), expected, "{arch}");
        }
    }

    #[test]
    fn images_that_are_too_small_are_refused() {
        let config = ModelConfig::new([3, 7, 7], 10);
        for arch in ["vgg11", "densenet121", "squeezenet", "lenet5"] {
            let fault = outline(arch, &config).err().unwrap();
            assert!(fault.to_string().contains("the data has 7x7"), "{fault}");
        }
    }
}
