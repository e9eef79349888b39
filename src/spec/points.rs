//! `--sweep-from points.csv`: the points of a sweep as rows of a table, one column for each swept key.

use std::path::Path;

use figment::value::Value;

use super::overrides::parse_value;
use super::sweep::MAX_POINTS;

/// The columns of a table of points: each key and its values, row by row. Cells are TOML, or else plain text.
///
/// # Errors
/// What is wrong with the file, in words, with the line.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Vec<Value>)>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| format!("cannot read it: {error}"))?;
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for key in &header {
        let is_key = !key.is_empty() && key.split('.').all(|part| !part.is_empty());
        if !is_key || columns.iter().any(|(known, _)| known == key) {
            return Err(format!(
                "line 1: expected the swept keys, each once, such as \"optimizer.lr,seed\", found \"{key}\""
            ));
        }
        columns.push((key.to_owned(), Vec::new()));
    }
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(|error| error.to_string())?;
        if number == MAX_POINTS {
            return Err(format!(
                "has more than the {MAX_POINTS} rows that one sweep may have"
            ));
        }
        for ((key, values), cell) in columns.iter_mut().zip(&row) {
            if cell.is_empty() {
                let line = row.position().map_or(0, csv::Position::line);
                return Err(format!(
                    "line {line}: {key}: expected a value, found nothing"
                ));
            }
            values.push(parse_value(cell));
        }
    }
    match columns.first() {
        Some((_, values)) if !values.is_empty() => Ok(columns),
        _ => Err("has no points: expected a line of keys and a line for each point".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, Vec<Value>)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn cells_are_toml_or_text() {
        let columns = of("optimizer.lr, attack.kind,linbp.attack\n1e-3,pgd,true\n0.5,fgsm,false\n");
        let columns = columns.unwrap();
        assert_eq!(columns[0].0, "optimizer.lr");
        assert_eq!(columns[0].1, [Value::from(1e-3), Value::from(0.5)]);
        assert_eq!(columns[1].1, [Value::from("pgd"), Value::from("fgsm")]);
        assert_eq!(columns[2].1, [Value::from(true), Value::from(false)]);
    }

    #[test]
    fn faults_are_told_with_their_lines() {
        for (text, expected) in [
            ("", "no points"),
            ("a.b\n", "no points"),
            ("a,a\n1,2\n", "line 1: expected the swept keys, each once"),
            ("a..b\n1\n", "line 1: expected the swept keys"),
            ("a,b\n1,2\n3,\n", "line 3: b: expected a value"),
            ("a,b\n1\n", "line: 2"),
        ] {
            let message = of(text).unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }
}
