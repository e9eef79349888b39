//! `transfer.csv`: how each model does on images that were made on each.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::read_lacking;
use crate::Result;

/// One attack on one model, judged by one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransferRow {
    /// The model that the images were made on.
    pub from: String,
    /// The model that judges them.
    pub to: String,
    /// The attack.
    pub attack: String,
    /// Whether the attack's gradients came by LinBP.
    pub linbp: bool,
    /// Share of all images that `to` classifies correctly after the attack. Images that `from` had wrong before are not
    /// attacked.
    pub accuracy: f64,
    /// The same after rounding the images to 8 bits, where `transfer.eight_bit` asks for it.
    pub accuracy_8bit: Option<f64>,
    /// Of the attacked images that `to` has right without an attack, the share that it has wrong after; missing where
    /// there are none.
    pub success_rate: Option<f64>,
    /// The same of the images that every model of the stage has right without an attack: one set for all pairs of the attacks on
    /// all models. Missing in tables of early versions.
    pub common_success_rate: Option<f64>,
    /// All images, which the accuracies are over. Missing in tables of early versions, as those that follow.
    pub examples: Option<u64>,
    /// The images that the success rate is over.
    pub success_examples: Option<u64>,
    /// The images that the common success rate is over.
    pub common_examples: Option<u64>,
    /// Whether `to` is the model that the images were made on, or one of an ensemble.
    pub white_box: Option<bool>,
}

impl TransferRow {
    /// The rows of a table, of an early version too; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or other columns.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        read_lacking(path, 5)
    }

    /// Whether the images were made on the judge, alone or with others.
    pub fn is_white_box(&self) -> bool {
        self.white_box.unwrap_or(self.from == self.to)
    }

    /// The name of the stage's metric for the row's attack and rule: `transfer_pgd_accuracy` or `transfer_pgd_linbp_accuracy`.
    pub fn metric(&self, what: TransferMetric) -> String {
        let rule = if self.linbp { LINBP } else { "" };
        format!("{PREFIX}{}{rule}_{}", self.attack, what.name())
    }
}

/// What a stage's metrics of an attack are means of.
#[derive(Clone, Copy, Debug)]
pub enum TransferMetric {
    /// [`TransferRow::accuracy`].
    Accuracy,
    /// [`TransferRow::common_success_rate`].
    SuccessRate,
}

impl TransferMetric {
    const ALL: [Self; 2] = [Self::Accuracy, Self::SuccessRate];

    fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::SuccessRate => "success_rate",
        }
    }
}

/// What the names of these metrics begin with, and what those by LinBP have behind the attack.
const PREFIX: &str = "transfer_";
const LINBP: &str = "_linbp";

/// The name that a metric of [`TransferRow::metric`] shares with that of the other rule, and whether it is by LinBP; nothing of
/// other metrics.
pub fn shared_by_rules(metric: &str) -> Option<(String, bool)> {
    let named = metric.strip_prefix(PREFIX)?;
    let by_linbp = TransferMetric::ALL.into_iter().find_map(|what| {
        let attack = named.strip_suffix(&format!("{LINBP}_{}", what.name()))?;
        Some(format!("{PREFIX}{attack}_{}", what.name()))
    });
    Some(by_linbp.map_or((metric.to_owned(), false), |shared| (shared, true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::table;

    #[test]
    fn metrics_of_both_rules_share_a_name() {
        for metric in TransferMetric::ALL {
            let by = |linbp| TransferRow {
                attack: "my_linbp_pgd".to_owned(),
                linbp,
                ..TransferRow::default()
            };
            let shared = by(false).metric(metric);
            for linbp in [false, true] {
                let found = shared_by_rules(&by(linbp).metric(metric));
                assert_eq!(found, Some((shared.clone(), linbp)));
            }
        }
        assert_eq!(shared_by_rules("test_accuracy"), None);
    }

    #[test]
    fn golden_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transfer.csv");
        let rows = [
            TransferRow {
                from: "a".into(),
                to: "b".into(),
                attack: "pgd".into(),
                linbp: true,
                accuracy: 0.25,
                accuracy_8bit: Some(0.5),
                success_rate: Some(0.75),
                common_success_rate: Some(1.0),
                examples: Some(9),
                success_examples: Some(8),
                common_examples: Some(7),
                white_box: Some(true),
            },
            TransferRow::default(),
        ];
        table::write(&path, &rows).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "from,to,attack,linbp,accuracy,accuracy_8bit,success_rate,common_success_rate,examples,\
             success_examples,common_examples,white_box\n\
             a,b,pgd,true,0.25,0.5,0.75,1.0,9,8,7,true\n\
             ,,,false,0.0,,,,,,,\n"
        );
        assert_eq!(TransferRow::read(&path).unwrap(), rows);
        let early = "from,to,attack,linbp,accuracy,accuracy_8bit,success_rate";
        for (common, header, cell) in [(None, "", ""), (Some(1.0), ",common_success_rate", ",1.0")]
        {
            let text = format!("{early}{header}\na,b,pgd,true,0.25,0.5,0.75{cell}\n");
            std::fs::write(&path, text).unwrap();
            let read = TransferRow::read(&path).unwrap();
            let expected = TransferRow {
                common_success_rate: common,
                examples: None,
                success_examples: None,
                common_examples: None,
                white_box: None,
                ..rows[0].clone()
            };
            assert_eq!(read, [expected]);
        }
    }
}
