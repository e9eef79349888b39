//! Tables whose columns depend on the runs. An empty cell means missing, and floats round-trip.

use std::path::Path;

use serde::Serialize;
use toml::Value;

use crate::atomic;
use crate::error::{Error, Result};

/// A setting as a cell: text without quotes, numbers and truth values as such.
pub fn setting(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Float(float)) => number(Some(*float)),
        Some(other) => other.to_string(),
    }
}

/// A number as a cell.
pub fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:?}"))
}

/// Writes a table as a whole, replacing the one that stands.
pub fn write_table<R: Serialize>(
    path: &Path,
    header: impl Iterator<Item = String>,
    rows: impl Iterator<Item = R>,
) -> Result<()> {
    let broken = |error: &dyn std::fmt::Display| {
        Error::failed(format!("{}: cannot write: {error}", path.display()))
    };
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    writer.write_record(header).map_err(|e| broken(&e))?;
    for row in rows {
        writer.serialize(row).map_err(|e| broken(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| broken(&e.error()))?;
    atomic::write(path, &bytes)
}
