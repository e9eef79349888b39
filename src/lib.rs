//! A config-driven experiment runner for adversarial robustness with linear backpropagation (LinBP).
//!
//! The modules, from the top down: [`cli`] parses and dispatches, [`verify`] compares runs with what others claim,
//! [`pipeline`] orders and runs the stages of an [`experiment`], which [`spec`], the language, reads from TOML; [`stage`]
//! holds one file per task and [`train`] the training loop with its objectives; [`run`] owns the run folder, [`report`]
//! draws from the files of a run. Below them the numerical side: [`attacks`] and [`optim`] work on [`models`], which are
//! written with the layers of [`nn`], whose kernels are in [`ops`]. [`data`] and [`weights`] read what users bring. Every
//! section of a spec stands beside what it configures.

mod aligned;
pub mod atomic;
pub mod attacks;
mod choice;
pub mod cli;
pub mod data;
pub mod error;
pub mod experiment;
pub mod models;
pub mod nn;
pub mod onnx;
pub mod ops;
pub mod optim;
pub mod pipeline;
mod quoted;
pub mod report;
pub mod rng;
pub mod run;
pub mod spec;
pub mod stage;
pub mod train;
pub mod verify;
pub mod weights;

pub use error::{Error, Result};
