//! Numbers against PyTorch's: of ops and layers, from fixtures that tests/parity/make_op_fixtures.py wrote; of whole
//! models, attacks and objectives of training, from a PyTorch that is asked on the fly.

mod attacks;
mod card;
mod models;
mod objectives;
mod ops;
mod published;
mod pytorch;
