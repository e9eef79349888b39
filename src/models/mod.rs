//! Architectures by name: one file a family, and the registry that specs refer to.

mod layers;
mod lenet5;
mod mlp;
mod mobilenet_v2;
mod registry;

pub use layers::Layers;
pub use registry::{Arch, LinbpUse, ModelConfig, build, linear_plan, names};
