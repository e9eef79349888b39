//! A run that is killed again and again ends with the weights and the rows of one that never was.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Adversarial training with everything that draws random numbers: shuffling, crops, flips, dropout, random starts.
const MOBILENET: &str = r#"
name = "run"
task = "adversarial-train"
seed = 5
[data]
kind = "shapes"
augment = ["random-crop", "horizontal-flip"]
batch_size = 16
eval_batch_size = 16
train_limit = 80
test_limit = 16
[model]
arch = "mobilenet_v2"
[linbp]
train = true
attack = true
[optimizer]
kind = "sgd"
lr = 0.05
momentum = 0.9
weight_decay = 5e-4
[scheduler]
kind = "cosine"
[train]
epochs = 2
[attack]
kind = "pgd"
epsilon = "8/255"
step_size = "4/255"
k = 1
[evaluate]
attacks = ["none", "pgd"]
[checkpoint]
every = "1 step"
keep = 3
"#;

/// Plain training with an optimizer that counts its steps.
const LENET: &str = r#"
name = "run"
task = "train"
seed = 6
[data]
kind = "digits"
batch_size = 32
train_limit = 1600
test_limit = 200
[model]
arch = "lenet5"
[optimizer]
kind = "adam"
lr = 0.001
[train]
epochs = 3
[checkpoint]
every = "5 steps"
"#;

fn start(folder: &Path, spec: &str) -> Child {
    let path = folder.join("spec.toml");
    fs::write(&path, spec).unwrap();
    Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .arg("spec.toml")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn run_folder(folder: &Path) -> PathBuf {
    let named = folder.join("results/run");
    let mut runs: Vec<PathBuf> = fs::read_dir(named)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.json").exists())
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

/// The rows without their timings, which are the last two columns.
fn rows(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(run_folder(folder).join("metrics.csv")).unwrap();
    text.lines()
        .map(|line| line.rsplitn(3, ',').last().unwrap().to_string())
        .collect()
}

/// The weights at the end, and their average where there is one.
fn weights(folder: &Path) -> Vec<Option<Vec<u8>>> {
    let checkpoints = run_folder(folder).join("checkpoints");
    let files = ["final", "ema", "swa"].map(|file| format!("{file}.safetensors"));
    let weights = files.map(|file| fs::read(checkpoints.join(file)).ok());
    assert!(weights[0].is_some());
    weights.into()
}

/// Kills the run after each of `delays`, then lets it end.
fn compare(spec: &str, delays: &[u64]) {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    finish(start(whole.path(), spec));
    let mut kills = 0;
    for &delay in delays {
        let mut child = start(broken.path(), spec);
        std::thread::sleep(Duration::from_millis(delay));
        // On Unix this is SIGKILL: the process has no chance to tidy up.
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    finish(start(broken.path(), spec));
    assert!(
        kills > 0,
        "every run ended before it could be killed: shorten the delays"
    );
    assert_eq!(rows(whole.path()), rows(broken.path()));
    assert!(
        weights(whole.path()) == weights(broken.path()),
        "the weights differ"
    );
}

#[test]
fn a_killed_adversarial_training_ends_the_same() {
    compare(MOBILENET, &[300, 700, 1500, 2500, 1900]);
}

/// Two terms whose sums go on within an epoch.
#[test]
fn a_killed_trades_training_ends_the_same() {
    let spec = LENET.replace("\"train\"", "\"adversarial-train\"").replace(
        "epochs = 3",
        "epochs = 2\nobjective = { kind = \"trades\", beta = 3 }",
    ) + "[attack]\nkind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.05\nk = 2\n";
    compare(&spec, &[150, 300, 450]);
}

/// Weights that are perturbed in every step, an average that takes in every step, smoothed labels, clipped gradients.
#[test]
fn a_killed_training_with_awp_and_ema_ends_the_same() {
    let spec = LENET
        .replace("\"train\"", "\"adversarial-train\"")
        .replace(
            "kind = \"adam\"",
            "kind = \"sgd\"\nmomentum = 0.9\nweight_decay = 5e-4",
        )
        .replace("lr = 0.001", "lr = 0.01\nno_decay = true\nclip_norm = 1")
        .replace(
            "epochs = 3",
            "epochs = 2\nobjective = { kind = \"adversarial\", mix = 0.5 }\nlabel_smoothing = 0.1\n\
             awp = { gamma = 0.01 }\naverage = { kind = \"ema\", decay = 0.99 }",
        )
        + "[attack]\nkind = \"pgd\"\nepsilon = 0.1\nstep_size = 0.05\nk = 2\n[evaluate]\nattacks = [\"none\", \"pgd\"]\n";
    compare(&spec, &[150, 300, 450, 600]);
}

/// An average whose batch norms are measured before each of its evaluations.
#[test]
fn a_killed_training_with_swa_ends_the_same() {
    let layers =
        "layers = [\"conv 4 5x5 stride=2\", \"batch-norm\", \"relu\", \"flatten\", \"linear 10\"]";
    let spec = LENET.replace("arch = \"lenet5\"", layers).replace(
        "epochs = 3",
        "epochs = 4\naverage = { kind = \"swa\", start = 1 }",
    );
    compare(&spec, &[60, 120, 250, 400]);
}

/// A perturbation that goes on from batch to batch, several updates on each, a last smaller batch, and validation images.
#[test]
fn a_killed_free_training_ends_the_same() {
    let spec = LENET
        .replace("\"train\"", "\"adversarial-train\"")
        .replace("train_limit = 1600", "train_limit = 800\nvalidation = 90")
        .replace(
            "epochs = 3",
            "epochs = 2\nobjective = { kind = \"free\", replays = 3 }",
        )
        + "[attack]\nkind = \"fgsm\"\nepsilon = 0.1\nmodel_mode = \"train\"\n";
    compare(&spec, &[150, 300, 450]);
}

/// Noise beyond the ball, and a guard whose measurements decide how the training ends.
#[test]
fn a_killed_n_fgsm_training_ends_the_same() {
    let spec = LENET.replace("\"train\"", "\"adversarial-train\"").replace(
        "epochs = 3",
        "epochs = 3\nguard = { on_collapse = \"restore\", drop = 0.01, images = 64, k = 3 }",
    ) + "[attack]\nkind = \"n-fgsm\"\nepsilon = 0.1\nmodel_mode = \"train\"\n";
    compare(&spec, &[150, 300, 450]);
}

/// Extra images in a file as numpy writes it, each of one shade.
fn extra(path: &Path) {
    let array = |descr: &str, shape: &str, bytes: &[u8]| {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), bytes].concat()
    };
    let images: Vec<u8> = (0..50).flat_map(|image| [image * 5; 784]).collect();
    let labels: Vec<u8> = (0..50).map(|image| image % 10).collect();
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [
        ("image.npy", array("|u1", "(50, 28, 28, 1)", &images)),
        ("label.npy", array("|u1", "(50,)", &labels)),
    ] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Everything that is drawn for a batch and not for an image: partners of images that are mixed, extra images.
#[test]
fn a_killed_training_on_mixed_and_extra_images_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("extra.npz");
    extra(&file);
    let data = format!(
        "kind = \"digits\"\nextra = {{ file = {:?}, fraction = 0.4 }}\naugment = [\"random-crop\", \"random-erasing\", \
         {{ kind = \"cutout\", size = 6 }}, \"cutmix\"]",
        file.display().to_string()
    );
    let spec = LENET.replace("kind = \"digits\"", &data);
    compare(&spec, &[60, 120, 250, 400]);
    compare(&spec.replace("\"cutmix\"", "\"mixup\""), &[100, 200, 400]);
}

#[test]
fn a_killed_training_ends_the_same() {
    compare(LENET, &[60, 120, 250, 400]);
}

/// Ctrl-C writes a checkpoint, the exit code says so, and the same command goes on from there.
#[cfg(unix)]
#[test]
fn an_interrupted_training_goes_on() {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = LENET.replace("5 steps", "2 epochs");
    finish(start(whole.path(), &spec));
    let child = start(broken.path(), &spec);
    let checkpoints = || {
        let named = broken.path().join("results/run");
        fs::read_dir(named)
            .into_iter()
            .flatten()
            .flatten()
            .any(|run| {
                fs::read_to_string(run.path().join("metrics.csv"))
                    .is_ok_and(|text| text.lines().count() > 1)
            })
    };
    while !checkpoints() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    finish(start(broken.path(), &spec));
    assert_eq!(rows(whole.path()), rows(broken.path()));
    assert!(
        weights(whole.path()) == weights(broken.path()),
        "the weights differ"
    );
}
