//! Weights that others trained and published, on images of theirs: the accuracies that they state, and the classes that
//! PyTorch gives to each image.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use candle_core::{Device, Tensor};
use runner::data::{CIFAR10, Source, Split, load};
use runner::models::{ModelConfig, build};
use runner::ops::image::Normalize;
use runner::weights::{load_tensors, save_safetensors};

use crate::pytorch::{interpreter, say};

/// A network, its file, and how many of the 1,000 images its publisher's definition classifies rightly in PyTorch.
const NETWORKS: [(&str, &str, usize); 4] = [
    ("resnet20", "resnet20-12fca82f.th", 915),
    ("resnet32", "resnet32-d509ac18.th", 928),
    ("resnet44", "resnet44-014dd654.th", 933),
    ("resnet56", "resnet56-4bfd9763.th", 926),
];

#[test]
fn published_resnets_classify_as_in_pytorch() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared");
    let archive = shared.join("data/cifar10-exact.tar.xz");
    if !archive.is_file() || !shared.join("weights").is_dir() {
        say(&format!(
            "SKIPPED the published ResNets: {} or the weights beside it are missing",
            archive.display()
        ));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("xJf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(status.unwrap().success(), "tar unpacks the images");
    let unpacked = folder.path().join("cifar10-exact");
    let set = load(&Source::new(&CIFAR10, Some(&unpacked)), Split::Test).unwrap();
    let mut pixels = vec![0.0; set.len() * set.image_len()];
    for (index, image) in pixels.chunks_exact_mut(set.image_len()).enumerate() {
        set.image_f32(index, image).unwrap();
    }
    let images = Tensor::from_vec(pixels, (set.len(), 3, 32, 32), &Device::Cpu).unwrap();
    let file = folder.path().join("images.safetensors");
    let stored = BTreeMap::from([("images".to_owned(), images.clone())]);
    save_safetensors(&file, &stored, HashMap::new()).unwrap();
    let python = interpreter();

    for (arch, weights, right) in NETWORKS {
        let weights = shared.join("weights").join(weights);
        let config = ModelConfig {
            normalize: Some(Normalize {
                mean: vec![0.485, 0.456, 0.406],
                std: vec![0.229, 0.224, 0.225],
            }),
            ..ModelConfig::new(set.shape, set.classes.len())
        };
        let network = build(arch, &config).unwrap();
        let surplus = network.load(&load_tensors(&weights).unwrap()).unwrap();
        assert!(surplus.is_empty(), "{arch} has no use for {surplus:?}");
        let mut found: Vec<u32> = Vec::new();
        for start in (0..set.len()).step_by(100) {
            let batch = images.narrow(0, start, 100.min(set.len() - start)).unwrap();
            let classes = network.logits(&batch).unwrap().argmax(1).unwrap();
            found.extend(classes.to_vec1::<u32>().unwrap());
        }
        let pairs = found.iter().zip(&set.labels);
        let correct = pairs.filter(|(found, label)| found == label).count();
        say(&format!("{arch}: {correct} of {} are right", set.len()));
        assert_eq!(correct, right, "{arch}");
        let Some(python) = &python else { continue };
        let predictions = folder.path().join("predictions.safetensors");
        let status = Command::new(python)
            .arg(root.join("tests/parity/predictions.py"))
            .arg(arch)
            .args([&weights, &file, &predictions])
            .status();
        assert!(status.unwrap().success(), "predictions.py failed");
        let expected = load_tensors(&predictions).unwrap()["classes"].to_vec1::<i64>();
        let expected: Vec<u32> = expected
            .unwrap()
            .iter()
            .map(|&class| class as u32)
            .collect();
        assert_eq!(found, expected, "{arch}: PyTorch gives other classes");
    }
}
