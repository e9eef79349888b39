//! The initial weights of each family have the spread that its published code gives them.

use candle_core::{DType, Tensor};
use runner::models::{ModelConfig, build};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// Mean square and largest absolute value.
fn spread(values: &[f64]) -> (f64, f64) {
    let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
    (square, values.iter().fold(0.0, |max, v| max.max(v.abs())))
}

#[test]
fn weights_have_their_familys_variance() {
    let uniform = |fan_in: f64| 1.0 / (3.0 * fan_in);
    for (arch, image, rows) in [
        (
            "mlp",
            [1, 28, 28],
            vec![("fc1.weight", uniform(784.0)), ("fc2.bias", uniform(400.0))],
        ),
        (
            "lenet5",
            [1, 28, 28],
            vec![
                ("conv2.weight", uniform(150.0)),
                ("fc1.weight", uniform(400.0)),
            ],
        ),
        (
            "mobilenet_v2",
            [3, 32, 32],
            vec![
                ("features.18.0.weight", 2.0 / 1280.0),
                // Depthwise: torch counts all output channels, not those of a group.
                ("features.17.conv.1.0.weight", 2.0 / (960.0 * 9.0)),
                ("classifier.1.weight", 1e-4),
                ("classifier.1.bias", 0.0),
            ],
        ),
        (
            "squeezenet",
            [3, 32, 32],
            vec![
                ("Fire9.expand3x3.0.weight", 2.0 / (64.0 * 9.0)),
                ("Fire9.expand3x3.0.bias", 0.0),
            ],
        ),
        (
            "resnet18",
            [3, 32, 32],
            vec![
                ("layer4.1.conv2.weight", 2.0 / (512.0 * 9.0)),
                ("layer4.0.downsample.0.weight", 2.0 / 512.0),
                ("fc.weight", uniform(512.0)),
                ("layer4.1.bn2.weight", 1.0),
                ("layer4.1.bn2.bias", 0.0),
            ],
        ),
        (
            "densenet121",
            [3, 32, 32],
            vec![
                (
                    "features.denseblock4.denselayer1.conv2.weight",
                    2.0 / (128.0 * 9.0),
                ),
                ("features.transition1.conv.weight", 2.0 / 256.0),
                ("classifier.weight", uniform(1024.0)),
                ("classifier.bias", 0.0),
            ],
        ),
        (
            "wide_resnet10_4",
            [3, 32, 32],
            vec![
                ("block2.layer.0.conv2.weight", 2.0 / (128.0 * 9.0)),
                ("block2.layer.0.convShortcut.weight", 2.0 / 128.0),
                ("fc.weight", uniform(256.0)),
                ("fc.bias", 0.0),
            ],
        ),
    ] {
        let state = build(arch, &ModelConfig::new(image, 10)).unwrap().state();
        let state = state.unwrap();
        for (name, variance) in rows {
            let (square, _) = spread(&numbers(&state[name]));
            assert!(
                (square - variance).abs() <= 0.1 * variance,
                "{arch}: {name} has a mean square of {square}, expected {variance}"
            );
        }
    }
}

#[test]
fn uniform_weights_stay_inside_their_bound() {
    let network = build("mlp", &ModelConfig::new([1, 28, 28], 10)).unwrap();
    let (_, largest) = spread(&numbers(&network.state().unwrap()["fc1.weight"]));
    assert!((0.99 / 28.0..=1.0 / 28.0).contains(&largest), "{largest}");
}
