//! `examples.csv`: what an attack did to each example.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::read_lacking;
use crate::Result;

/// What an attack did to an example, judged by its image as floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExampleOutcome {
    /// An attack succeeded.
    Broken,
    /// No attack succeeded.
    Withstood,
    /// Not attacked: the clean image was misclassified already.
    #[default]
    Misclassified,
    /// Not attacked: it is of the class that a targeted attack wants.
    NotAttacked,
}

/// One example of an attack. Classes are numbers in the order of the data set, and names beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExampleRow {
    /// Position in the split.
    pub index: usize,
    /// Class folder and name in the data set, `<class>/<name>`: with `.png`, the image's path in the folder of PNG files.
    pub name: String,
    /// True class.
    pub label: u32,
    pub label_name: String,
    /// Class predicted for the clean image.
    pub clean_prediction: u32,
    pub clean_prediction_name: String,
    /// Class predicted for the adversarial image as floats; missing where there was no attack.
    pub adversarial_prediction: Option<u32>,
    pub adversarial_prediction_name: Option<String>,
    /// The same after rounding the image to 8 bits.
    pub adversarial_prediction_8bit: Option<u32>,
    pub adversarial_prediction_8bit_name: Option<String>,
    /// What became of it.
    pub outcome: ExampleOutcome,
    /// The first attack that succeeded; missing where none did.
    pub broken_by: Option<String>,
    /// Largest change of a pixel, in \[0,1\].
    pub linf: Option<f64>,
    /// Euclidean norm of the change.
    pub l2: Option<f64>,
    /// The steps that `broken_by` took until the model first gave an answer that it wants; images that it asked about, where it
    /// asks for no gradients; missing where the attack looks at no answers on its way.
    pub steps: Option<usize>,
    /// Softmax probability of the class predicted for the clean image.
    pub clean_confidence: Option<f64>,
    /// Softmax probability of the class predicted for the adversarial image as floats.
    pub adversarial_confidence: Option<f64>,
}

impl ExampleRow {
    /// The rows of a table; early versions had neither steps nor confidences.
    ///
    /// # Errors
    /// A file that cannot be read, or other columns.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        read_lacking(path, 3)
    }
}

/// Cells that readers of CSV files take for a missing value by default.
const MISSING: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "None", "n/a", "null",
];

/// The name of a class as a cell that readers of CSV files keep as text: what they would take for a number, a truth value
/// or a missing value has `class` before it. A class without a name has its number.
pub fn class_text(classes: &[String], class: u32) -> String {
    let Some(name) = classes.get(class as usize) else {
        return format!("class {class}");
    };
    let bare = name.trim();
    let is_number = bare.parse::<f64>().is_ok();
    let is_truth = ["true", "false"].contains(&bare.to_ascii_lowercase().as_str());
    match is_number || is_truth || MISSING.contains(&bare) {
        true => format!("class {name}"),
        false => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::table;

    #[test]
    fn golden_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples.csv");
        let rows = [
            ExampleRow {
                index: 0,
                name: "cat/00012".into(),
                label: 3,
                label_name: "cat".into(),
                clean_prediction: 3,
                clean_prediction_name: "cat".into(),
                adversarial_prediction: Some(5),
                adversarial_prediction_name: Some("dog".into()),
                adversarial_prediction_8bit: Some(3),
                adversarial_prediction_8bit_name: Some("cat".into()),
                outcome: ExampleOutcome::Broken,
                broken_by: Some("pgd".into()),
                linf: Some(0.0314),
                l2: Some(1.5),
                steps: Some(4),
                clean_confidence: Some(0.75),
                adversarial_confidence: Some(0.5),
            },
            ExampleRow {
                index: 1,
                name: "dog/b, c".into(),
                label: 5,
                label_name: "dog".into(),
                clean_prediction: 4,
                clean_prediction_name: "deer".into(),
                ..ExampleRow::default()
            },
        ];
        table::write(&path, &rows).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "index,name,label,label_name,clean_prediction,clean_prediction_name,\
             adversarial_prediction,adversarial_prediction_name,\
             adversarial_prediction_8bit,adversarial_prediction_8bit_name,outcome,broken_by,linf,l2,\
             steps,clean_confidence,adversarial_confidence\n\
             0,cat/00012,3,cat,3,cat,5,dog,3,cat,broken,pgd,0.0314,1.5,4,0.75,0.5\n\
             1,\"dog/b, c\",5,dog,4,deer,,,,,misclassified,,,,,,\n"
        );
        assert_eq!(ExampleRow::read(&path).unwrap(), rows);
        // As before there were steps and confidences.
        let early = std::fs::read_to_string(&path).unwrap();
        let early = early.replace(",steps,clean_confidence,adversarial_confidence", "");
        let early = early
            .replace(",4,0.75,0.5", "")
            .replace(",,,,,,\n", ",,,\n");
        std::fs::write(&path, early).unwrap();
        let rows = rows.map(|row| ExampleRow {
            steps: None,
            clean_confidence: None,
            adversarial_confidence: None,
            ..row
        });
        assert_eq!(ExampleRow::read(&path).unwrap(), rows);
    }

    #[test]
    fn names_of_classes_stay_text() {
        for (name, expected) in [
            ("airplane", "airplane"),
            ("n01440764", "n01440764"),
            ("7 seas", "7 seas"),
            ("7", "class 7"),
            ("00012", "class 00012"),
            ("1e5", "class 1e5"),
            ("-Infinity", "class -Infinity"),
            ("NaN", "class NaN"),
            ("NA", "class NA"),
            ("null", "class null"),
            ("None", "class None"),
            ("none", "none"),
            ("True", "class True"),
            (" 3", "class  3"),
        ] {
            assert_eq!(class_text(&[name.to_owned()], 0), expected);
        }
        assert_eq!(class_text(&[], 12), "class 12");
    }
}
