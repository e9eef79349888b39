//! `examples.csv`: what an attack did to each example.

use serde::{Deserialize, Serialize};

use super::table::Row;

/// One example of an attack. Classes are numbers, in the order of the data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExampleRow {
    /// Position in the split.
    pub index: usize,
    /// Name in the data set.
    pub name: String,
    /// True class.
    pub label: u32,
    /// Class predicted for the clean image.
    pub clean_prediction: u32,
    /// Class predicted for the adversarial image as floats; missing where the clean one was wrong already.
    pub adversarial_prediction: Option<u32>,
    /// The same after rounding the image to 8 bits.
    pub adversarial_prediction_8bit: Option<u32>,
    /// The first attack that succeeded; missing where none did.
    pub broken_by: Option<String>,
    /// Largest change of a pixel, in \[0,1\].
    pub linf: Option<f64>,
    /// Euclidean norm of the change.
    pub l2: Option<f64>,
}

impl Row for ExampleRow {
    const COLUMNS: &'static [&'static str] = &[
        "index",
        "name",
        "label",
        "clean_prediction",
        "adversarial_prediction",
        "adversarial_prediction_8bit",
        "broken_by",
        "linf",
        "l2",
    ];
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
                name: "cat/a.png".into(),
                label: 3,
                clean_prediction: 3,
                adversarial_prediction: Some(5),
                adversarial_prediction_8bit: Some(3),
                broken_by: Some("pgd".into()),
                linf: Some(0.0314),
                l2: Some(1.5),
            },
            ExampleRow {
                index: 1,
                name: "dog/b, c.png".into(),
                label: 5,
                clean_prediction: 4,
                ..ExampleRow::default()
            },
        ];
        table::write(&path, &rows).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "index,name,label,clean_prediction,adversarial_prediction,adversarial_prediction_8bit,broken_by,linf,l2\n\
             0,cat/a.png,3,3,5,3,pgd,0.0314,1.5\n\
             1,\"dog/b, c.png\",5,4,,,,,\n"
        );
        assert_eq!(table::read::<ExampleRow>(&path).unwrap(), rows);
    }
}
