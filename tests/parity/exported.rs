//! Networks that this program writes, computed by onnxruntime and by PyTorch.

use candle_core::{DType, Device, Tensor};
use runner::models::{ModelConfig, Stem, build};
use runner::nn::pool::adaptive_average_pool;
use runner::nn::structure::flatten;
use runner::nn::{ConvConfig, Init, Linear, Module, Network, Tape, Var, conv2d, linear};
use runner::ops::image::Normalize;
use runner::weights::{Tensors, load_tensors, save_safetensors};

use crate::models::{chosen, largest};
use crate::pytorch::{Script, interpreter_with, say};

const BAR: f64 = 1e-5;

/// Enough for every run of the tests.
const FEW: [&str; 2] = ["mobilenet_v2", "resnet20"];

/// Averages of all forms: to a coarser grid that divides the image, to one that does not, from one pixel.
struct Averages {
    conv: runner::nn::Conv2d,
    sides: [(usize, usize); 3],
    linear: Linear,
}

impl Module for Averages {
    fn forward(&self, tape: &Tape, x: &Var) -> runner::Result<Var> {
        let mut x = self.conv.forward(tape, x)?;
        for (rows, columns) in self.sides {
            x = adaptive_average_pool(tape, &x, rows, columns)?;
        }
        self.linear.forward(tape, &flatten(tape, &x)?)
    }
}

fn averages(sides: [(usize, usize); 3]) -> Network {
    let normalize = Normalize {
        mean: vec![0.5, 0.4, 0.3],
        std: vec![0.2, 0.3, 0.1],
    };
    Network::build(3, DType::F32, &Device::Cpu, Some(normalize), |b| {
        let (rows, columns) = sides[2];
        Ok(Box::new(Averages {
            conv: conv2d(
                &b.pp("conv"),
                3,
                4,
                3,
                ConvConfig::same(3, 1, Init::TorchDefault),
            )?,
            sides,
            linear: linear(&b.pp("fc"), 4 * rows * columns, 10, Init::TorchDefault)?,
        }))
    })
    .unwrap()
}

/// Numbers between 0 and 1 that look like random ones.
fn noise(shape: &[usize], salt: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|i| (((i + salt) * 7919) % 1013) as f32 / 1012.0);
    let values = Tensor::from_iter(values, &Device::Cpu).unwrap();
    values.reshape(shape).unwrap()
}

/// A network whose batch norms are not those of the beginning, which do nothing.
fn network(name: &str) -> (Network, [usize; 3]) {
    let (arch, stem) = match name.split_once(':') {
        Some((arch, "7x7")) => (arch, Some(Stem::ImageNet)),
        Some((arch, _)) => (arch, Some(Stem::Plain)),
        None => (name, None),
    };
    let image = match arch {
        "mlp" | "lenet5" => [1, 28, 28],
        _ => [3, 32, 32],
    };
    let config = ModelConfig {
        stem,
        ..ModelConfig::new(image, 10)
    };
    let network = build(arch, &config).unwrap();
    for (salt, buffer) in network.buffers().iter().enumerate() {
        let shift = if buffer.name().ends_with("var") {
            0.5
        } else {
            -0.5
        };
        let values = (noise(buffer.tensor().dims(), salt) + shift).unwrap();
        buffer.set(&values).unwrap();
    }
    (network, image)
}

#[test]
fn exported_networks_give_the_same_logits_elsewhere() {
    let Some(python) = interpreter_with(&["onnx", "onnxruntime"], "networks in other programs")
    else {
        return;
    };
    let mut script = Script::start(&python, "exported.py", &[]);
    let mut faults = Vec::new();
    say("| network | onnxruntime | PyTorch |");
    let mut ask = |name: &str, network: &Network, image: [usize; 3]| {
        let images = noise(&[3, image[0], image[1], image[2]], 0);
        let write = |file: &str, tensors: &Tensors| {
            save_safetensors(&script.folder().join(file), tensors, Default::default()).unwrap();
        };
        write(
            "images.safetensors",
            &Tensors::from([("images".into(), images.clone())]),
        );
        write("weights.safetensors", &network.state().unwrap());
        let file = runner::onnx::export(network, image).unwrap();
        std::fs::write(script.folder().join("net.onnx"), file).unwrap();
        script.has_done(name);
        let answers = load_tensors(&script.folder().join("answers.safetensors")).unwrap();
        let own = network.logits(&images).unwrap();
        let error = |who: &str| answers.get(who).map(|logits| largest(&own, logits));
        let errors = [error("onnxruntime"), error("pytorch")];
        let cells = errors.map(|e| e.map_or("-".into(), |e| format!("{e:.0e}")));
        say(&format!("| {name} | {} |", cells.join(" | ")));
        for error in errors.into_iter().flatten() {
            if error.is_nan() || error > BAR {
                faults.push(format!("{name}: off by {error:.1e}"));
            }
        }
    };
    for (name, sides) in [
        ("other: even", [(8, 8), (4, 2), (1, 1)]),
        ("other: uneven", [(5, 7), (1, 1), (3, 3)]),
        ("other: finer", [(3, 2), (7, 5), (2, 9)]),
    ] {
        ask(name, &averages(sides), [3, 8, 16]);
    }
    let names = match std::env::var_os("RUNNER_PARITY") {
        Some(_) => chosen(),
        None => FEW.map(str::to_owned).to_vec(),
    };
    for name in names {
        let (network, image) = network(&name);
        ask(&name, &network, image);
    }
    assert!(script.end());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
