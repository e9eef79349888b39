//! Architectures by name: one record each, one file per family, and the registry that specs refer to.

mod architecture;
mod cifar_resnet;
mod densenet;
mod describe;
mod layers;
mod lenet5;
mod linbp;
mod linbp_section;
mod mlp;
mod mobilenet_v2;
mod origin;
mod preact_resnet;
mod preset;
mod registry;
mod resnet;
mod section;
mod squeezenet;
mod stem;
mod vgg;
mod wide_resnet;

pub use architecture::{Architecture, ModelConfig, Pattern};
pub use describe::{Description, describe};
pub use layers::Layers;
pub use linbp::{linear_plan, rescaled};
pub(crate) use linbp_section::NO_GRADIENTS;
pub use linbp_section::{LayersByUse, LinbpSpec, LinbpVariant};
pub use origin::{Origin, stem_of_weights};
pub use preset::LinbpUse;
pub use registry::{Arch, adapt, all, build, dropout, names, outline};
pub use section::{ModelSpec, Moment, Rectifier, WeightsRef};
pub use stem::Stem;
