//! Plans of linear backpropagation for a network: what the backward pass does otherwise than the forward pass says.

use super::layers::Layers;
use super::preset::{KEY, LinbpUse, matching, unmatched};
use super::registry::Arch;
use crate::nn::{BackwardPlan, Network, Param};
use crate::{Error, Result};

/// The plan that makes the activations of `layers` linear. A name that matches nothing is an error.
pub fn linear_plan(
    arch: &str,
    network: &Network,
    layers: &Layers,
    r#use: LinbpUse,
) -> Result<BackwardPlan> {
    let arch = Arch::find(arch)?;
    let linear = linear_activations(&arch, network.activations(), layers, r#use)?;
    Ok(BackwardPlan::new(linear))
}

/// The plan with its residual branches rescaled, see [`BackwardPlan::rescaled`]. An error for architectures that do not say
/// where their branches are, and for plans that change none. The paper's own experiments leave the ReLUs after the additions true, and start in
/// `layer3.1`: for a ResNet-50 the layers `["layer3.[1-9].relu[12]", "layer4.*.relu[12]"]`.
pub fn rescaled(arch: &str, network: &Network, plan: BackwardPlan) -> Result<BackwardPlan> {
    let record = Arch::find(arch)?;
    if record.in_branch.is_none() {
        return Err(Error::spec(format!(
            "linbp.variant: \"rescaled\" brings the residual branches of ResNets, ResNeXts and sequential networks to scale, and \
             {arch} is none of them: choose \"plain\""
        )));
    }
    let mut names = network.activations().iter().enumerate();
    if !names.any(|(index, name)| plan.chooses(index) && record.is_in_branch(name)) {
        return Err(Error::spec(
            "linbp.variant: \"rescaled\" changes nothing here: linbp.layers makes no activation inside a residual branch \
             linear, such as layer4.0.relu1",
        ));
    }
    Ok(plan.rescaled())
}

/// The plan with the gradients of its residual branches multiplied, see [`BackwardPlan::with_branch_decay`]. An error for
/// networks that do not say where their branches are, or have none.
pub fn decayed(
    arch: &str,
    network: &Network,
    plan: BackwardPlan,
    decay: f64,
) -> Result<BackwardPlan> {
    let record = Arch::find(arch)?;
    let parts = network.parameters().iter().map(Param::name);
    let mut names = parts.chain(network.activations().iter().map(String::as_str));
    if decay == 1.0 || names.any(|name| record.is_in_branch(name)) {
        return Ok(plan.with_branch_decay(decay));
    }
    Err(Error::spec(format!(
        "linbp.branch_decay: {decay} is for the residual branches of ResNets, ResNeXts and sequential networks, and this \
         {arch} has none: leave it at 1"
    )))
}

/// The plan with its max-pools softened, see [`BackwardPlan::with_softmax_pools`]. An error for networks that have none.
pub fn softened(
    arch: &str,
    network: &Network,
    plan: BackwardPlan,
    temperature: f64,
) -> Result<BackwardPlan> {
    if network.has_max_pool() {
        return Ok(plan.with_softmax_pools(temperature));
    }
    Err(Error::spec(format!(
        "linbp.max_pool: \"softmax\" is for max-pools, and this {arch} has none: leave it at \"max\""
    )))
}

/// For each activation whether `layers` makes it linear. A name that matches nothing is an error, and so is a default
/// that leaves nothing linear.
pub(super) fn linear_activations(
    arch: &Arch,
    names: &[String],
    layers: &Layers,
    r#use: LinbpUse,
) -> Result<Vec<bool>> {
    match layers {
        Layers::All => Ok(vec![true; names.len()]),
        Layers::None => Ok(vec![false; names.len()]),
        Layers::Names(globs) => matching(names, globs),
        Layers::Search => Err(Error::failed(
            "linbp.layers: \"search\" is still to be carried out",
        )),
        Layers::From(first) => {
            let start = names
                .iter()
                .position(|name| name == first)
                .ok_or_else(|| unmatched(KEY, &format!("from:{first}"), names))?;
            Ok((0..names.len()).map(|i| i >= start).collect())
        }
        Layers::Default => {
            let linear = arch.preset(r#use).linear(names)?;
            if linear.contains(&true) {
                return Ok(linear);
            }
            if arch.has_weights() {
                return Err(Error::spec(
                    "linbp.layers: there is no published choice of activations for a network of one's own: name some \
                     (`runner models ARCH` lists them), or choose \"all\"",
                ));
            }
            Err(Error::spec(format!(
                "linbp.layers: \"default\" makes none of this {}'s activations linear ({}): name some",
                arch.name,
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::architecture::ModelConfig;
    use super::super::describe::describe;
    use super::super::registry::{build, outline};
    use super::super::stem::Stem;
    use super::*;
    use crate::nn::trace::Operation;

    fn linear(arch: &str, r#use: LinbpUse) -> Vec<String> {
        let activations = describe(arch).unwrap().activations.into_iter();
        let chosen = activations.filter(|(_, train, attack)| match r#use {
            LinbpUse::Train => *train,
            LinbpUse::Attack => *attack,
        });
        chosen.map(|(name, ..)| name).collect()
    }

    #[test]
    fn published_choices() {
        for (arch, expected) in [
            ("mlp", "relu2 relu3"),
            ("lenet5", "relu3 relu4"),
            (
                "vgg16",
                "features.25 features.27 features.29 classifier.1 classifier.4",
            ),
            (
                "vgg16_bn",
                "features.36 features.39 features.42 classifier.1 classifier.4",
            ),
            (
                "vgg11",
                "features.14 features.17 features.19 classifier.1 classifier.4",
            ),
            (
                "resnet18",
                "layer4.0.relu1 layer4.0.relu2 layer4.1.relu1 layer4.1.relu2",
            ),
            (
                "mobilenet_v2",
                "features.17.conv.0.2 features.17.conv.1.2 features.18.2",
            ),
            ("wide_resnet28_10", "relu"),
            ("dm_wide_resnet28_10", "relu"),
            (
                "preact_resnet18",
                "layer4.0.relu1 layer4.0.relu2 layer4.1.relu1 layer4.1.relu2 relu",
            ),
            (
                "squeezenet",
                "Fire8.squeeze.2 Fire8.relu Fire9.squeeze.2 Fire9.relu",
            ),
        ] {
            for r#use in [LinbpUse::Train, LinbpUse::Attack] {
                assert_eq!(linear(arch, r#use).join(" "), expected, "{arch}");
            }
        }
    }

    #[test]
    fn resnets_last_stage_is_linear_throughout() {
        for (arch, last, count) in [
            ("resnet34", "layer4.", 6),
            ("resnet50", "layer4.", 9),
            ("resnext101_32x8d", "layer4.", 9),
            ("resnet20", "layer3.", 6),
            ("resnet110", "layer3.", 36),
        ] {
            let names = linear(arch, LinbpUse::Attack);
            assert_eq!(names.len(), count, "{arch}");
            assert!(names.iter().all(|name| name.starts_with(last)));
        }
    }

    #[test]
    fn densenets_last_transition_is_linear_in_attacks_alone() {
        let train = linear("densenet121", LinbpUse::Train);
        let attack = linear("densenet121", LinbpUse::Attack);
        assert_eq!(train.len(), 2 * 16 + 1);
        assert_eq!(attack[0], "features.transition3.relu");
        assert_eq!(attack[1..], train);
        assert_eq!(train[0], "features.denseblock4.denselayer1.relu1");
        assert_eq!(train.last().unwrap(), "features.relu5");
    }

    #[test]
    fn branches_are_rescaled_where_there_are_any() {
        let fault = |arch: &str, layers: Layers| {
            let image = Arch::find(arch).unwrap().image;
            let network = outline(arch, &ModelConfig::new(image, 10)).unwrap();
            let plan = linear_plan(arch, &network, &layers, LinbpUse::Attack).unwrap();
            match rescaled(arch, &network, plan) {
                Ok(plan) => {
                    assert!(plan.is_rescaled());
                    String::new()
                }
                Err(error) => error.to_string(),
            }
        };
        let named = |glob: &str| Layers::Names(vec![glob.into()]);
        for arch in ["resnet18", "resnet20", "resnext50_32x4d"] {
            assert_eq!(fault(arch, Layers::Default), "", "{arch}");
            assert_eq!(fault(arch, named("layer1.0.relu1")), "", "{arch}");
            assert!(fault(arch, named("relu")).contains("changes nothing here"));
        }
        assert!(fault("resnet18", named("layer?.*.relu2")).contains("changes nothing here"));
        assert_eq!(fault("resnet50", named("layer?.*.relu2")), "");
        assert!(fault("resnet50", named("layer?.*.relu3")).contains("changes nothing here"));
        assert!(fault("vgg16", Layers::All).ends_with("vgg16 is none of them: choose \"plain\""));
    }

    #[test]
    fn branches_decay_and_pools_soften_where_there_are_any() {
        let faults = |arch: &str| {
            let image = Arch::find(arch).unwrap().image;
            let network = outline(arch, &ModelConfig::new(image, 10)).unwrap();
            let plan = BackwardPlan::none();
            let decayed = decayed(arch, &network, plan.clone(), 0.5);
            let softened = softened(arch, &network, plan.clone(), 10.0);
            for plan in [&decayed, &softened].into_iter().flatten() {
                assert_ne!(*plan, BackwardPlan::none(), "{arch}");
            }
            let same = super::decayed(arch, &network, plan.clone(), 1.0);
            assert_eq!(same.unwrap(), plan, "{arch}");
            [decayed.is_err(), softened.is_err()]
        };
        for (arch, expected) in [
            ("resnet18", [false, false]),
            ("resnext50_32x4d", [false, false]),
            ("resnet20", [false, true]),
            ("vgg11", [true, false]),
            ("lenet5", [true, false]),
            ("squeezenet", [true, false]),
            ("densenet121", [true, false]),
            ("mobilenet_v2", [true, true]),
            ("wide_resnet10_1", [true, true]),
        ] {
            assert_eq!(faults(arch), expected, "{arch}");
        }
    }

    /// What definitions note of their max-pools is what a pass goes through.
    #[test]
    fn networks_know_whether_they_have_a_max_pool() {
        let pooled = r#"["max-pool 2", "flatten", "linear 10"]"#;
        let bare = r#"["flatten", "linear 10"]"#;
        for (arch, image, stem, layers) in [
            ("mlp", [1, 28, 28], None, None),
            ("lenet5", [1, 28, 28], None, None),
            ("squeezenet", [3, 8, 8], None, None),
            ("resnet18", [3, 8, 8], None, None),
            ("resnet18", [3, 8, 8], Some(Stem::Plain), None),
            ("resnet18", [3, 32, 32], Some(Stem::ImageNet), None),
            ("mobilenet_v2", [3, 8, 8], None, None),
            ("resnet20", [3, 8, 8], None, None),
            ("sequential", [1, 4, 4], None, Some(pooled)),
            ("sequential", [1, 4, 4], None, Some(bare)),
        ] {
            let layers = layers.map(|layers| serde_json::from_str(layers).unwrap());
            let config = ModelConfig {
                stem,
                layers,
                ..ModelConfig::new(image, 10)
            };
            let network = build(arch, &config).unwrap();
            let layers = network.trace(image).unwrap().layers;
            let operations = layers.into_iter().flat_map(|layer| layer.operations);
            let mut pools = operations.filter(|one| matches!(one, Operation::MaxPool(_)));
            let has_pool = pools.next().is_some();
            assert_eq!(network.has_max_pool(), has_pool, "{arch} {stem:?}");
        }
    }

    #[test]
    fn names_that_match_nothing_are_refused() {
        let arch = Arch::find("resnet18").unwrap();
        let names = ["relu".to_string(), "layer4.0.relu1".to_string()];
        let plan = |layers: Layers| {
            linear_activations(&arch, &names, &layers, LinbpUse::Train).map_err(|e| e.to_string())
        };
        assert_eq!(plan(Layers::All), Ok(vec![true, true]));
        assert_eq!(plan(Layers::None), Ok(vec![false, false]));
        assert_eq!(
            plan(Layers::From("layer4.0.relu1".into())),
            Ok(vec![false, true])
        );
        assert_eq!(
            plan(Layers::Names(vec!["rel?".into()])),
            Ok(vec![true, false])
        );
        for layers in [
            Layers::From("layer4.0.relu9".into()),
            Layers::Names(vec!["relu".into(), "layer4.0.relu9".into()]),
        ] {
            let fault = plan(layers).unwrap_err();
            assert!(
                fault.contains(
                    "layer4.0.relu9\" matches no activation; near are \"layer4.0.relu1\", \"relu\""
                ),
                "{fault}"
            );
        }
        let shallow = Arch::find("mlp").unwrap();
        let fault = linear_activations(&shallow, &names[..1], &Layers::Default, LinbpUse::Train);
        assert!(fault.unwrap_err().to_string().contains("makes none"));
    }
}
