//! The tables of the pages, as the program says them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use runner::attacks::AttackKind;
use runner::attacks::momentum::MomentumKind;
use runner::attacks::transform::TransformKind;
use runner::data::{AugmentationKind, Images, KINDS};
use runner::experiment::sections;
use runner::models;
use runner::spec::Key;
use runner::train::{GUARD_KEYS, ObjectiveKind, TrainSpec};
use runner::verify;

/// A table: its heading, and its rows.
fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heading: Vec<String> = heading.iter().map(ToString::to_string).collect();
    let mut text = line(&heading);
    writeln!(text, "|{}", "---|".repeat(heading.len())).unwrap();
    for row in rows {
        let row: Vec<String> = row
            .iter()
            .map(|cell| cell.replace('|', "\\|").replace('<', "&lt;"))
            .collect();
        text += &line(&row);
    }
    text
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn codes<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(code).collect();
    names.join(", ")
}

/// What a key means, and its default or that it is required.
fn meaning(doc: &str) -> [String; 2] {
    let words: Vec<&str> = doc.split_whitespace().collect();
    let text = words.join(" ");
    let text = text.trim_end_matches('.');
    let whole = |part: &str| part.matches('(').count() == part.matches(')').count();
    for mark in ["; default", "; required"] {
        if let Some((before, after)) = text.rsplit_once(mark)
            && whole(after)
        {
            let after = after.trim_start_matches(':').trim();
            let after = match mark {
                "; default" => after.to_owned(),
                _ => format!(
                    "required{}{after}",
                    if after.is_empty() || after.starts_with(',') {
                        ""
                    } else {
                        " "
                    }
                ),
            };
            return [before.to_owned(), after];
        }
    }
    [text.to_owned(), String::new()]
}

fn keys<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    let rows = keys.into_iter().map(|key| {
        let [meaning, default] = meaning(key.doc);
        vec![code(key.name), meaning, default]
    });
    table(&["key", "meaning", "default"], rows)
}

/// The settings that attacks have of their own, those of the same meaning in one row.
fn attack_settings() -> String {
    let mut rows: Vec<(&Key, Vec<&str>)> = Vec::new();
    for attack in AttackKind::ALL.iter().map(|kind| kind.description()) {
        for key in attack.keys {
            let same = |(known, _): &&mut (&Key, _)| (known.name, known.doc) == (key.name, key.doc);
            match rows.iter_mut().find(same) {
                Some((_, attacks)) => attacks.push(attack.name),
                None => rows.push((key, vec![attack.name])),
            }
        }
    }
    // Settings of one name beside each other, in the order in which the names come first.
    let names: Vec<&str> = rows.iter().map(|(key, _)| key.name).collect();
    rows.sort_by_key(|(key, _)| names.iter().position(|name| *name == key.name));
    let rows = rows.iter().map(|(key, attacks)| {
        let [meaning, default] = meaning(key.doc);
        vec![
            code(key.name),
            codes(attacks.iter().copied()),
            meaning,
            default,
        ]
    });
    table(&["key", "attacks", "meaning", "default"], rows)
}

fn attacks() -> String {
    let rows = AttackKind::ALL.iter().map(|kind| {
        let attack = kind.description();
        vec![
            code(attack.name),
            attack.about.to_owned(),
            attack.paper.to_owned(),
            codes(attack.keys.iter().map(|key| key.name)),
            codes(attack.presets.iter().map(|preset| preset.name)),
        ]
    });
    let heading = [
        "attack",
        "what it does",
        "paper",
        "its settings",
        "its names with settings fixed",
    ];
    table(&heading, rows)
}

fn presets() -> String {
    let all = AttackKind::ALL.iter().map(|kind| kind.description());
    let rows = all.flat_map(|attack| {
        attack.presets.iter().map(|preset| {
            vec![
                code(preset.name),
                code(attack.name),
                codes(preset.settings.lines()),
                preset.paper.to_owned(),
            ]
        })
    });
    table(&["name", "attack", "with", "paper"], rows)
}

/// The settings of a choice, in one cell.
fn settings(keys: &[Key]) -> String {
    let settings = keys.iter().map(|key| {
        let [meaning, default] = meaning(key.doc);
        let default = match default.starts_with("required") {
            true => default,
            false => format!("default {default}"),
        };
        format!("`{}`: {meaning}; {default}", key.name)
    });
    settings.collect::<Vec<_>>().join(". ")
}

fn objectives() -> String {
    let rows = ObjectiveKind::NAMES.iter().map(|name| {
        let kind = ObjectiveKind::from_name(name).unwrap();
        vec![code(name), settings(kind.keys())]
    });
    table(&["objective", "its settings"], rows)
}

/// Choices that have settings, under a heading for their names.
fn choices<'a>(
    heading: &str,
    all: impl IntoIterator<Item = (&'a str, [&'a str; 2], &'a [Key])>,
) -> String {
    let rows = all.into_iter().map(|(name, [about, paper], keys)| {
        vec![
            code(name),
            about.to_owned(),
            paper.to_owned(),
            settings(keys),
        ]
    });
    table(&[heading, "what it does", "paper", "its settings"], rows)
}

fn augmentations() -> String {
    let all = AugmentationKind::ALL.iter();
    let all = all.map(|kind| (kind.name(), kind.about(), kind.keys()));
    choices("augmentation", all)
}

fn momenta() -> String {
    let all = MomentumKind::ALL.iter();
    let all = all.map(|kind| (kind.name(), kind.about(), kind.keys()));
    choices("`momentum`", all)
}

fn transforms() -> String {
    let all = TransformKind::ALL.iter();
    let all = all.map(|kind| (kind.name(), kind.about(), kind.keys()));
    choices("in `transform`", all)
}

/// The architectures that one line describes in one row.
fn architectures() -> String {
    let image = |a: &models::Architecture| match (a.has_weights(), a.layers) {
        (true, _) => "those of the file".to_owned(),
        (_, true) => "any size".to_owned(),
        _ => a.image.map(|length| length.to_string()).join("x"),
    };
    let records = models::all().map(|a| (a.name, [a.about, a.paper], image(a)));
    let patterns = models::patterns();
    let patterns = patterns.map(|(a, p)| (p.name, [p.about, a.paper], image(a)));
    let mut rows: Vec<(Vec<&str>, [&str; 2], String)> = Vec::new();
    for (name, words, image) in records.chain(patterns) {
        match rows
            .iter_mut()
            .find(|row| (row.1, &row.2) == (words, &image))
        {
            Some(row) => row.0.push(name),
            None => rows.push((vec![name], words, image)),
        }
    }
    let rows = rows.into_iter().map(|(names, [about, paper], image)| {
        vec![codes(names), about.to_owned(), paper.to_owned(), image]
    });
    table(
        &[
            "`model.arch`",
            "what it is",
            "published",
            "made for images of",
        ],
        rows,
    )
}

/// The layers that a spec can write down.
fn layers() -> String {
    let rows = models::LAYER_KINDS.iter();
    let rows = rows.map(|kind| vec![code(kind.usage), kind.about.to_owned()]);
    table(&["layer", "what it is"], rows)
}

fn data() -> String {
    let numbers = |numbers: &[f64]| {
        let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
        numbers.join(", ")
    };
    let rows = KINDS.iter().map(|kind| {
        let formats = match &kind.images {
            Images::Files { formats, .. } => {
                let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
                names.join(", ")
            }
            Images::Drawn(_) => "none: drawn by the program".to_owned(),
        };
        let get = kind.downloads.map(|_| format!("`runner data get {kind}`"));
        let statistics = kind
            .statistics
            .map(|s| format!("mean {}; std {}", numbers(s.mean), numbers(s.std)));
        vec![
            code(kind.name),
            kind.about.to_owned(),
            formats,
            statistics.unwrap_or_default(),
            get.unwrap_or_default(),
        ]
    });
    let heading = [
        "`data.kind`",
        "what it is",
        "files",
        "`normalize` by its name",
        "fetched by",
    ];
    table(&heading, rows)
}

/// Every generated part by the name in its marker.
pub fn parts() -> BTreeMap<String, String> {
    let mut parts = BTreeMap::from([
        ("attacks".to_owned(), attacks()),
        ("names with settings fixed".to_owned(), presets()),
        ("settings of attacks".to_owned(), attack_settings()),
        ("augmentations".to_owned(), augmentations()),
        ("kinds of momentum".to_owned(), momenta()),
        ("input transformations".to_owned(), transforms()),
        ("objectives".to_owned(), objectives()),
        ("architectures".to_owned(), architectures()),
        ("layers".to_owned(), layers()),
        ("data sets".to_owned(), data()),
        ("guard".to_owned(), keys(GUARD_KEYS)),
        ("section claim".to_owned(), keys(verify::KEYS)),
    ]);
    for (key, of_key) in TrainSpec::tables() {
        parts.insert(format!("train.{key}"), keys(of_key));
    }
    let of_attacks = AttackKind::all_keys();
    for section in sections() {
        // Those of the attacks have a table of their own.
        let own = section.keys.iter().filter(|key| {
            section.name != "attack" || of_attacks.iter().all(|other| other.name != key.name)
        });
        parts.insert(format!("section {}", section.name), keys(own));
    }
    parts
}
