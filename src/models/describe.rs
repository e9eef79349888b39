//! What there is to know about an architecture without building it.

use super::architecture::ModelConfig;
use super::preset::LinbpUse;
use super::registry::{Arch, outline};
use crate::Result;

/// An architecture without its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Numbers that an optimizer moves.
    pub parameters: usize,
    /// In the order of the forward pass: the name, and whether the published choice makes it linear under `linbp.train`
    /// and under `linbp.attack`.
    pub activations: Vec<(String, bool, bool)>,
}

/// Describes an architecture for its usual images and 10 classes, or for those of its file.
pub fn describe(name: &str) -> Result<Description> {
    let arch = Arch::find(name)?;
    let (image, classes) = arch.form()?;
    let network = outline(name, &ModelConfig::new(image, classes))?;
    let names = network.activations();
    let linear = |r#use| arch.preset(r#use).linear(names);
    let (train, attack) = (linear(LinbpUse::Train)?, linear(LinbpUse::Attack)?);
    let activations = names.iter().cloned().zip(train).zip(attack);
    let sizes = network.parameters().iter().map(|p| p.tensor().elem_count());
    Ok(Description {
        parameters: sizes.sum(),
        activations: activations.map(|((name, t), a)| (name, t, a)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::registry::names;
    use super::*;

    /// Counted by PyTorch on the definitions in tests/parity/architectures.py.
    #[test]
    fn numbers_of_parameters() {
        for (arch, parameters) in [
            ("mlp", 415310),
            ("lenet5", 61706),
            ("mobilenet_v2", 2236682),
            ("squeezenet", 734986),
            ("resnet18", 11173962),
            ("resnet34", 21282122),
            ("resnet50", 23520842),
            ("resnet101", 42512970),
            ("resnet152", 58156618),
            ("resnext50_32x4d", 22992714),
            ("resnext101_32x8d", 86755146),
            ("densenet121", 6956426),
            ("densenet161", 26482570),
            ("densenet169", 12493450),
            ("densenet201", 18104458),
            ("vgg11", 128807306),
            ("vgg13", 128991818),
            ("vgg16", 134301514),
            ("vgg19", 139611210),
            ("vgg11_bn", 128812810),
            ("vgg13_bn", 128997706),
            ("vgg16_bn", 134309962),
            ("vgg19_bn", 139622218),
            ("resnet20", 269722),
            ("resnet32", 464154),
            ("resnet44", 658586),
            ("resnet56", 853018),
            ("resnet110", 1727962),
            ("preact_resnet18", 11172170),
            ("preact_resnet18_kuangliu", 11171146),
            ("wide_resnet28_10", 36479194),
            ("wide_resnet16_4", 2748890),
        ] {
            assert_eq!(describe(arch).unwrap().parameters, parameters, "{arch}");
        }
    }

    #[test]
    fn every_name_is_found_and_described() {
        for name in names() {
            let record = Arch::find(name).unwrap();
            assert_eq!(record.name, name);
            if record.layers {
                assert!(describe(name).is_err(), "{name} is its layers");
                continue;
            }
            let activations = describe(name).unwrap().activations;
            let mut names: Vec<&String> = activations.iter().map(|(name, ..)| name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{name}: two activations share a name");
        }
        assert!(describe("wide_resnet16_4").is_ok());
        let fault = Arch::find("resnet51").unwrap_err().to_string();
        assert!(
            fault
                .starts_with("model.arch: unknown architecture \"resnet51\"; known: mlp, lenet5, ")
        );
    }
}
