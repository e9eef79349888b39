//! A convolution's weights in the orders that its algorithms take.

pub(in crate::ops) mod card;
pub(super) mod cpu;
