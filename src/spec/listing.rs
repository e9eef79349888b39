//! A TOML file that lists tables of one name, `[[claim]]` say, of which each may hold a spec.

use std::path::Path;

use figment::value::{Dict, Value};
use toml_edit::{ArrayOfTables, Item, TableLike};

use super::document::{Document, Lines, parse_toml, read_text};
use super::location::Location;
use super::outcome::Outcome;
use super::words::unknown_key;

/// The key of a spec, in a table for that table and at the top of the file for all of them.
const SPEC: &str = "spec";

/// A table of the list.
pub(crate) struct Listed {
    /// Its keys.
    pub table: Document,
    /// The spec that it holds as a table, over what all specs of the file have in common.
    pub spec: Option<Document>,
}

/// The tables `name` of a file; nothing where its text cannot be read. Every fault is noted.
pub(crate) fn read_listing(path: &Path, name: &str, outcome: &mut Outcome) -> Option<Vec<Listed>> {
    let layer = name;
    let at = |line| Location {
        layer: layer.to_owned(),
        file: Some((path.to_path_buf(), line)),
    };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(message) => {
            outcome.fault(&at(None), "", &message);
            return None;
        }
    };
    let parsed = parse_toml(path, &text, layer, outcome)?;
    let (lines, root) = (Lines::new(&text), parsed.as_table());
    let head = Document::of_table(path, root, &lines, layer, outcome);
    let line = |key: &str| head.lines.get(key).copied();
    for (key, _) in root.iter().filter(|(key, _)| ![SPEC, name].contains(key)) {
        let message = unknown_key(key, [SPEC, name].into_iter(), &[]);
        outcome.fault(&at(line(key)), key, &message);
    }
    let common = match root.get(SPEC).map(Item::as_table_like) {
        None => Document::default(),
        Some(Some(table)) => Document::of_table(path, table, &lines, layer, outcome),
        Some(None) => {
            let message = "expected a table, what the specs of the file have in common";
            outcome.fault(&at(line(SPEC)), SPEC, message);
            Document::default()
        }
    };
    let Some(tables) = root.get(name).and_then(Item::as_array_of_tables) else {
        let message = format!("expected at least one [[{name}]]");
        outcome.fault(&at(line(name)), name, &message);
        return None;
    };
    Some(listed(path, name, tables, &common, &lines, outcome))
}

fn listed(
    path: &Path,
    layer: &str,
    tables: &ArrayOfTables,
    common: &Document,
    lines: &Lines,
    outcome: &mut Outcome,
) -> Vec<Listed> {
    let read = tables.iter().map(|table| {
        let start = table.span().map_or(1, |span| lines.of(span.start));
        let mut open = |table: &dyn TableLike, line: usize| {
            let mut document = Document::of_table(path, table, lines, layer, outcome);
            // What is missing belongs there.
            document.lines.entry(String::new()).or_insert(line);
            document
        };
        let own = open(table, start);
        let spec = table.get(SPEC).and_then(Item::as_table_like);
        let spec = spec.map(|table| {
            let line = own.lines.get(SPEC).copied().unwrap_or(start);
            open(table, line).over(common)
        });
        Listed { table: own, spec }
    });
    read.collect()
}

impl Document {
    /// This spec with what another one of the same file has besides.
    fn over(mut self, common: &Self) -> Self {
        self.dict = merged(common.dict.clone(), self.dict);
        for (path, line) in &common.lines {
            self.lines.entry(path.clone()).or_insert(*line);
        }
        let add = |list: &mut Vec<String>, others: &[String]| {
            let own = std::mem::replace(list, others.to_vec());
            list.extend(own.into_iter().filter(|item| !others.contains(item)));
        };
        add(&mut self.stages, &common.stages);
        add(&mut self.swept, &common.swept);
        self.refused_stages |= common.refused_stages;
        self.extends = self.extends.or_else(|| common.extends.clone());
        self
    }
}

/// Two tables as one, in which the values of the second stand where both have one.
fn merged(mut below: Dict, above: Dict) -> Dict {
    for (key, value) in above {
        let value = match (below.remove(&key), value) {
            (Some(Value::Dict(_, below)), Value::Dict(tag, above)) => {
                Value::Dict(tag, merged(below, above))
            }
            (_, value) => value,
        };
        below.insert(key, value);
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Listed>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, text).unwrap();
        let mut outcome = Outcome::default();
        let listed = read_listing(&path, "claim", &mut outcome).unwrap_or_default();
        let shown = format!("{}/", folder.path().display());
        let faults = outcome.faults().into_iter();
        (
            listed,
            faults.map(|line| line.replace(&shown, "")).collect(),
        )
    }

    #[test]
    fn specs_stand_over_what_they_have_in_common_each_with_its_lines() {
        let (listed, faults) = read(
            "[spec]\ntask = \"evaluate\"\ndata = { kind = \"digits\", test_limit = 5 }\n[[claim]]\nname = \"a\"\n\
             [claim.spec]\ndata.test_limit = 7\n[[claim.spec.stage]]\nid = \"x\"\n[[claim]]\nname = \"b\"\nspec = \"c.toml\"\n",
        );
        assert_eq!(faults, [""; 0]);
        let spec = listed[0].spec.as_ref().unwrap();
        let data = spec.dict["data"].as_dict().unwrap();
        assert_eq!(data["kind"].as_str(), Some("digits"));
        assert_eq!(data["test_limit"].to_i128(), Some(7));
        assert_eq!(spec.stages, ["x"]);
        let lines = ["task", "data.kind", "data.test_limit", "stage.x.id"];
        let lines = lines.map(|path| spec.lines.get(path).copied());
        assert_eq!(lines, [Some(2), Some(3), Some(7), Some(9)]);
        assert_eq!(listed[1].table.lines["name"], 11);
        assert!(listed[1].spec.is_none());
    }

    #[test]
    fn what_is_no_list_of_claims_is_refused_in_one_line() {
        for (text, expected) in [
            ("", "a.toml: claim: expected at least one [[claim]]"),
            (
                "claim = 3",
                "a.toml:1: claim: expected at least one [[claim]]",
            ),
            ("[[claim]]\nname = ", "a.toml:2: not valid TOML: "),
            (
                "spec = 3\n[[claim]]\n",
                "a.toml:1: spec: expected a table, what the specs",
            ),
            (
                "[[claims]]\n[[claim]]\n",
                "a.toml:1: claims: unknown key; did you mean \"claim\"?",
            ),
        ] {
            let (_, faults) = read(text);
            assert!(
                faults.len() == 1 && faults[0].starts_with(expected),
                "{text}: {faults:?}"
            );
        }
    }
}
