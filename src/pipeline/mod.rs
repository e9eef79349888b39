//! The graph of stages and its executor.
