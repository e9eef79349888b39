//! What a training with a validation set ends with: the best epoch by robust validation accuracy beside the last one. Robust
//! accuracy on images that were not trained on often falls again while training goes on (Rice, Wong and Kolter, arXiv
//! 2002.11569), so the gap between the two is a result of its own.

use super::Training;
use crate::run::{Metrics, MetricsRow};

/// The accuracies of the best and of the last epoch on the test set, under the attack that decides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gap {
    attack: String,
    best_epoch: u64,
    best: f64,
    last: f64,
}

impl Gap {
    /// What the rows say of the epoch that was the best under `attack`, and of the last that was measured.
    fn of(rows: &[MetricsRow], attack: &str, best_epoch: u64) -> Option<Self> {
        let measured = rows
            .iter()
            .filter(|row| row.split == "test" && row.attack == attack);
        let best = measured.clone().find(|row| row.epoch == best_epoch)?;
        let last = measured.max_by_key(|row| row.epoch)?;
        Some(Self {
            attack: attack.to_owned(),
            best_epoch,
            best: best.accuracy?,
            last: last.accuracy?,
        })
    }

    /// Notes it among the last metrics.
    fn note_in(&self, metrics: &mut Metrics) {
        let name = match self.attack.as_str() {
            "none" => "test".to_owned(),
            attack => format!("test_{attack}"),
        };
        metrics.insert("best_epoch".into(), self.best_epoch as f64);
        metrics.insert(format!("{name}_accuracy_of_best"), self.best);
        metrics.insert(format!("{name}_accuracy_gap"), self.best - self.last);
    }

    fn words(&self) -> String {
        let under = match self.attack.as_str() {
            "none" => String::new(),
            attack => format!(" under {attack}"),
        };
        format!(
            "best epoch by validation accuracy{under}: {}; test accuracy{under} {:.2} % there, {:.2} % at the end, {:.2} points \
             between them",
            self.best_epoch,
            100.0 * self.best,
            100.0 * self.last,
            100.0 * (self.best - self.last)
        )
    }
}

impl Training<'_> {
    /// Says and notes how far the last epoch is from the best one, where a validation set chose that.
    pub(super) fn tell_gap(&mut self) {
        let attack = self.evaluation.names().last().unwrap_or_default();
        let best = self.best.filter(|_| self.validation.is_some());
        let gap = best.and_then(|best| Gap::of(&self.state.rows, attack, best.stamp.epoch));
        if let Some(gap) = gap {
            self.ctx.progress.line(&gap.words());
            tracing::info!("stage {}: {}", self.ctx.id, gap.words());
            gap.note_in(&mut self.state.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_that_of_the_test_set_at_the_epoch_that_validation_chose() {
        let row = |epoch, split: &str, attack: &str, accuracy| MetricsRow {
            epoch,
            split: split.into(),
            attack: attack.into(),
            accuracy: Some(accuracy),
            ..MetricsRow::default()
        };
        let rows = [
            row(1, "validation", "pgd", 0.5),
            row(1, "test", "none", 0.9),
            row(1, "test", "pgd", 0.5),
            row(2, "validation", "pgd", 0.4),
            row(2, "test", "pgd", 0.375),
        ];
        let gap = Gap::of(&rows, "pgd", 1).unwrap();
        assert_eq!((gap.best, gap.last), (0.5, 0.375));
        let mut metrics = Metrics::new();
        gap.note_in(&mut metrics);
        assert_eq!(metrics["test_pgd_accuracy_gap"], 0.125);
        assert_eq!(metrics["best_epoch"], 1.0);
        assert!(
            gap.words()
                .contains("50.00 % there, 37.50 % at the end, 12.50 points")
        );
        assert_eq!(Gap::of(&rows, "none", 2), None);
    }
}
