//! The rows of `transfer.csv` and `transfer_examples.csv`: what a judge's answers come to.

use crate::attacks::Fate;
use crate::run::{MadeOn, TransferExampleRow, TransferRow};

/// The images that were made on a model, or elsewhere.
pub(super) struct Made<'a> {
    /// Model, attack and whether by LinBP.
    pub made_on: &'a MadeOn,
    /// The models that were asked for gradients or answers in making them.
    pub members: &'a [&'a str],
    /// What became of each image.
    pub fates: &'a [Fate],
    /// Positions in the split.
    pub indices: &'a [usize],
    pub labels: &'a [u32],
    /// Which images every model classifies correctly without an attack.
    pub right_for_all: &'a [bool],
}

/// What a model answers, image by image.
pub(super) struct Judged<'a> {
    pub to: &'a str,
    /// Without an attack.
    pub clean: &'a [u32],
    /// To the adversarial images as floats, and rounded to 8 bits, where that is asked for.
    pub adversarial: &'a [Vec<u32>; 2],
}

/// Adds rows, in place of those of the same images and judge: a torn table has some of an attack's rows.
pub(super) fn put(rows: &mut Vec<TransferRow>, new: Vec<TransferRow>) {
    fn position(row: &TransferRow) -> (&str, &str, &str, bool) {
        (&row.from, &row.to, &row.attack, row.linbp)
    }
    rows.retain(|row| new.iter().all(|other| position(other) != position(row)));
    rows.extend(new);
}

impl Made<'_> {
    /// Whether an answer to image `i` is a success; nothing where it was not attacked.
    fn success(&self, i: usize, answer: u32) -> Option<bool> {
        let fate = &self.fates[i];
        fate.attacked.then(|| fate.succeeds(answer, self.labels[i]))
    }

    /// The row of a judge.
    pub fn row(&self, judged: &Judged<'_>) -> TransferRow {
        let [floats, rounded] = judged.adversarial;
        // Of the attacked images that are at stake, the share of those on which the attack succeeds, and how many there are.
        let success_rate = |is_at_stake: &dyn Fn(usize) -> bool| {
            let at_stake = (0..self.labels.len()).filter(|&i| is_at_stake(i));
            let successes = at_stake.filter_map(|i| self.success(i, floats[i]));
            let successes: Vec<bool> = successes.collect();
            let count = successes.iter().filter(|success| **success).count();
            let rate = (!successes.is_empty()).then(|| count as f64 / successes.len() as f64);
            (rate, Some(successes.len() as u64))
        };
        let own = success_rate(&|i| judged.clean[i] == self.labels[i]);
        let common = success_rate(&|i| self.right_for_all[i]);
        let (from, attack, linbp) = self.made_on.clone();
        TransferRow {
            from,
            to: judged.to.to_owned(),
            attack,
            linbp,
            accuracy: accuracy(floats, self.labels),
            accuracy_8bit: (!rounded.is_empty()).then(|| accuracy(rounded, self.labels)),
            success_rate: own.0,
            common_success_rate: common.0,
            examples: Some(self.labels.len() as u64),
            success_examples: own.1,
            common_examples: common.1,
            white_box: Some(self.members.contains(&judged.to)),
        }
    }

    /// The rows of a judge, image by image.
    pub fn examples(&self, judged: &Judged<'_>) -> impl Iterator<Item = TransferExampleRow> {
        (0..self.labels.len()).map(|i| {
            let answer = judged.adversarial[0][i];
            let success = self.success(i, answer);
            let (from, attack, linbp) = self.made_on.clone();
            TransferExampleRow {
                from,
                to: judged.to.to_owned(),
                attack,
                linbp,
                index: self.indices[i],
                label: self.labels[i],
                clean_prediction: judged.clean[i],
                adversarial_prediction: success.map(|_| answer),
                success,
                white_box: self.members.contains(&judged.to),
            }
        })
    }
}

pub(super) fn accuracy(answers: &[u32], labels: &[u32]) -> f64 {
    let right = answers.iter().zip(labels).filter(|(a, b)| a == b).count();
    right as f64 / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_torn_table_are_not_doubled() {
        let row = |to: &str, linbp, accuracy| TransferRow {
            from: "a".to_owned(),
            to: to.to_owned(),
            attack: "pgd".to_owned(),
            linbp,
            accuracy,
            ..TransferRow::default()
        };
        let mut rows = vec![
            row("a", false, 0.1),
            row("b", false, 0.2),
            row("a", true, 0.3),
        ];
        let new = [row("a", true, 0.3), row("b", true, 0.4)];
        put(&mut rows, new.to_vec());
        let expected = [
            row("a", false, 0.1),
            row("b", false, 0.2),
            row("a", true, 0.3),
            row("b", true, 0.4),
        ];
        assert_eq!(rows, expected);
    }
}
