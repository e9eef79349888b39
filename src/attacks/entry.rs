//! Attacks in the lists of a spec: a name, which takes what fits from `[attack]`, or a table with its own settings.

use figment::value::Value;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::settings::Making;
use super::{Attack, AttackKind, AttackName, AttackSettings};
use crate::Result;
use crate::choice::{did_you_mean, one_of};
use crate::spec::{Fields, Key, Table, found, join, peek};

/// An attack of a list, with all its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name in result files.
    pub name: String,
    pub settings: AttackSettings,
}

/// The keys of an entry beside the attack's own.
const HEAD: &[Key] = &[
    Key {
        name: "kind",
        doc: "the attack, a name that `runner attacks` lists",
    },
    Key {
        name: "name",
        doc: "the name in result files; default its kind",
    },
];

impl Entry {
    /// The attacks that it stands for: one, or the members of an ensemble.
    ///
    /// # Errors
    /// Settings that ask for more classes than there are.
    pub(crate) fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        self.settings.attacks(making)
    }

    /// Whether it, or a member of it, asks for gradients, and not for logits alone.
    pub fn has_gradients(&self) -> bool {
        match self.settings.members() {
            [] => self.settings.kind().description().has_gradients,
            members => members.iter().any(Self::has_gradients),
        }
    }

    /// Brings its numbers down to those of a trial run; whether any changed.
    pub(crate) fn shrink(&mut self) -> bool {
        !self.settings.shrink().is_empty()
    }

    /// What tells it apart; see [`Section::identity`](crate::spec::Section::identity).
    pub(crate) fn identity(&self) -> Result<toml::Value, toml::ser::Error> {
        let mut table = self.settings.identity()?;
        table.insert("kind".into(), self.settings.kind().name().into());
        table.insert("name".into(), self.name.as_str().into());
        Ok(table.into())
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let kind = self.settings.kind().name();
        let mut map = serializer.serialize_map(None)?;
        if self.name != kind {
            map.serialize_entry("name", &self.name)?;
        }
        map.serialize_entry("kind", kind)?;
        let own = toml::Table::try_from(&self.settings).map_err(S::Error::custom)?;
        for (key, value) in &own {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The keys that a named attack takes from the tables that it shares with others.
pub(super) fn keys_of_name(name: &str, tables: &[Table]) -> Vec<&'static str> {
    let Some(named) = AttackName::find(name) else {
        return Vec::new();
    };
    let (kind, fixed) = (named.kind, named.fixed());
    let own = kind.description().keys.iter().map(|key| key.name);
    let mut keys: Vec<&'static str> = own.filter(|&key| !fixed.contains_key(key)).collect();
    for member in members(kind, tables) {
        // An ensemble in itself is refused where it is read.
        if let Value::String(_, member) = &member
            && member != name
        {
            keys.extend(keys_of_name(member, tables));
        }
    }
    keys
}

/// The members of an ensemble, as its tables write them.
fn members(kind: AttackKind, tables: &[Table]) -> Vec<Value> {
    let Some(standard) = kind.description().members else {
        return Vec::new();
    };
    match peek(tables, "attacks") {
        Some(Value::Array(_, items)) => items.clone(),
        _ => standard.iter().map(|&name| name.into()).collect(),
    }
}

/// The attacks that an item of a list comes to, an ensemble to those of its members. Notes nothing.
pub(super) fn kinds_of_item(item: &Value, shared: &[Table]) -> Vec<AttackKind> {
    let own;
    let (kind, tables) = match item {
        Value::String(_, name) => (AttackName::find(name), shared),
        Value::Dict(_, dict) => {
            own = [Table::all_of(String::new(), dict)];
            let kind = dict.get("kind").and_then(|kind| kind.deserialize().ok());
            (kind, &own[..])
        }
        _ => (None, shared),
    };
    let Some(AttackName { kind, .. }) = kind else {
        return Vec::new();
    };
    let members = members(kind, tables);
    if members.is_empty() {
        return vec![kind];
    }
    let kinds = members.iter().flat_map(|item| match item {
        // An ensemble in itself is refused where it is read.
        Value::String(_, name) if name == kind.name() => Vec::new(),
        item => kinds_of_item(item, tables),
    });
    kinds.collect()
}

/// Reads the settings of a named attack from tables that hold those of others beside them.
pub(super) fn read_named(
    fields: &mut Fields,
    path: &str,
    tables: &[Table],
    named: AttackName,
) -> Option<AttackSettings> {
    let (kind, fixed) = (named.kind, named.fixed());
    let strongest = std::iter::once(Table::all_of(String::new(), &fixed));
    let tables = strongest.chain(tables.iter().cloned()).collect();
    let mut part = fields.part(path.to_owned(), kind.description().keys, tables);
    part.shared = true;
    let read = kind.read(part);
    fields.outcome.end_reading();
    read
}

/// Reads an attack that has a table of its own, whose other keys are `heads`.
fn read_own(
    fields: &mut Fields,
    path: String,
    item: &Value,
    heads: &'static [Key],
) -> Option<Entry> {
    let dict = item.as_dict()?;
    let tables = vec![Table::all_of(path.clone(), dict)];
    let mut head = fields.part(path.clone(), heads, tables.clone());
    head.shared = true;
    let named: Option<AttackName> = head.required("kind");
    let name: Option<Option<String>> = head.optional("name");
    let named = named?;
    let kind = named.kind;
    if !kind.description().is_for_evaluation {
        head.fault("kind", &format!("expected {INSIDE}, found \"{named}\""));
        return None;
    }
    let mut known: Vec<&str> = heads.iter().map(|key| key.name).collect();
    known.extend(keys_of_name(named.name(), &tables));
    head.refuse_all_but(&known, |key| misfit(&[named.name()], key));
    let name = name?.unwrap_or_else(|| named.name().to_owned());
    let other = AttackName::find(&name).is_some_and(|other| other.kind != kind);
    if !is_name(&name) || name == "none" || other {
        let message = format!(
            "expected up to 50 letters, digits, - and _, not the name of another attack, found {name:?}"
        );
        head.fault("name", &message);
        return None;
    }
    let settings = read_named(fields, &path, &tables, named)?;
    Some(Entry { name, settings })
}

/// Whether a text can name an attack in result files.
fn is_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    (1..=50).contains(&text.len()) && text.chars().all(allowed) && !text.ends_with("-8bit")
}

/// What is expected where images are judged.
pub(super) const INSIDE: &str = "an attack that stays inside its ball, not one for training alone";

/// The words for a setting that none of these attacks has, and others have.
pub(super) fn misfit<S: AsRef<str>>(attacks: &[S], key: &str) -> Option<String> {
    let having = AttackKind::with_key(key);
    if having.is_empty() {
        return None;
    }
    if attacks.is_empty() {
        return Some("no attack takes it: those of the list have settings of their own".into());
    }
    let verb = if having.len() == 1 { "has" } else { "have" };
    let attacks: Vec<&str> = attacks.iter().map(AsRef::as_ref).collect();
    let none = if attacks.len() == 1 { "has" } else { "have" };
    Some(format!(
        "{} {none} no {key}; {} {verb}",
        attacks.join(", "),
        having.join(", ")
    ))
}

/// Where the attacks that a list only names have their settings.
pub(crate) enum Shared {
    /// In the section `[attack]`.
    Section,
    /// Beside the list itself: the members of an ensemble.
    Beside,
}

/// Reads an item of a list of attacks; what is no attack is refused with the names of all and `also`.
pub(crate) fn read_item(
    fields: &mut Fields,
    path: String,
    item: &Value,
    shared: Shared,
    also: Option<&'static str>,
) -> Option<Entry> {
    match item {
        Value::Dict(..) => {
            let heads = match shared {
                Shared::Section => HEAD,
                // A member is known by its kind.
                Shared::Beside => &HEAD[..1],
            };
            read_own(fields, path, item, heads)
        }
        Value::String(_, name) if AttackName::find(name).is_some() => {
            let named = AttackName::find(name)?;
            if !named.kind.description().is_for_evaluation {
                return fields.refuse_item(&path, item, INSIDE);
            }
            let around = fields.around;
            let (path, tables, name) = match shared {
                Shared::Section => {
                    let path = fields.path.rsplit_once('.').map_or("", |(stage, _)| stage);
                    (join(path, "attack"), around.tables("attack"), name.as_str())
                }
                // A member is known by its kind and settings.
                Shared::Beside => (
                    fields.path.clone(),
                    fields.tables.clone(),
                    named.kind.name(),
                ),
            };
            let settings = read_named(fields, &path, &tables, named)?;
            Some(Entry {
                name: name.to_owned(),
                settings,
            })
        }
        other => {
            let names: Vec<&str> = also.into_iter().chain(AttackKind::entry_names()).collect();
            let text = other.as_str().unwrap_or_default();
            let hint = did_you_mean(text, names.iter().copied());
            let location = fields.locations.locate(&path, other.tag());
            let message = format!("expected {}, found {}{hint}", one_of(&names), found(other));
            fields.outcome.fault(&location, &path, &message);
            None
        }
    }
}
