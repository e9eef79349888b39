//! From the command line and the environment to a request for a plan.

use std::path::Path;

use super::Overrides;
use crate::spec::Request;

/// The request for a spec with the settings over it.
pub fn request(spec: &Path, overrides: &Overrides) -> Request {
    Request {
        spec: spec.to_path_buf(),
        overrides: overrides.assignments.clone(),
        sweeps: overrides.sweep.clone(),
        points: overrides.sweep_from.clone(),
        environment: std::env::vars_os().collect(),
        smoke: overrides.smoke,
    }
}
