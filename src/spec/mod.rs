//! From TOML to typed settings.
