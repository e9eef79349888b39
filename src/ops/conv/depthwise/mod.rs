//! Depthwise convolution: as many groups as channels, one filter for each.

pub(super) mod card;
pub(super) mod cpu;
