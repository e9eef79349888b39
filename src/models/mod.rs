//! The architectures.

/// The architectures that are built, as the spec names them.
pub fn names() -> &'static [&'static str] {
    &["mlp", "lenet5", "mobilenet_v2"]
}
