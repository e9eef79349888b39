//! Attacks against interval bounds (Gowal et al., arXiv 1810.12715): where they prove that no image of the ball gets
//! another answer, a success is a defect of the attack, of its checks or of the count.

use std::collections::BTreeMap;

use super::*;
use crate::nn::Network;

/// What rounding in float32 may do to a margin.
const ROUNDING: f64 = 1e-4;

/// Weights `(out, in)` row by row and biases, in float64.
struct Layer {
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

fn layers(network: &Network) -> Vec<Layer> {
    let state: BTreeMap<String, Tensor> = network.state().unwrap();
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let layers = (1..).map_while(|number| {
        let weight = state.get(&format!("fc{number}.weight"))?;
        Some(Layer {
            weight: wide(weight).to_vec2().unwrap(),
            bias: wide(&state[&format!("fc{number}.bias")]).to_vec1().unwrap(),
        })
    });
    layers.collect()
}

/// The least and the most of `w x + b` for `x` between bounds.
fn interval(w: &[f64], b: f64, [low, high]: &[Vec<f64>; 2]) -> [f64; 2] {
    let mut bounds = [b, b];
    for ((w, low), high) in w.iter().zip(low).zip(high) {
        let (a, b) = (w * low, w * high);
        bounds[0] += a.min(b);
        bounds[1] += a.max(b);
    }
    bounds
}

/// Whether no image of the ball gets another answer than `label`.
fn is_proven(layers: &[Layer], image: &[f64], label: usize, threat: Threat) -> bool {
    let epsilon = threat.epsilon;
    // An l2 ball lies within the linf ball of its radius.
    let low = image.iter().map(|x| (x - epsilon).max(0.0)).collect();
    let high = image.iter().map(|x| (x + epsilon).min(1.0)).collect();
    let mut bounds: [Vec<f64>; 2] = [low, high];
    let (last, hidden) = layers.split_last().unwrap();
    for (depth, layer) in hidden.iter().enumerate() {
        let rows = layer.weight.iter().zip(&layer.bias).map(|(w, b)| {
            let [mut low, mut high] = interval(w, *b, &bounds);
            if depth == 0 && threat.norm == Norm::L2 {
                let middle = b + w.iter().zip(image).map(|(w, x)| w * x).sum::<f64>();
                let reach = epsilon * w.iter().map(|w| w * w).sum::<f64>().sqrt();
                (low, high) = (low.max(middle - reach), high.min(middle + reach));
            }
            (low.max(0.0), high.max(0.0))
        });
        let (low, high) = rows.unzip();
        bounds = [low, high];
    }
    (0..last.bias.len())
        .filter(|&class| class != label)
        .all(|class| {
            let rows = last.weight[label].iter().zip(&last.weight[class]);
            let margin: Vec<f64> = rows.map(|(a, b)| a - b).collect();
            interval(&margin, last.bias[label] - last.bias[class], &bounds)[0] > ROUNDING
        })
}

#[test]
fn no_attack_breaks_what_interval_bounds_prove_robust() {
    let (mut proven, mut broken) = (0, 0);
    for (seed, widths) in [(1, vec![24]), (2, vec![16, 12]), (3, vec![40])] {
        let network = seeded("mlp", Some(widths), seed);
        let layers = layers(&network);
        let set = Set::of(&network, N);
        let len = IMAGE.iter().product::<usize>();
        let pixels: Vec<f64> = values(&set.images).into_iter().map(f64::from).collect();
        for threat in [
            Threat::linf(0.001),
            Threat::linf(0.004),
            Threat::linf(0.016),
            Threat::l2(0.02),
            Threat::l2(0.08),
            Threat::l2(0.32),
        ] {
            let images = pixels.chunks_exact(len).zip(&set.labels);
            let certain: Vec<bool> = images
                .map(|(image, &label)| is_proven(&layers, image, label as usize, threat))
                .collect();
            proven += certain.iter().filter(|&&certain| certain).count();
            for attack in all(threat) {
                if !set.suits(attack.as_ref()) {
                    continue;
                }
                let name = attack.name();
                let (fates, _) = run(&network, &set, &[attack], 5);
                for (image, (fate, certain)) in fates.iter().zip(&certain).enumerate() {
                    let is_broken = fate.broken_by.is_some();
                    broken += usize::from(is_broken);
                    assert!(
                        !(is_broken && *certain),
                        "{name} {threat:?}: image {image} of network {seed} is proven robust, and broken"
                    );
                }
            }
        }
    }
    // Neither side decides the test alone.
    assert!(
        proven >= 30 && broken >= 30,
        "{proven} proven, {broken} broken"
    );
}
