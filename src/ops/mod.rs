//! Kernels, forward and backward.
