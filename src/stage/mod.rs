//! One file a task.

pub mod simulate;
