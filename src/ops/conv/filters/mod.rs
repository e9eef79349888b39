//! A convolution's weights in the orders that its algorithms take.

pub(super) mod card;
pub(super) mod cpu;
