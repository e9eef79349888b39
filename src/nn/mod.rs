//! The tape and the layers.
