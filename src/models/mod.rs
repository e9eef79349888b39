//! Architectures by name: one record each, one file per family, and the registry that specs refer to.

mod architecture;
mod by_use;
mod describe;
mod layers;
mod linbp;
mod linbp_section;
mod origin;
mod preactivated;
mod preset;
mod registry;
mod section;
mod stem;

/// The list of the families: a name of a file each, which exports its records.
macro_rules! families {
    ($($family:ident,)+) => {
        $(mod $family;)+

        /// The families, in the order in which they are listed.
        const FAMILIES: &[&[Architecture]] = &[$($family::ARCHITECTURES),+];
    };
}

families! {
    mlp,
    lenet5,
    mobilenet_v2,
    squeezenet,
    vgg,
    resnet,
    densenet,
    wide_resnet,
    dm_resnet,
    cifar_resnet,
    preact_resnet,
    sequential,
    onnx,
}

pub use architecture::{Architecture, Form, ModelConfig, Pattern};
pub use by_use::ByUse;
pub use describe::{Description, describe};
pub use layers::Layers;
pub use linbp::{decayed, linear_plan, rescaled, softened};
pub(crate) use linbp_section::NO_GRADIENTS;
pub use linbp_section::{LinbpSpec, LinbpVariant, MaxPoolGradient};
pub use origin::{Origin, check_layers, stem_of_weights};
pub use preset::LinbpUse;
pub(crate) use preset::unmatched;
pub use registry::{Arch, adapt, all, build, dropout, names, normalize, outline, patterns};
pub use section::{ModelSpec, Moment, Rectifier, WeightsRef};
pub use sequential::{LAYER_KINDS, Layer, LayerKind, layers_as_text, layers_outputs};
pub use stem::Stem;
