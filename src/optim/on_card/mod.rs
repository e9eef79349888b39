//! The updates of all parameters on a card, in one launch.

pub mod adam;
mod chunks;
pub mod sgd;
