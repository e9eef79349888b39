//! Networks of one's own: the graph and the weights in an ONNX file, as `torch.onnx.export` writes them.

use std::path::Path;

use super::architecture::{Architecture, Form, FromFile, ModelConfig, Pattern};
use super::preset::Preset;
use crate::nn::{Builder, Module};
use crate::onnx::{Graph, files, lower};
use crate::{Error, Result};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    pattern: Some(Pattern {
        name: "onnx:FILE",
        about: "a network of one's own in an ONNX file, with its weights: onnx:net.onnx",
        prefix: PREFIX,
        check,
    }),
    file: Some(FromFile {
        form,
        files: |name| files(path(name)),
    }),
    ..Architecture::new(
        "onnx:FILE",
        "a network of one's own in an ONNX file, with its weights",
        "",
        Preset::Globs(&[]),
        define,
    )
}];

const PREFIX: &str = "onnx:";

/// Sides of images for which a file is described that leaves them open.
const SIDE: usize = 32;

/// The file, relative to the working directory.
fn path(name: &str) -> &Path {
    Path::new(name.strip_prefix(PREFIX).unwrap_or(name))
}

fn check(name: &str) -> Result<()> {
    match path(name).is_file() {
        true => Ok(()),
        false => Err(Error::spec(format!(
            "model.arch: \"onnx:FILE\" with an ONNX file, relative to the working directory, and {} is none",
            path(name).display()
        ))),
    }
}

/// The images and classes that the file is written for.
fn form(name: &str) -> Result<Form> {
    let graph = Graph::read(path(name))?;
    let image = match *graph.image.as_slice() {
        [Some(channels), height, width] => {
            [channels, height.unwrap_or(SIDE), width.unwrap_or(SIDE)]
        }
        [Some(numbers)] => [1, 1, numbers],
        _ => {
            return Err(
                graph.fault("does not say how many channels its images have; export it with them")
            );
        }
    };
    Ok((
        image,
        lower(&graph, &Builder::outline(), image, None)?.classes,
    ))
}

fn define(b: &Builder, config: &ModelConfig, name: &str) -> Result<Box<dyn Module>> {
    let graph = Graph::read(path(name))?;
    let lowered = lower(&graph, b, config.image, config.dropout)?;
    if lowered.classes != config.classes {
        return Err(graph.fault(&format!(
            "tells {} classes apart, the data has {}",
            lowered.classes, config.classes
        )));
    }
    let file = path(name).display();
    if lowered.normalizes && config.normalize.is_some() {
        b.remark(format!(
            "{file}: the network standardises its images itself, and data.normalize does so before; set one of them"
        ));
    }
    if let Some(softmax) = &lowered.softmax {
        b.remark(format!(
            "{file}: ends in {softmax}, which is left out: attacks and losses take logits"
        ));
    }
    Ok(Box::new(lowered.steps))
}
