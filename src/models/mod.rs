//! Architectures by name.
