//! Networks of one's own: ONNX files that tests/parity/make_onnx_fixtures.py wrote, sound and refused.

mod hostile;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Tensor};
use runner::models::{Arch, Layers, LinbpUse, ModelConfig, build, describe, linear_plan, outline};
use runner::nn::loss::{Reduction, cross_entropy};
use runner::nn::{BackwardPlan, Coordinates, Mode, Network, Pass, Tape};
use runner::weights::load_tensors;

const IMAGE: [usize; 3] = [3, 16, 16];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/onnx")
        .join(name)
}

fn arch(path: &Path) -> String {
    format!("onnx:{}", path.display())
}

fn network(name: &str) -> Network {
    build(&arch(&fixture(name)), &ModelConfig::new(IMAGE, 10)).unwrap()
}

fn fault(path: &Path) -> String {
    let error = build(&arch(path), &ModelConfig::new(IMAGE, 10)).err();
    let error = error.map_or(String::new(), |error| error.to_string());
    assert!(!error.contains('\n'), "{error}");
    error
}

fn furthest(a: &Tensor, b: &Tensor) -> f32 {
    let scale = b
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    let furthest = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    furthest.to_scalar::<f32>().unwrap() / scale
}

#[test]
fn numbers_are_pytorchs() {
    let expected = load_tensors(&fixture("small.safetensors")).unwrap();
    for name in ["traced.onnx", "apart.onnx", "dynamo.onnx", "external.onnx"] {
        let network = network(name);
        let pass = Pass::attack(BackwardPlan::none(), Mode::Eval, Coordinates::default());
        let tape = Tape::new(pass);
        let logits = network
            .forward(&tape, &tape.input(&expected["images"]))
            .unwrap();
        let loss = cross_entropy(logits.tensor(), &[0, 1, 2, 3], Reduction::Sum).unwrap();
        let found = logits.tensor().clone();
        let centred = found
            .broadcast_sub(&found.mean_keepdim(1).unwrap())
            .unwrap();
        let error = furthest(&centred, &expected["logits"]);
        assert!(error < 1e-5, "{name}: logits off by {error}");
        let gradient = tape
            .backward(&logits, loss.gradient)
            .unwrap()
            .input()
            .unwrap();
        let error = furthest(&gradient, &expected["gradient"]);
        assert!(error < 1e-4, "{name}: gradient off by {error}");
    }
}

/// Gates, other activations and norms, dilations, uneven borders, moved dimensions: in f64, as PyTorch computed them.
#[test]
fn newer_operators_have_pytorchs_numbers() {
    let expected = load_tensors(&fixture("general.safetensors")).unwrap();
    let close = |found: &Tensor, expected: &Tensor, bar: f64| {
        let scale = expected.abs().unwrap().max_all().unwrap();
        let furthest = (found - expected)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        let error = furthest.to_scalar::<f64>().unwrap() / scale.to_scalar::<f64>().unwrap();
        assert!(error < bar, "off by {error}");
    };
    for name in ["general.onnx", "general_dynamo.onnx"] {
        let config = ModelConfig {
            dtype: DType::F64,
            ..ModelConfig::new(IMAGE, 10)
        };
        let network = build(&arch(&fixture(name)), &config).unwrap();
        let pass = Pass::attack(BackwardPlan::none(), Mode::Eval, Coordinates::default());
        let tape = Tape::new(pass);
        let logits = network
            .forward(&tape, &tape.input(&expected["images"]))
            .unwrap();
        close(logits.tensor(), &expected["logits"], 1e-6);
        let loss = cross_entropy(logits.tensor(), &[0, 1, 2, 3], Reduction::Sum).unwrap();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        close(&gradients.input().unwrap(), &expected["gradient"], 1e-5);
        // Everything that torch trains is trained, by gradients that have its shape.
        let tape = Tape::new(Pass::training(BackwardPlan::none(), Coordinates::default()));
        let images = tape.input(&expected["images"]);
        let logits = network.forward(&tape, &images).unwrap();
        let loss = cross_entropy(logits.tensor(), &[0, 1, 2, 3], Reduction::Mean).unwrap();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        assert_eq!(network.parameters().len(), 25, "{name}");
        for parameter in network.parameters() {
            let gradient = gradients
                .parameter(parameter)
                .unwrap_or_else(|| panic!("{}", parameter.name()));
            assert_eq!(
                gradient.dims(),
                parameter.tensor().dims(),
                "{}",
                parameter.name()
            );
        }
        // Gates have no choice of a linear backward pass.
        let activations = network.activations();
        let expected = match name {
            "general.onnx" => [
                "/LeakyRelu",
                "/HardSwish",
                "/Mul_2",
                "/Mul_6",
                "/Mul_12",
                "/Elu",
                "/Clip",
            ],
            _ => [
                "node_leaky_relu",
                "n0",
                "node_gelu",
                "n0_4",
                "node_gelu_1",
                "node_Elu_53",
                "node_Clip_97",
            ],
        };
        assert_eq!(activations, expected, "{name}");
    }
}

#[test]
fn tensors_and_activations_have_the_files_names() {
    let network = network("apart.onnx");
    let names: Vec<&str> = network.parameters().iter().map(|p| p.name()).collect();
    for name in [
        "conv1.weight",
        "conv1.bias",
        "bn1.weight",
        "conv2.weight",
        "fc1.weight",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let buffers: Vec<&str> = network.buffers().iter().map(|p| p.name()).collect();
    assert_eq!(buffers.len(), 8);
    assert!(buffers.contains(&"bn3.running_var"));
    let described = describe(&arch(&fixture("apart.onnx"))).unwrap();
    let names: Vec<String> = described
        .activations
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(
        names,
        [
            "/Mul",
            "/relu/Relu",
            "/Clip",
            "/relu_1/Relu",
            "/relu_2/Relu"
        ]
    );
    assert_eq!(network.activations(), names);
    let dynamo = describe(&arch(&fixture("dynamo.onnx"))).unwrap();
    let names: Vec<String> = dynamo
        .activations
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(
        names,
        [
            "node_silu",
            "node_relu",
            "node_relu6",
            "node_relu_1",
            "node_relu_2"
        ]
    );
}

#[test]
fn linear_layers_are_chosen_by_name() {
    let name = arch(&fixture("traced.onnx"));
    let network = outline(&name, &ModelConfig::new(IMAGE, 10)).unwrap();
    let plan = |layers| linear_plan(&name, &network, &layers, LinbpUse::Attack);
    let chosen = plan(Layers::Names(vec!["/relu*".into()])).unwrap();
    assert_eq!(
        (0..5).map(|i| chosen.chooses(i)).collect::<Vec<_>>(),
        [false, true, false, true, true]
    );
    let error = plan(Layers::Default).unwrap_err().to_string();
    assert!(
        error.contains("no published choice") && error.contains("\"all\""),
        "{error}"
    );
}

#[test]
fn training_moves_every_parameter() {
    let network = network("apart.onnx");
    let images = load_tensors(&fixture("small.safetensors"))
        .unwrap()
        .remove("images")
        .unwrap();
    let before = network.state().unwrap();
    let tape = Tape::new(Pass::training(BackwardPlan::none(), Coordinates::default()));
    let logits = network.forward(&tape, &tape.input(&images)).unwrap();
    let loss = cross_entropy(logits.tensor(), &[0, 1, 2, 3], Reduction::Mean).unwrap();
    let gradients = tape.backward(&logits, loss.gradient).unwrap();
    for parameter in network.parameters() {
        let gradient = gradients.parameter(parameter);
        assert!(gradient.is_some(), "{} has no gradient", parameter.name());
    }
    for buffer in network.buffers() {
        let moved = (buffer.tensor() - &before[buffer.name()]).unwrap();
        assert!(
            moved
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
                > 0.0
        );
    }
}

/// Exporters store equal tensors once: the norms of a network that nobody trained.
#[test]
fn each_norm_of_an_untrained_network_has_its_own_tensors() {
    let expected = load_tensors(&fixture("untrained.safetensors")).unwrap();
    let images = &expected["images"];
    for name in ["untrained.onnx", "untrained_dynamo.onnx"] {
        let network = network(name);
        let error = furthest(&network.logits(images).unwrap(), &expected["logits"]);
        assert!(error < 1e-5, "{name}: logits off by {error}");
        let tape = Tape::new(Pass::training(BackwardPlan::none(), Coordinates::default()));
        let logits = network.forward(&tape, &tape.input(images)).unwrap();
        let loss = cross_entropy(logits.tensor(), &[0, 1, 2, 3], Reduction::Mean).unwrap();
        let gradients = tape.backward(&logits, loss.gradient).unwrap();
        let names = |prefix| {
            let keys = expected
                .keys()
                .filter_map(move |key| key.strip_prefix(prefix));
            keys.map(str::to_owned).collect::<BTreeSet<String>>()
        };
        let own = network.parameters().iter().map(|p| p.name().to_owned());
        assert_eq!(own.collect::<BTreeSet<_>>(), names("gradient."), "{name}");
        for parameter in network.parameters() {
            let gradient = gradients.parameter(parameter).unwrap();
            let error = furthest(
                gradient,
                &expected[&format!("gradient.{}", parameter.name())],
            );
            assert!(error < 1e-4, "{name}: {} off by {error}", parameter.name());
        }
        let own = network.buffers().iter().map(|p| p.name().to_owned());
        assert_eq!(own.collect::<BTreeSet<_>>(), names("after."), "{name}");
        for buffer in network.buffers() {
            let error = furthest(
                buffer.tensor(),
                &expected[&format!("after.{}", buffer.name())],
            );
            assert!(error < 1e-5, "{name}: {} off by {error}", buffer.name());
        }
    }
}

#[test]
fn all_that_is_not_computed_is_said_at_once() {
    assert_eq!(
        fault(&fixture("refused.onnx")).split_once(": ").unwrap().1,
        "3 operators of this network are not computed here: Resize \"/Resize\" and 1 more: by interpolation; \
         Sin \"/Sin\": is not among the operators that are; Pad \"/Pad\": with anything but one number"
    );
}

#[test]
fn other_data_is_refused() {
    let name = arch(&fixture("traced.onnx"));
    let refused = |image, classes| {
        let error = build(&name, &ModelConfig::new(image, classes))
            .err()
            .unwrap();
        error.to_string().split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(
        refused(IMAGE, 100),
        "tells 10 classes apart, the data has 100"
    );
    assert_eq!(
        refused([1, 28, 28], 10),
        "takes images of shape (3, 16, 16), the data has (1, 28, 28)"
    );
    let missing = Arch::find("onnx:no/such.onnx").unwrap_err().to_string();
    assert!(missing.contains("no/such.onnx"), "{missing}");
}

/// From the file to figures, by the program: the content of the file counts, not its name.
#[test]
fn an_evaluation_belongs_to_the_content_of_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("net.onnx");
    std::fs::copy(fixture("digits.onnx"), &net).unwrap();
    let spec = r#"
        name = "own"
        task = "evaluate"
        data = { kind = "digits", test_limit = 20, normalize = "mnist" }
        model = { arch = "onnx:net.onnx" }
        linbp = { attack = true, layers = ["*Relu"] }
        attack = { epsilon = 0.1, step_size = 0.05, k = 2 }
        evaluate = { attacks = ["none", "pgd"] }
    "#;
    std::fs::write(folder.path().join("own.toml"), spec).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(folder.path())
            .args(arguments)
            .output()
            .unwrap();
        let words = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&words).into_owned(),
        )
    };
    let (code, words) = run(&["own.toml"]);
    assert_eq!(code, Some(0), "{words}");
    assert!(!words.contains("the model is random"), "{words}");
    assert!(words.contains("data.normalize"), "{words}");
    let runs = || {
        let runs = std::fs::read_dir(folder.path().join("results/own")).unwrap();
        let records = runs
            .filter_map(|run| std::fs::read_to_string(run.unwrap().path().join("run.json")).ok());
        records.collect::<Vec<String>>()
    };
    let first = runs();
    assert_eq!(first.len(), 1);
    assert!(
        first[0].contains("\"network\"") && first[0].contains("net.onnx"),
        "{}",
        first[0]
    );
    // The same again is found; with another last weight it is computed anew.
    assert_eq!(run(&["own.toml"]).0, Some(0));
    assert_eq!(runs().len(), 1);
    let mut bytes = std::fs::read(&net).unwrap();
    let at = bytes
        .windows(11)
        .position(|name| name == b"conv.weight")
        .unwrap();
    let at = (at + 20..bytes.len())
        .find(|&at| bytes[at] == 0x4a)
        .unwrap();
    bytes[at + 8] ^= 1;
    std::fs::write(&net, bytes).unwrap();
    let (code, words) = run(&["own.toml"]);
    assert_eq!(code, Some(0), "{words}");
    assert_eq!(runs().len(), 2, "{words}");
    let (code, words) = run(&["models", "onnx:net.onnx"]);
    assert_eq!((code, words.as_str()), (Some(0), "/Relu\n"));
    let (code, words) = run(&["check", "own.toml", "model.arch=onnx:gone.onnx"]);
    assert_eq!(code, Some(2));
    assert!(
        words.contains("gone.onnx") && words.contains("model.arch"),
        "{words}"
    );
}
