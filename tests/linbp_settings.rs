//! Settings of `[linbp]` and `model.activation` reach the gradients: from a spec's text to numbers.

use candle_core::{DType, Device, Tensor};
use runner::experiment::{Plan, StageSpec, plan};
use runner::models::{self, LinbpUse};
use runner::nn::{Coordinates, Mode, Network, Pass, Tape};
use runner::spec::Request;
use runner::stage::{linbp_plan, model_config};

fn read(arch: &str, settings: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    let data = if arch == "lenet5" { "digits" } else { "shapes" };
    let text = format!(
        "task = \"adversarial-train\"\ndata.kind = \"{data}\"\nmodel.arch = \"{arch}\"\noptimizer.lr = 0.1\n\
         train.epochs = 1\nattack = {{ kind = \"fgsm\", epsilon = 0.1 }}\nlinbp.train = true\nlinbp.attack = true\n\
         {settings}\n"
    );
    std::fs::write(&spec, text).unwrap();
    plan(&Request {
        spec,
        ..Request::default()
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Logits, and the gradient for the given use: of the first parameter, or of the images.
struct Answer {
    logits: Vec<f32>,
    gradient: Vec<f32>,
}

/// Small images where the architecture takes them.
fn image(arch: &str) -> [usize; 3] {
    match arch {
        "lenet5" => [1, 28, 28],
        _ => [3, 16, 16],
    }
}

fn network(stage: &StageSpec) -> Network {
    let used = &stage.models()[0];
    let arch = &used.model.arch;
    let config = model_config(used, image(arch), 10).unwrap();
    models::build(arch, &config).unwrap()
}

fn answer(plan: &Plan, r#use: LinbpUse) -> Answer {
    let stage = &plan.runs[0].spec.stages[0];
    let network = network(stage);
    let used = &stage.models()[0];
    let arch = &used.model.arch;
    let plan = linbp_plan(arch, &network, &used.linbp, r#use).unwrap();
    let pass = match r#use {
        LinbpUse::Train => Pass::training(plan, Coordinates::default()),
        LinbpUse::Attack => Pass::attack(plan, Mode::Eval, Coordinates::default()),
    };
    let [channels, height, width] = image(arch);
    let values: Vec<f32> = (0..2 * channels * height * width)
        .map(|i| (i * 37 % 101) as f32 / 101.0)
        .collect();
    let images = Tensor::from_vec(values, (2, channels, height, width), &Device::Cpu).unwrap();
    let tape = Tape::new(pass);
    let logits = network.forward(&tape, &tape.input(&images)).unwrap();
    let upstream = Tensor::arange(0f32, 20.0, &Device::Cpu)
        .and_then(|values| values.reshape((2, 10)))
        .unwrap();
    let gradients = tape.backward(&logits, upstream).unwrap();
    let gradient = match r#use {
        LinbpUse::Train => gradients
            .parameter(&network.parameters()[0])
            .unwrap()
            .clone(),
        LinbpUse::Attack => gradients.input().unwrap(),
    };
    let numbers = |tensor: &Tensor| -> Vec<f32> {
        let numbers = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        let numbers: Vec<f32> = numbers.to_vec1().unwrap();
        assert!(numbers.iter().all(|number| number.is_finite()));
        numbers
    };
    Answer {
        logits: numbers(logits.tensor()),
        gradient: numbers(&gradient),
    }
}

const USES: [LinbpUse; 2] = [LinbpUse::Train, LinbpUse::Attack];

#[test]
fn the_rescaled_variant_changes_gradients_and_nothing_else() {
    let plain = read("resnet18", "");
    let named = read("resnet18", "linbp.variant = \"plain\"");
    let rescaled = read("resnet18", "linbp.variant = \"rescaled\"");
    for r#use in USES {
        let [plain, named, rescaled] = [&plain, &named, &rescaled].map(|plan| answer(plan, r#use));
        assert_eq!(plain.logits, rescaled.logits);
        assert_eq!(plain.gradient, named.gradient);
        assert_ne!(plain.gradient, rescaled.gradient, "{use:?}");
    }
    assert_ne!(plain.runs[0].hash, rescaled.runs[0].hash);
    assert!(rescaled.runs[0].text.contains("variant = \"rescaled\""));
}

#[test]
fn architectures_without_known_branches_refuse_to_rescale() {
    let plan = read("lenet5", "linbp.variant = \"rescaled\"");
    let fault = runner::pipeline::check_models(&plan.runs).unwrap_err();
    assert_eq!(fault.exit_code(), 2);
    assert_eq!(
        fault.to_string(),
        "linbp.variant: \"rescaled\" brings the residual branches of ResNets, ResNeXts and sequential networks to scale, and \
         lenet5 is none of them: choose \"plain\""
    );
}

/// Every rule changes gradients, each in its own way, and nothing else.
#[test]
fn every_rule_changes_gradients_alone() {
    let plain = read("resnet18", "");
    let mut seen = vec![plain.runs[0].hash.clone()];
    let mut gradients: Vec<Vec<Vec<f32>>> =
        vec![USES.map(|r#use| answer(&plain, r#use).gradient).into()];
    for settings in [
        "linbp.variant = \"silu\"",
        "linbp.variant = \"softplus\"",
        "linbp.variant = \"softplus\"\nlinbp.beta = 3",
        "linbp.max_pool = \"softmax\"",
        "linbp.max_pool = \"softmax\"\nlinbp.max_pool_temperature = 2",
        "linbp.branch_decay = 0.5",
        "linbp.branch_decay = 0.5\nlinbp.layers = \"none\"",
        "linbp.max_pool = \"softmax\"\nlinbp.layers = \"none\"",
    ] {
        let plan = read("resnet18", settings);
        assert!(!seen.contains(&plan.runs[0].hash), "{settings}");
        seen.push(plan.runs[0].hash.clone());
        let answers = USES.map(|r#use| answer(&plan, r#use));
        assert_eq!(
            answers[0].logits,
            answer(&plain, USES[0]).logits,
            "{settings}"
        );
        let found: Vec<Vec<f32>> = answers.map(|answer| answer.gradient).into();
        for other in &gradients {
            assert!(found[0] != other[0] && found[1] != other[1], "{settings}");
        }
        gradients.push(found);
    }
}

#[test]
fn each_use_has_its_own_rules() {
    let [train, attack] = USES;
    let gradient = |settings: &str, r#use| answer(&read("resnet18", settings), r#use).gradient;
    for (key, value) in [
        ("variant", "\"silu\""),
        ("max_pool", "\"softmax\""),
        ("branch_decay", "0.5"),
    ] {
        let apart = format!("linbp.{key} = {{ attack = {value} }}");
        let both = format!("linbp.{key} = {value}");
        assert_eq!(gradient(&apart, train), gradient("", train), "{key}");
        assert_eq!(gradient(&apart, attack), gradient(&both, attack), "{key}");
    }
}

#[test]
fn rules_for_what_a_network_does_not_have_are_refused() {
    for (arch, settings, fault) in [
        (
            "lenet5",
            "linbp.branch_decay = { attack = 0.5 }",
            "linbp.branch_decay: 0.5 is for the residual branches of ResNets, ResNeXts and sequential networks, and this \
             lenet5 has none: leave it at 1",
        ),
        (
            "mobilenet_v2",
            "linbp.max_pool = \"softmax\"",
            "linbp.max_pool: \"softmax\" is for max-pools, and this mobilenet_v2 has none: leave it at \"max\"",
        ),
    ] {
        let plan = read(arch, settings);
        let found = runner::pipeline::check_models(&plan.runs).unwrap_err();
        assert_eq!(found.to_string(), fault);
    }
}

#[test]
fn settings_of_rules_that_are_off_have_no_effect() {
    let hash = |settings: &str| read("resnet18", settings).runs[0].hash.clone();
    let plain = hash("");
    for settings in [
        "linbp.beta = 3",
        "linbp.max_pool_temperature = 2",
        "linbp.branch_decay = 1",
        "linbp.max_pool = { train = \"max\" }",
        "linbp.variant = { attack = \"plain\" }",
    ] {
        assert_eq!(hash(settings), plain, "{settings}");
    }
    let none = "linbp.layers = \"none\"\nlinbp.branch_decay = 0.5";
    assert_eq!(
        hash(&format!("{none}\nlinbp.variant = \"silu\"")),
        hash(none)
    );
}

#[test]
fn each_use_has_its_own_layers() {
    let train = LinbpUse::Train;
    let attack = LinbpUse::Attack;
    let default = read("lenet5", "");
    let all = read("lenet5", "linbp.layers = \"all\"");
    let apart = read("lenet5", "linbp.layers = { train = \"all\" }");
    let other = read(
        "lenet5",
        "linbp.layers = { train = \"from:relu4\", attack = [\"*\"] }",
    );
    let gradient = |plan, r#use| answer(plan, r#use).gradient;
    for r#use in USES {
        assert_ne!(gradient(&default, r#use), gradient(&all, r#use));
    }
    assert_eq!(gradient(&apart, train), gradient(&all, train));
    assert_eq!(gradient(&apart, attack), gradient(&default, attack));
    assert_eq!(gradient(&other, attack), gradient(&all, attack));
    assert_ne!(gradient(&other, train), gradient(&default, train));
    let hashes = [&default, &all, &apart, &other].map(|plan| plan.runs[0].hash.clone());
    for (i, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..i].contains(hash));
    }
}

#[test]
fn misspelt_layers_are_refused_for_the_use_that_names_them() {
    let plan = read("lenet5", "linbp.layers = { attack = [\"relu9\"] }");
    let fault = runner::pipeline::check_models(&plan.runs).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "linbp.layers: \"relu9\" matches no activation; near are \"relu1\", \"relu2\", \"relu3\" (`runner models ARCH` \
         lists them)"
    );
}

#[test]
fn silu_takes_the_place_of_every_relu() {
    // The published choice leaves the first activations true, so their derivative shows in the gradient.
    let relu = read("lenet5", "");
    let named = read("lenet5", "model.activation = \"relu\"");
    let silu = read("lenet5", "model.activation = \"silu\"");
    for r#use in USES {
        let [relu, named, silu] = [&relu, &named, &silu].map(|plan| answer(plan, r#use));
        assert_eq!(
            (&relu.logits, &relu.gradient),
            (&named.logits, &named.gradient)
        );
        assert_ne!(relu.logits, silu.logits);
        assert_ne!(relu.gradient, silu.gradient);
    }
    // MobileNetV2 has ReLU6s of its own, which are other functions than ReLUs where values are large.
    let stage = |plan: &Plan| plan.runs[0].spec.stages[0].clone();
    let logits = |plan: &Plan| {
        let network = network(&stage(plan));
        let images = Tensor::ones((1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
        let logits = network.logits(&images.affine(200.0, 0.0).unwrap()).unwrap();
        logits.to_vec2::<f32>().unwrap()
    };
    let own = read("mobilenet_v2", "");
    let relu = read("mobilenet_v2", "model.activation = \"relu\"");
    assert_ne!(logits(&own), logits(&relu));
}
