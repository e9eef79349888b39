//! Numbers against PyTorch's, and files as other programs read them: of ops, and of a spec's layers, from fixtures that
//! tests/parity/make_*_fixtures.py wrote; of whole models, attacks and objectives of training, from a PyTorch that is asked on
//! the fly.

mod attacks;
mod backward_rules;
mod card;
mod exported;
mod interpreter;
mod large;
mod layers;
mod models;
mod objectives;
mod onnx;
mod ops;
mod published;
mod pytorch;
mod robustbench;
mod single_step;
mod tensorboard;
mod transferable;
mod walk_through;
mod zoo;
