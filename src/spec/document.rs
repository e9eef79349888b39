//! One TOML file of a spec: its values, and the line of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Num, Tag, Value};
use toml_edit::{ImDocument, Item, TableLike};

use super::location::Location;
use super::outcome::Outcome;
use super::words::found;

/// A spec is written by hand; what is larger than this is no spec.
const MAX_BYTES: u64 = 1 << 20;

/// One TOML file of a spec. Stages are held by id, under `stage.<id>`.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub path: PathBuf,
    pub dict: Dict,
    /// Dotted path -> line, from 1.
    pub lines: BTreeMap<String, usize>,
    /// The ids of the stages as the file lists them.
    pub stages: Vec<String>,
    /// Whether it lists stages whose ids are faulty.
    pub refused_stages: bool,
    /// The swept keys as the file lists them.
    pub swept: Vec<String>,
    /// The file that this one extends, as it is written.
    pub extends: Option<String>,
}

impl Document {
    /// Reads a file. Returned is why it cannot be read; faults of its text are noted, and it is nothing without sound TOML.
    pub fn read(path: &Path, layer: &str, outcome: &mut Outcome) -> Result<Option<Self>, String> {
        let text = read_text(path)?;
        Ok(Self::parse(path, &text, layer, outcome))
    }

    /// Parses the text of a file; faults are noted, and it is nothing without sound TOML.
    pub fn parse(path: &Path, text: &str, layer: &str, outcome: &mut Outcome) -> Option<Self> {
        let parsed = parse_toml(path, text, layer, outcome)?;
        let lines = Lines::new(text);
        Some(Self::of_table(
            path,
            parsed.as_table(),
            &lines,
            layer,
            outcome,
        ))
    }

    /// The spec that a table of a file holds, which may be the whole file; faults are noted.
    pub(super) fn of_table(
        path: &Path,
        table: &dyn TableLike,
        lines: &Lines,
        layer: &str,
        outcome: &mut Outcome,
    ) -> Self {
        let mut document = Self {
            path: path.to_path_buf(),
            ..Self::default()
        };
        for (key, item) in table.iter() {
            match key {
                "stage" => document.read_stages(item, lines, layer, outcome),
                _ => {
                    document.note_line(key, table, key, lines);
                    if let Some(value) = document.convert(item, key, lines) {
                        document.dict.insert(key.to_owned(), value);
                    }
                }
            }
        }
        document.swept = match table.get("sweep").and_then(Item::as_table_like) {
            Some(sweep) => leaves(sweep, ""),
            None => Vec::new(),
        };
        match document.dict.remove("extends") {
            None => {}
            Some(Value::String(_, base)) if !base.is_empty() => document.extends = Some(base),
            Some(other) => {
                let message = format!(
                    "expected the path of a spec in quotes, found {}",
                    found(&other)
                );
                outcome.fault(&document.location("extends", layer), "extends", &message);
            }
        }
        document
    }

    /// Where the value at a dotted path stands in this file; what is in a list stands where the list does.
    pub fn location(&self, path: &str, layer: &str) -> Location {
        let path = path.split('[').next().unwrap_or(path);
        Location {
            layer: layer.to_owned(),
            file: Some((self.path.clone(), self.lines.get(path).copied())),
        }
    }

    fn read_stages(&mut self, item: &Item, lines: &Lines, layer: &str, outcome: &mut Outcome) {
        let tables: Vec<&dyn TableLike> = match item {
            Item::ArrayOfTables(tables) => {
                tables.iter().map(|table| table as &dyn TableLike).collect()
            }
            Item::Value(toml_edit::Value::Array(array))
                if array.iter().all(|value| value.is_inline_table()) =>
            {
                array
                    .iter()
                    .filter_map(|value| value.as_inline_table().map(|table| table as _))
                    .collect()
            }
            _ => {
                let location = self.location("stage", layer);
                outcome.fault(
                    &location,
                    "stage",
                    "expected stages, each written [[stage]] with an id",
                );
                return;
            }
        };
        let (mut stages, listed) = (Dict::new(), tables.len());
        for (number, table) in tables.into_iter().enumerate() {
            let line = table.iter().find_map(|(key, _)| line_of(table, key, lines));
            let location = Location {
                layer: layer.to_owned(),
                file: Some((self.path.clone(), line)),
            };
            let id = match table.get("id").map(Item::as_str) {
                Some(Some(id)) if is_id(id) => id.to_owned(),
                Some(_) => {
                    let message = "expected up to 64 lower-case letters, digits, - and _";
                    outcome.fault(&location, &format!("stage {}: id", number + 1), message);
                    continue;
                }
                None => {
                    outcome.fault(
                        &location,
                        &format!("stage {}: id", number + 1),
                        "missing; every [[stage]] has one",
                    );
                    continue;
                }
            };
            if self.stages.contains(&id) {
                outcome.fault(
                    &location,
                    "stage",
                    &format!("the id \"{id}\" appears twice"),
                );
                continue;
            }
            let path = format!("stage.{id}");
            if let Some(line) = line {
                self.lines.insert(path.clone(), line);
            }
            let mut dict = self.convert_table(table, &path, lines);
            dict.remove("id");
            stages.insert(id.clone(), dict.into());
            self.stages.push(id);
        }
        self.refused_stages = stages.len() < listed;
        self.dict.insert("stage".into(), stages.into());
    }

    fn note_line(&mut self, path: &str, table: &dyn TableLike, key: &str, lines: &Lines) {
        if let Some(line) = line_of(table, key, lines) {
            self.lines.insert(path.to_owned(), line);
        }
    }

    fn convert_table(&mut self, table: &dyn TableLike, path: &str, lines: &Lines) -> Dict {
        let mut dict = Dict::new();
        for (key, item) in table.iter() {
            let path = format!("{path}.{key}");
            self.note_line(&path, table, key, lines);
            if let Some(value) = self.convert(item, &path, lines) {
                dict.insert(key.to_owned(), value);
            }
        }
        dict
    }

    fn convert(&mut self, item: &Item, path: &str, lines: &Lines) -> Option<Value> {
        if let Some(table) = item.as_table_like() {
            return Some(self.convert_table(table, path, lines).into());
        }
        match item {
            Item::Value(value) => Some(convert_value(value)),
            Item::ArrayOfTables(tables) => {
                let tables: Vec<Value> = tables
                    .iter()
                    .map(|table| self.convert_table(table, path, lines).into())
                    .collect();
                Some(tables.into())
            }
            Item::Table(_) | Item::None => None,
        }
    }
}

/// The text of a TOML file. Returned is why it cannot be read.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot read: {error}");
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if !kind.is_file() {
        // To open a pipe may wait for ever, and what it gave cannot be read again to resume.
        let what = if kind.is_dir() {
            "a folder"
        } else {
            "no plain file"
        };
        return Err(format!("is {what}; expected a spec, a TOML file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // A file may grow meanwhile: what is read is bounded.
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "a spec has at most {MAX_BYTES} bytes, this file has more"
        ));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
}

/// The TOML of a text, where it is sound; a fault is noted.
pub(super) fn parse_toml<'a>(
    path: &Path,
    text: &'a str,
    layer: &str,
    outcome: &mut Outcome,
) -> Option<ImDocument<&'a str>> {
    match ImDocument::parse(text) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let line = error.span().map(|span| Lines::new(text).of(span.start));
            let location = Location {
                layer: layer.to_owned(),
                file: Some((path.to_path_buf(), line)),
            };
            let message = error.message().trim().replace('\n', "; ");
            outcome.fault(&location, "", &format!("not valid TOML: {message}"));
            None
        }
    }
}

/// A TOML value as figment holds it. A date is kept as its text: no setting is a date.
pub(crate) fn convert_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => Value::Num(Tag::Default, Num::I64(*number.value())),
        toml_edit::Value::Float(number) => Value::Num(Tag::Default, Num::F64(*number.value())),
        toml_edit::Value::Boolean(truth) => (*truth.value()).into(),
        toml_edit::Value::Datetime(date) => date.value().to_string().into(),
        toml_edit::Value::Array(array) => array
            .iter()
            .map(convert_value)
            .collect::<Vec<Value>>()
            .into(),
        toml_edit::Value::InlineTable(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| (key.to_owned(), convert_value(value)));
            entries.collect::<Dict>().into()
        }
    }
}

/// Whether a text can be a stage's id: it becomes a folder name and a part of dotted keys.
fn is_id(text: &str) -> bool {
    let allowed = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter)
    };
    (1..=64).contains(&text.len()) && text.chars().all(allowed)
}

/// The dotted paths of all values below a table, in the order of the file.
fn leaves(table: &dyn TableLike, prefix: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, item) in table.iter() {
        let path = if prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{prefix}.{key}")
        };
        match item.as_table_like() {
            // A range is one value, whose first key no setting is called.
            Some(inner) if !inner.contains_key("from") => paths.extend(leaves(inner, &path)),
            _ => paths.push(path),
        }
    }
    paths
}

fn line_of(table: &dyn TableLike, key: &str, lines: &Lines) -> Option<usize> {
    let (written, item) = table.get_key_value(key)?;
    let span = written.span().or_else(|| item.span())?;
    Some(lines.of(span.start))
}

/// Finds the line of a byte offset.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(offset, _)| offset).collect())
    }

    pub(super) fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|&end| end < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<Document>, Vec<String>) {
        let mut outcome = Outcome::default();
        let document = Document::parse(Path::new("a.toml"), text, "spec", &mut outcome);
        (document, outcome.faults())
    }

    #[test]
    fn every_value_has_a_line() {
        let text = "name = \"a\"\n\n[attack]\nk = 5\nx.y = 1\n\n[[stage]]\nid = \"one\"\ntask = \"train\"\n\
                    data = { kind = \"digits\" }\n";
        let (document, faults) = parse(text);
        let document = document.unwrap();
        assert_eq!(faults, [""; 0]);
        for (path, line) in [
            ("name", 1),
            ("attack", 3),
            ("attack.k", 4),
            ("attack.x.y", 5),
            ("stage.one", 8),
            ("stage.one.task", 9),
            ("stage.one.data.kind", 10),
        ] {
            assert_eq!(
                document.lines.get(path),
                Some(&line),
                "{path}: {:?}",
                document.lines
            );
        }
        assert_eq!(document.stages, ["one"]);
    }

    #[test]
    fn broken_toml_names_the_line() {
        let (document, faults) = parse("a = 1\nb = = 2\n");
        assert!(document.is_none());
        assert!(
            faults[0].starts_with("a.toml:2: not valid TOML: "),
            "{faults:?}"
        );
    }

    #[test]
    fn stages_need_sound_ids() {
        let text = "[[stage]]\ntask = \"train\"\n[[stage]]\nid = \"a/b\"\n[[stage]]\nid = \"a\"\n[[stage]]\nid = \"a\"\n";
        let (_, faults) = parse(text);
        assert_eq!(
            faults,
            [
                "a.toml:2: stage 1: id: missing; every [[stage]] has one",
                "a.toml:4: stage 2: id: expected up to 64 lower-case letters, digits, - and _",
                "a.toml:8: stage: the id \"a\" appears twice",
            ]
        );
    }
}
