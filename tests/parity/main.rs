//! Numbers against PyTorch's: of ops and layers, from fixtures that tests/parity/make_op_fixtures.py wrote; of whole
//! models, attacks and a TRADES step, from a PyTorch that is asked on the fly.

mod attacks;
mod card;
mod models;
mod onnx;
mod ops;
mod published;
mod pytorch;
mod trades;
