//! Architectures by name: one file a family, and the registry that specs refer to.

mod densenet;
mod describe;
mod layers;
mod lenet5;
mod mlp;
mod mobilenet_v2;
mod preset;
mod registry;
mod resnet;
mod squeezenet;
mod stem;
mod vgg;
mod wide_resnet;

pub use describe::{DescribedActivation, Description, describe};
pub use layers::Layers;
pub use mlp::WIDTHS as MLP_WIDTHS;
pub use preset::{LinbpUse, linear_plan, rescaled};
pub use registry::{Arch, ModelConfig, adapt, build, dropout, names, outline};
pub use stem::{Origin, Stem, stem_of_weights};
