//! Task `simulate`.

use super::{StageContext, StageSummary};
use crate::{Error, Result};

pub(super) fn run(_: &StageContext<'_>) -> Result<StageSummary> {
    Err(Error::failed("simulations are not built yet"))
}
