//! A network as an ONNX file, from what a forward pass computes ([`Network::trace`]).
//!
//! Tensors have the names of the state dict and activations those of `runner models`. Numbers are f32 and the batch is free.
//! The pass is one in evaluation mode: batch norms are apart, with their running statistics, and there is no dropout.

mod operations;
mod writer;

use prost::Message;

use super::proto;
use crate::nn::Network;
use crate::{Error, Result};
use writer::{FLOAT, Writer};

/// The version of the format, and that of the standard operators.
const FORMAT: i64 = 8;
const OPERATORS: i64 = 17;

/// A message of protobuf stays below this.
const LARGEST: usize = i32::MAX as usize;

/// The file of a network for images of shape (channels, height, width).
///
/// # Errors
/// Images that the network does not take, a layer that says nothing of itself, more than 2 GiB of numbers.
pub fn export(network: &Network, image: [usize; 3]) -> Result<Vec<u8>> {
    let trace = network.trace(image)?;
    let mut writer = Writer::new(network)?;
    // Before any layer that is called so.
    let [images, logits] = ["images", "logits"].map(|name| writer.fresh(name));
    writer.values.insert(trace.input, images.clone());
    for layer in &trace.layers {
        writer.layer(layer)?;
    }
    let last = writer.value(trace.output)?;
    for node in &mut writer.nodes {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if *name == last {
                name.clone_from(&logits);
            }
        }
    }
    let model = proto::Model {
        ir_version: FORMAT,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        opset_import: vec![proto::OperatorSet {
            domain: String::new(),
            version: OPERATORS,
        }],
        graph: Some(proto::Graph {
            name: "network".into(),
            node: writer.nodes,
            initializer: writer.initializers,
            input: vec![value_info(images, &image)],
            output: vec![value_info(logits, &[trace.classes])],
            sparse_initializer: Vec::new(),
        }),
    };
    match model.encoded_len() {
        ..=LARGEST => Ok(model.encode_to_vec()),
        bytes => Err(Error::failed(format!(
            "the network takes {bytes} bytes, and an ONNX file holds 2 GiB at most; export its weights as .safetensors"
        ))),
    }
}

/// A value with a free batch before these sides.
fn value_info(name: String, sides: &[usize]) -> proto::ValueInfo {
    let batch = proto::Dimension {
        dim_value: None,
        dim_param: Some("N".to_owned()),
    };
    let sides = sides.iter().map(|&side| proto::Dimension {
        dim_value: Some(side as i64),
        dim_param: None,
    });
    let shape = proto::Shape {
        dim: [batch].into_iter().chain(sides).collect(),
    };
    proto::ValueInfo {
        name,
        r#type: Some(proto::Type {
            tensor_type: Some(proto::TensorType {
                elem_type: FLOAT,
                shape: Some(shape),
            }),
        }),
    }
}
