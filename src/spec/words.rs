//! The words of faults: what was expected, what was found, which key was meant.

use figment::error::Kind;
use figment::value::Value;

use super::section::SectionInfo;
use crate::choice::{nearest, one_of};

/// What other programs and the literature call some keys.
const SYNONYMS: &[(&str, &str)] = &[
    ("alpha", "step_size"),
    ("architecture", "arch"),
    ("eps", "epsilon"),
    ("iterations", "k"),
    ("learning_rate", "lr"),
    ("mu", "decay"),
    ("n_iter", "k"),
    ("n_restarts", "restarts"),
    ("num_epochs", "epochs"),
    ("num_steps", "k"),
    ("steps", "k"),
    ("wd", "weight_decay"),
];

/// The words for a key that the table does not have: what its own key of that meaning or the nearest one is, else the
/// section that has such a key.
pub(crate) fn unknown_key<'a>(
    key: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    sections: &[SectionInfo],
) -> String {
    let meant = |name: &str| {
        let mut synonyms = SYNONYMS.iter().filter(|(other, _)| *other == key);
        synonyms.any(|(_, meant)| *meant == name)
    };
    let own = known.clone().find(|name| meant(name));
    if let Some(near) = own.or_else(|| nearest(key, known.clone())) {
        return format!("unknown key; did you mean \"{near}\"?");
    }
    let in_sections = |such: &dyn Fn(&str) -> bool| {
        let mut keys = sections
            .iter()
            .flat_map(|section| section.keys.iter().map(|key| (section.name, key.name)));
        keys.find(|(_, name)| such(name))
    };
    match in_sections(&|name| name == key).or_else(|| in_sections(&meant)) {
        Some((section, key)) => format!("unknown key; did you mean \"{section}.{key}\"?"),
        None => format!(
            "unknown key; known are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

/// What a value should have been, from serde's error.
pub(crate) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(_, words)
        | Kind::InvalidValue(_, words)
        | Kind::InvalidLength(_, words) => plain(words),
        Kind::UnknownVariant(found, names) => match nearest(found, names.iter().copied()) {
            Some(near) => format!("{}; did you mean \"{near}\"?", one_of(names)),
            None => one_of(names),
        },
        other => other.to_string(),
    }
}

/// Serde's words for its own types, in those of the field.
fn plain(words: &str) -> String {
    let plain = match words {
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "path string" | "a string" | "str" => "text in quotes",
        "f64" | "f32" => "a number",
        "usize" | "u64" | "i64" | "u32" => "a whole number",
        other => other,
    };
    plain.to_owned()
}

/// "expected A, found B", with a hint that follows a semicolon of the expectation kept at the end.
pub(super) fn mismatch(expectation: &str, value: &Value) -> String {
    let found = found(value);
    match expectation.split_once("; ") {
        Some((expected, hint)) => format!("expected {expected}, found {found}; {hint}"),
        None => format!("expected {expectation}, found {found}"),
    }
}

/// A value as TOML writes it, shortened.
pub(crate) fn found(value: &Value) -> String {
    match value {
        Value::Dict(..) => "a table".into(),
        Value::Array(_, items) => {
            let shown: Vec<String> = items.iter().take(8).map(found).collect();
            let more = if items.len() > 8 { ", ..." } else { "" };
            format!("[{}{more}]", shown.join(", "))
        }
        Value::String(_, text) if text.chars().count() > 60 => {
            format!("{:?}...", text.chars().take(60).collect::<String>())
        }
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, letter) => format!("{:?}", letter.to_string()),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(whole), _, _) => whole.to_string(),
            (_, Some(whole), _) => whole.to_string(),
            (_, _, Some(real)) => format!("{real:?}"),
            _ => "a number".into(),
        },
        Value::Empty(..) => "nothing".into(),
    }
}
