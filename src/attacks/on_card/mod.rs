//! The arithmetic of gradient steps on a card, where images stay from the first step to the last.

pub mod faults;
pub mod perturbation;
pub mod start;
