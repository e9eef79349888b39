//! The rows of `transfer.csv`: what a judge's answers come to.

use crate::attacks::Fate;
use crate::run::TransferRow;

/// Adds rows, in place of those of the same images and judge: a torn table has some of an attack's rows.
pub(super) fn put(rows: &mut Vec<TransferRow>, new: Vec<TransferRow>) {
    fn position(row: &TransferRow) -> (&str, &str, &str, bool) {
        (&row.from, &row.to, &row.attack, row.linbp)
    }
    rows.retain(|row| new.iter().all(|other| position(other) != position(row)));
    rows.extend(new);
}

/// Fills in a row: `clean`, `floats` and `rounded` are what its judge answers; `right_for_all`, which images every model
/// classifies correctly without an attack.
pub(super) fn row(
    names: TransferRow,
    fates: &[Fate],
    labels: &[u32],
    (clean, right_for_all): (&[u32], &[bool]),
    [floats, rounded]: &[Vec<u32>; 2],
) -> TransferRow {
    // Of the attacked images that are at stake, the share of those on which the attack succeeds.
    let success_rate = |is_at_stake: &dyn Fn(usize) -> bool| {
        let at_stake = (0..labels.len()).filter(|&i| fates[i].attacked && is_at_stake(i));
        let fooled = at_stake.map(|i| fates[i].succeeds(floats[i], labels[i]));
        let fooled: Vec<bool> = fooled.collect();
        let count = fooled.iter().filter(|fooled| **fooled).count();
        (!fooled.is_empty()).then(|| count as f64 / fooled.len() as f64)
    };
    TransferRow {
        accuracy: accuracy(floats, labels),
        accuracy_8bit: accuracy(rounded, labels),
        success_rate: success_rate(&|i| clean[i] == labels[i]),
        common_success_rate: success_rate(&|i| right_for_all[i]),
        ..names
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
