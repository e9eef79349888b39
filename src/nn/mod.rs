//! The reverse mode and the layers that models are written with.

pub mod activation;
pub mod arithmetic;
pub mod batch_norm;
pub mod builder;
pub mod conv;
mod conv_norm;
pub mod curve;
pub mod dropout;
mod ensemble;
pub mod gradients;
pub mod init;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod network;
pub mod param;
pub mod pass;
pub mod pool;
pub mod rearrange;
pub mod replay;
pub mod structure;
pub mod tape;
pub mod trace;

pub use activation::Act;
pub use batch_norm::{BatchNorm2d, batch_norm2d};
pub use builder::Builder;
pub use conv::{Conv2d, ConvConfig, conv2d};
pub use curve::Bend;
pub use dropout::{Dropout, dropout};
pub use init::Init;
pub use linear::{Linear, linear, linear_with};
pub use network::{Module, Network};
pub use param::Param;
pub use pass::{Coordinates, LinearPlan, Mode, Pass};
pub use tape::{Gradients, Tape, Var};
