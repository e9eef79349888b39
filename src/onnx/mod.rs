//! Networks in ONNX files: read as files from anywhere are, and made layers on the tape; and written, from what a forward
//! pass computes.
//!
//! A file is decoded (`proto`), its graph and tensors are checked (`graph`, `constant`), activations written as several
//! operators are made one again (`patterns`), tensors stored once for several users are taken apart (`shared`), what it
//! computes of shapes alone is computed (`fold`), and its operators become layers (`lower`), which a `network` runs.

mod constant;
mod export;
mod external;
mod fold;
mod graph;
mod lower;
mod network;
mod node;
mod patterns;
mod proto;
mod shared;
mod single;

pub use export::export;
pub use graph::{Graph, files};
pub use lower::{Lowered, lower};
