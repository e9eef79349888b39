//! The norm that a spec bounds perturbations in.

use crate::choice::choices;

choices! {
    /// The norm that bounds a perturbation.
    Norm {
        /// The largest change of any pixel.
        Linf = "linf",
        /// The Euclidean length of the change of the whole image.
        L2 = "l2",
    }
}
