//! Attacks on trained models.
