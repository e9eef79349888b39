//! Features of activations: their values, gradients to them and from them.

use candle_core::{DType, Tensor};
use runner::attacks::{Objective, Victim};
use runner::models::{ModelConfig, build};
use runner::nn::{BackwardPlan, Mode, Network, Surrogate};
use runner::ops::logit_score::Score;

use crate::harness::{Case, distance, noise, numbers, on_every_isa};
use crate::naive::named;

/// A network with one way from the images to the logits, and one whose ways meet behind every second activation.
fn case(arch: &str) -> Case {
    let image = if arch == "lenet5" {
        [2, 1, 28, 28]
    } else {
        [2, 3, 8, 8]
    };
    let [_, c, h, w] = image;
    Case::of(arch, image, |dtype| {
        let config = ModelConfig {
            dtype,
            ..ModelConfig::new([c, h, w], 10)
        };
        build(arch, &config).unwrap()
    })
    .settled()
}

fn victim(network: &Network, plan: BackwardPlan) -> Victim<'_> {
    Victim::new(network, plan)
}

fn logit_gradient(logits: &Tensor) -> runner::Result<Tensor> {
    Objective::Score(Score::Logit).logit_gradient(logits, &[3, 7], None)
}

#[test]
fn they_are_what_the_activation_gives() {
    on_every_isa(|| {
        // The logits are the last features times weights.
        for (arch, last, layer) in [
            ("lenet5", "relu4", "fc3"),
            ("resnet20", "layer3.2.relu2", "linear"),
        ] {
            let case = case(arch);
            let victim = victim(&case.network, BackwardPlan::none());
            let features = victim.features(&case.input, last).unwrap();
            let features = match features.dims() {
                [_, _, _, _] => features.mean(1).unwrap().mean(1).unwrap(),
                _ => features,
            };
            let (n, width) = features.dims2().unwrap();
            let weight = named(&case.network, &format!("{layer}.weight"));
            let bias = named(&case.network, &format!("{layer}.bias"));
            let features = numbers(&features);
            let logits = (0..n * 10).map(|i| {
                let row = &features[i / 10 * width..][..width];
                let weights = &weight[i % 10 * width..][..width];
                let sum: f64 = row.iter().zip(weights).map(|(f, w)| f * w).sum();
                sum + bias[i % 10]
            });
            let expected = numbers(&case.network.logits(&case.input).unwrap());
            let error = distance(&logits.collect::<Vec<f64>>(), &expected);
            assert!(error < 1e-12, "{arch}: {error}");
        }
        let case = case("resnet20");
        let features = victim(&case.network, BackwardPlan::none()).features(&case.input, "relu");
        assert_eq!(features.unwrap().dims(), [2, 8, 8, 16]);
    });
}

/// `<weights, features>` of moved images.
#[test]
fn the_gradient_through_them_is_that_of_differences() {
    for arch in ["lenet5", "resnet20"] {
        let case = case(arch);
        let victim = victim(&case.network, BackwardPlan::none());
        let names = case.network.activations();
        for layer in [0, names.len() / 2, names.len() - 1] {
            let layer = &names[layer];
            let weigh = |features: &Tensor| noise(9, features.dims());
            let value = |images: &Tensor| {
                let features = victim.features(images, layer).unwrap();
                let product = (&features * weigh(&features)).unwrap();
                numbers(&product).iter().sum::<f64>()
            };
            let gradient = victim
                .gradient_through_features(&case.input, layer, |features| Ok(weigh(features)))
                .unwrap();
            for seed in 20..24 {
                let direction = noise(seed, case.input.dims());
                let at = |step: f64| value(&(&case.input + (&direction * step).unwrap()).unwrap());
                let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                let along = (&gradient * &direction).unwrap();
                let found: f64 = numbers(&along).iter().sum();
                assert!(
                    (found - expected).abs() < 1e-5 * expected.abs().max(1.0),
                    "{arch} {layer}: {found} {expected}"
                );
            }
        }
    }
}

/// Where every way goes through the activation, the gradient to it and the one through it are the whole: by any rule.
#[test]
fn the_chain_rule_holds_at_them() {
    let plans = |network: &Network| {
        let all = BackwardPlan::new(vec![true; network.activations().len()]);
        let smooth = all.clone().with_surrogate(Surrogate::Silu);
        [BackwardPlan::none(), all, smooth]
    };
    on_every_isa(|| {
        for arch in ["lenet5", "resnet20"] {
            let case = case(arch);
            for plan in plans(&case.network) {
                for mode in [Mode::Eval, Mode::Train] {
                    let victim = Victim {
                        mode,
                        ..victim(&case.network, plan.clone())
                    };
                    let whole = victim.input_gradient(&case.input, logit_gradient).unwrap();
                    let names = case.network.activations().iter();
                    let meeting = names.filter(|name| {
                        arch == "lenet5" || *name == "relu" || name.ends_with("relu2")
                    });
                    for layer in meeting {
                        let gradient = victim
                            .feature_gradient(&case.input, layer, logit_gradient)
                            .unwrap();
                        let through = victim
                            .gradient_through_features(&case.input, layer, |_| Ok(gradient))
                            .unwrap();
                        let error = distance(&numbers(&through), &numbers(&whole));
                        assert!(error < 1e-9, "{arch} {mode:?} {layer}: {error}");
                    }
                }
            }
        }
    });
}

/// Inside a branch the gradient is the branch's share alone.
#[test]
fn ways_around_an_activation_have_no_part() {
    let case = case("resnet20");
    let victim = victim(&case.network, BackwardPlan::none());
    let layer = "layer2.1.relu1";
    let gradient = victim.feature_gradient(&case.input, layer, logit_gradient);
    let gradient = gradient.unwrap();
    assert_eq!(gradient.dtype(), DType::F64);
    let through = victim.gradient_through_features(&case.input, layer, |_| Ok(gradient));
    let whole = victim.input_gradient(&case.input, logit_gradient).unwrap();
    assert!(distance(&numbers(&through.unwrap()), &numbers(&whole)) > 1e-2);
}

#[test]
fn passes_are_counted_and_unknown_names_refused() {
    let case = case("lenet5");
    let victim = victim(&case.network, BackwardPlan::none());
    victim.features(&case.input, "relu1").unwrap();
    victim
        .gradient_through_features(&case.input, "relu2", |features| Ok(features.clone()))
        .unwrap();
    victim
        .feature_gradient(&case.input, "relu3", logit_gradient)
        .unwrap();
    assert_eq!(victim.passes.get(), [2, 4]);
    let fault = victim
        .features(&case.input, "relu9")
        .unwrap_err()
        .to_string();
    assert_eq!(
        fault,
        "the model: layer: \"relu9\" matches no activation; near are \"relu1\", \"relu2\", \"relu3\" (`runner models ARCH` lists \
         them)"
    );
}
