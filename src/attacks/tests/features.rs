//! Attacks on features: what they push, and what they depend on.

use super::*;
use crate::attacks::momentum::{Accumulated, Momentum};
use crate::attacks::transform::{InputTransform, ScaleInvariant, TranslationInvariant};
use crate::attacks::{fia::Fia, ila::Ila};

const LAYER: &str = "block2.layer.0.relu1";

fn sums(product: &Tensor) -> Vec<f32> {
    product
        .flatten_from(1)
        .unwrap()
        .sum(1)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// `<F(x) - F(original), F(reference) - F(original)>` of each image.
#[test]
fn ila_goes_further_than_its_reference() {
    let network = network("wide_resnet10_1", None);
    let set = Set::of(&network, 6);
    let victim = Victim::new(&network, BackwardPlan::none());
    let threat = Threat::linf(0.05);
    let reference = crafted(&Steps::i_fgsm(threat, 0.01, 5), &victim, &set);
    let found = crafted(
        &Ila::new(threat, 0.01, 5, Some(LAYER.into())),
        &victim,
        &set,
    );
    let features = |images: &Tensor| victim.features(images, LAYER).unwrap();
    let moved = |images: &Tensor| (features(images) - features(&set.images)).unwrap();
    let direction = moved(&reference);
    let along = |images: &Tensor| sums(&(moved(images) * &direction).unwrap());
    for (ila, reference) in along(&found).iter().zip(along(&reference)) {
        assert!(*ila > reference, "{ila} {reference}");
    }
}

#[test]
fn fia_draws_masks_and_lowers_what_the_label_depends_on() {
    let network = network("wide_resnet10_1", None);
    let set = Set::of(&network, 6);
    let victim = Victim::new(&network, BackwardPlan::none());
    let fia = Fia::new(Threat::linf(0.05), 0.01, 5, Some(LAYER.into()));
    let of = |seed| {
        let start = Start {
            seed,
            ..Start::default()
        };
        let originals = Originals {
            start,
            ..set.originals()
        };
        fia.perturb(&victim, originals).unwrap()
    };
    let found = of(1);
    assert_eq!(values(&found), values(&of(1)));
    assert_ne!(values(&found), values(&of(2)));
    let labels = Tensor::from_slice(&set.labels, (set.labels.len(), 1), &Device::Cpu).unwrap();
    let logits = |images: &Tensor| -> Vec<f32> {
        let logits = network.logits(images).unwrap().gather(&labels, 1).unwrap();
        logits.flatten_all().unwrap().to_vec1().unwrap()
    };
    for (after, before) in logits(&found).iter().zip(logits(&set.images)) {
        assert!(*after < before, "{after} {before}");
    }
}

#[test]
fn a_layer_that_the_model_does_not_have_is_an_error() {
    let network = mlp();
    let set = Set::of(&network, 2);
    let victim = Victim::new(&network, BackwardPlan::none());
    let threat = Threat::linf(0.05);
    let attacks: [Box<dyn Attack>; 2] = [
        Box::new(Ila::new(threat, 0.01, 1, Some("relu7".into()))),
        Box::new(Fia::new(threat, 0.01, 1, Some("relu7".into()))),
    ];
    for attack in attacks {
        let fault = attack.perturb(&victim, set.originals()).unwrap_err();
        let fault = fault.to_string();
        assert!(
            fault.starts_with(
                "the model: layer: \"relu7\" matches no activation; the only one is \"relu1\""
            ),
            "{fault}"
        );
    }
}

#[test]
fn a_layer_is_looked_for_before_anything_runs() {
    let check = |layer: &str| {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("a.toml");
        let text = format!(
            "task = \"attack\"\ndata.kind = \"digits\"\nmodel.arch = \"lenet5\"\n\
             attack = {{ kind = \"ila\", epsilon = 0.1, step_size = 0.1, k = 1, layer = \"{layer}\" }}\n"
        );
        std::fs::write(&spec, text).unwrap();
        let plan = plan(&Request {
            spec,
            ..Request::default()
        });
        let found = crate::pipeline::check_models(&plan.unwrap().runs);
        found.err().map(|error| error.to_string())
    };
    assert_eq!(check("relu2"), None);
    assert_eq!(
        check("relu9").unwrap(),
        "ila: layer: \"relu9\" matches no activation; near are \"relu1\", \"relu2\", \"relu3\" (`runner models ARCH` lists \
         them)"
    );
}

#[test]
fn momentum_and_transformations_go_into_attacks_on_features() {
    let network = network("wide_resnet10_1", None);
    let set = Set::of(&network, 6);
    let victim = Victim::new(&network, BackwardPlan::none());
    let threat = Threat::linf(0.05);
    let own = || Steps::i_fgsm(threat, 0.01, 5);
    let ila = |steps| values(&crafted(&Ila::by(steps, Some(LAYER.into())), &victim, &set));
    let fia = |transforms| {
        let steps = Steps {
            transforms,
            ..own()
        };
        values(&crafted(&Fia::by(steps, Some(LAYER.into())), &victim, &set))
    };
    let accumulated = |decay| Steps {
        momentum: Some(Momentum::Accumulated(Accumulated {})),
        decay,
        ..own()
    };
    let scaled = |copies| Steps {
        transforms: vec![InputTransform::ScaleInvariant(ScaleInvariant { copies })],
        ..own()
    };
    let plain = ila(own());
    // Nothing is kept of earlier gradients, and the one scale of one copy is the image itself.
    assert_eq!(ila(accumulated(0.0)), plain);
    assert_ne!(ila(accumulated(1.0)), plain);
    assert_eq!(ila(scaled(1)), plain);
    assert_ne!(ila(scaled(3)), plain);
    let smooth = |kernel| {
        let smooth = TranslationInvariant { kernel };
        vec![InputTransform::TranslationInvariant(smooth)]
    };
    assert_eq!(fia(smooth(1)), fia(Vec::new()));
    assert_ne!(fia(smooth(7)), fia(Vec::new()));
}
