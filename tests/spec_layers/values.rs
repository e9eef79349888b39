//! No value of any key makes the reader panic.

use proptest::prelude::*;
use runner::experiment::{plan, sections};
use runner::spec::Request;

use crate::{BASE, Folder};

/// Values of every type, at the ends of ranges and beyond.
const VALUES: &[&str] = &[
    "true",
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "0.0",
    "-0.5",
    "1e308",
    "nan",
    "inf",
    "\"\"",
    "\"none\"",
    "\"@a\"",
    "\"@\"",
    "\"8/0\"",
    "\"1/255\"",
    "[]",
    "[1]",
    "[-1]",
    "[true, 3]",
    "[\"none\"]",
    "[\"pgd\", \"auto-attack\"]",
    "[\"auto-attack\"]",
    "[{ kind = \"pgd\" }]",
    "[{ kind = \"auto-attack\", attacks = [[]] }]",
    "[[[]]]",
    "{}",
    "{ a = 1 }",
    "{ kind = 3 }",
    "{ kind = \"trades\", beta = -1 }",
    "{ mean = [], std = [0] }",
    "{ train = [], attack = 1 }",
    "{ a = { arch = \"mlp\", widths = [0] } }",
    "\"\\u0000\"",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_makes_the_reader_panic(
        number: usize,
        value in prop::sample::select(VALUES),
        task in prop::sample::select(&["train", "adversarial-train", "attack", "evaluate", "transfer", "simulate"][..]),
    ) {
        let sections = sections();
        let keys = sections.iter().flat_map(|section| {
            section.keys.iter().map(|key| format!("{}.{}", section.name, key.name))
        });
        let keys: Vec<String> = keys.collect();
        let key = &keys[number % keys.len()];
        let folder = Folder::new(&[("a.toml", BASE)]);
        let request = Request {
            overrides: vec![
                format!("task={task}"),
                "attack={ kind = \"auto-attack\", epsilon = 0.1 }".to_owned(),
                format!("{key}={value}"),
            ],
            ..folder.request("a.toml")
        };
        match plan(&request) {
            Ok(plan) => prop_assert!(!plan.runs.is_empty()),
            Err(error) => {
                prop_assert_eq!(error.exit_code(), 2, "{}", error);
                for line in error.to_string().lines() {
                    prop_assert!(line.contains(": "), "{line:?} names no place");
                }
            }
        }
    }
}
