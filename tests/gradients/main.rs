//! Every layer's forward pass against its plain definition and every gradient against central differences in f64,
//! on every instruction set; f32 against f64, and one thread against three, bit for bit.

mod activations;
mod backward_rules;
mod convolution;
mod curves;
mod features;
mod harness;
mod linear_backward;
mod models;
mod naive;
mod normalisation;
mod pooling;
mod rearrangement;
mod structure;
