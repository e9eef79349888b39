//! Weights that users bring.
