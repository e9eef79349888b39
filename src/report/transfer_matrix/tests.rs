//! The matrix of two runs that differ in their seed alone, in every format.

use super::*;
use crate::report::comparison::Chosen;
use crate::report::settings::Settings;
use crate::run::{Metrics, RunState, StageRecord};

fn row(from: &str, to: &str, linbp: bool, rate: f64, common: Option<u64>) -> TransferRow {
    TransferRow {
        from: from.to_owned(),
        to: to.to_owned(),
        attack: "pgd".to_owned(),
        linbp,
        accuracy: 1.0 - rate / 2.0,
        accuracy_8bit: None,
        success_rate: Some(rate),
        common_success_rate: common.map(|_| rate),
        examples: Some(8),
        success_examples: Some(6),
        common_examples: common,
        white_box: None,
    }
}

fn comparison(runs: Vec<Vec<TransferRow>>) -> Comparison {
    let run = |(seed, transfer): (i64, Vec<TransferRow>)| ComparedRun {
        run: format!("exp/{seed}"),
        state: Some(RunState::Finished),
        error: None,
        settings: Settings::from([("seed".to_owned(), Value::Integer(seed))]),
        metrics: Metrics::new(),
        stages: vec![ComparedStage {
            record: StageRecord {
                id: "main".to_owned(),
                task: "transfer".to_owned(),
                seed: Some(0),
                key: String::new(),
                folder: ".".to_owned(),
                state: RunState::Finished,
                metrics: Metrics::new(),
            },
            rows: Vec::new(),
            transfer,
        }],
    };
    Comparison {
        keys: vec!["seed".to_owned()],
        runs: (0..).zip(runs).map(run).collect(),
        chosen: Chosen::default(),
    }
}

fn two_seeds() -> TransferMatrix {
    let of = |shift: f64, common| {
        vec![
            row("a", "a", false, 0.75, Some(common)),
            row("a", "b_2", false, 0.25 + shift, Some(common)),
            row("a", "a", true, 0.75, Some(common)),
            row("a", "b_2", true, 0.5 + shift, Some(common)),
        ]
    };
    TransferMatrix::new(&comparison(vec![of(0.0, 4), of(0.25, 5)]))
}

#[test]
fn latex_has_surrogates_and_methods_against_judges() {
    assert_eq!(
        two_seeds().write(Format::Latex).unwrap(),
        "% Success rate (%) (mean ± std of 2 seeds) over the 4 to 5 images that every model has right without an attack; \
         * white-box: the judge is the surrogate, or one of an ensemble; bold: the most of a surrogate's\n\
         \\begin{tabular}{lllrr}\n\\toprule\n\
         surrogate & attack & gradient & a & b\\_2 \\\\\n\\midrule\n\
         a & pgd & BP & 75.00 $\\pm$ 0.00* & 37.50 $\\pm$ 17.68 \\\\\n\
         a & pgd & LinBP & 75.00 $\\pm$ 0.00* & \\textbf{62.50 $\\pm$ 17.68} \\\\\n\
         \\bottomrule\n\\end{tabular}\n\
         \n\
         % Error rate (%) (mean ± std of 2 seeds) over all 8 images, those included that were wrong without an attack; \
         * white-box: the judge is the surrogate, or one of an ensemble; bold: the most of a surrogate's\n\
         \\begin{tabular}{lllrr}\n\\toprule\n\
         surrogate & attack & gradient & a & b\\_2 \\\\\n\\midrule\n\
         a & pgd & BP & 37.50 $\\pm$ 0.00* & 18.75 $\\pm$ 8.84 \\\\\n\
         a & pgd & LinBP & 37.50 $\\pm$ 0.00* & \\textbf{31.25 $\\pm$ 8.84} \\\\\n\
         \\bottomrule\n\\end{tabular}\n"
    );
}

#[test]
fn csv_has_every_denominator_and_markdown_the_same_cells_as_latex() {
    let matrix = two_seeds();
    let text = matrix.write(Format::Csv).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "stage,surrogate,victim,attack,gradient,white_box,runs,common_success_rate_mean,common_success_rate_std,common_examples,\
         success_rate_mean,success_rate_std,success_examples,error_rate_mean,error_rate_std,examples"
    );
    assert_eq!(lines.len(), 1 + 4);
    assert_eq!(
        lines[1],
        "main,a,a,pgd,bp,true,2,0.75,0.0,4-5,0.75,0.0,6,0.375,0.0,8"
    );
    assert!(
        lines[4].starts_with("main,a,b_2,pgd,linbp,false,2,0.625,0.1767766"),
        "{}",
        lines[4]
    );
    let markdown = matrix.write(Format::Markdown).unwrap();
    assert!(
        markdown.contains("| a | pgd | LinBP | 75.00 ± 0.00* | **62.50 ± 17.68** |\n"),
        "{markdown}"
    );
}

/// A judge that one run lacks has no mean, tables of early versions have no table over what all have right, and a name
/// without transfers has no matrix.
#[test]
fn what_is_missing_is_left_out() {
    let one = vec![
        row("a", "a", false, 0.75, None),
        row("a", "b", false, 0.5, None),
    ];
    let matrix = TransferMatrix::new(&comparison(vec![one.clone(), one[..1].to_vec()]));
    let markdown = matrix.write(Format::Markdown).unwrap();
    assert!(markdown.starts_with("Error rate (%)"), "{markdown}");
    assert!(
        markdown.contains("| a | pgd | BP | 37.50 ± 0.00* |  |\n"),
        "{markdown}"
    );
    assert!(TransferMatrix::new(&comparison(vec![Vec::new()])).is_empty());
    assert!(TransferMatrix::new(&comparison(Vec::new())).is_empty());
}
