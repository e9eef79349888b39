//! The documentation says what the program does: its tables are written from the sections, attacks, objectives, models and
//! data sets themselves, its specs are sound, and its links lead somewhere.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use runner::experiment::plan;
use runner::spec::Request;

use tables::parts;

/// README.md, CONTRIBUTING.md and everything in `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    pages.extend(docs.filter(|path| path.extension().is_some_and(|end| end == "md")));
    pages.sort();
    pages
}
const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// A page with what stands between its markers written anew; `used` takes the names of the parts.
fn regenerated(page: &str, parts: &BTreeMap<String, String>, used: &mut Vec<String>) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").expect("a marker ends");
        let (_, after) = after.split_once(END).expect("a generated part ends");
        let part = parts.get(name);
        let part = part.unwrap_or_else(|| panic!("nothing generates \"{name}\""));
        write!(text, "{before}{BEGIN}{name} -->\n{part}{END}").unwrap();
        used.push(name.to_owned());
        rest = after;
    }
    text + rest
}

/// `RUNNER_WRITE_DOCS=1 cargo test --release --test docs` writes the tables anew.
#[test]
fn tables_are_what_the_program_says() {
    let parts = parts();
    let mut used = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let expected = regenerated(&text, &parts, &mut used);
        if std::env::var_os("RUNNER_WRITE_DOCS").is_some() {
            fs::write(&page, &expected).unwrap();
        } else if let Some((found, expected)) =
            text.lines().zip(expected.lines()).find(|(a, b)| a != b)
        {
            panic!(
                "{}: a table is stale (RUNNER_WRITE_DOCS=1 writes it anew)\n  it has {found}\n  and not {expected}",
                page.display()
            );
        } else {
            assert_eq!(text, expected, "{}", page.display());
        }
    }
    used.sort();
    let all: Vec<String> = parts.into_keys().collect();
    assert_eq!(used, all, "each part stands in one page");
}

/// The code blocks of a page in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("\n```{language}\n");
    let parts = page.split(start.as_str()).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap_or(part))
        .collect()
}

#[test]
fn specs_that_are_shown_whole_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let whole = blocks(&text, "toml").into_iter();
        for block in whole.filter(|block| block.starts_with("name = ")) {
            let spec = folder.path().join("shown.toml");
            fs::write(&spec, block).unwrap();
            let plan = plan(&Request {
                spec,
                ..Request::default()
            });
            let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            let warnings = plan.runs.iter().flat_map(|run| &run.spec.warnings);
            let warnings: BTreeSet<&String> = warnings.collect();
            assert!(warnings.is_empty(), "{}: {warnings:?}", page.display());
            seen += 1;
        }
    }
    assert!(seen >= 2, "README.md and docs/spec.md show specs");
}

/// The heading's anchor as forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    let kept = kept.filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or(link);
            if link.starts_with("https://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !fragment.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|heading| anchor(heading) == fragment);
                assert!(found, "{}: {link}", page.display());
            }
        }
    }
}
