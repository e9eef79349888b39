//! Bad specs and the exact words that they are refused with.

mod attacks;
mod harness;
mod idle;
mod keys;
mod layers;
mod networks;
mod objectives;
mod single_step;
mod stages;
