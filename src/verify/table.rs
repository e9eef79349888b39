//! The table of verdicts, as text.

use super::check::Checked;
use super::claim::ClaimSpec;
use super::verdict::Verdict;
use crate::aligned::aligned;

const COLUMNS: [&str; 5] = ["claim", "claimed", "measured", "difference", "verdict"];

/// The verdicts, a claim a line; then, of each that does not hold, what was measured where, and who claims it.
pub fn table(checked: &[Checked]) -> String {
    let rows = checked.iter().map(row);
    let mut text = aligned([COLUMNS.map(str::to_owned)].into_iter().chain(rows));
    for one in checked.iter().filter(|one| one.verdict != Verdict::Holds) {
        let spec = &one.claim.spec;
        text += &format!(
            "\n{}: {}, claimed by {}\n",
            spec.name, spec.metric, spec.source
        );
        for folder in &one.folders {
            text += &format!("  {}\n", folder.display());
        }
    }
    text
}

fn row(checked: &Checked) -> [String; 5] {
    let spec = &checked.claim.spec;
    let verdict = match &checked.verdict {
        Verdict::Holds => "holds".to_owned(),
        Verdict::Fails => "fails".to_owned(),
        Verdict::RunFailed(why) => format!("run failed: {why}"),
        Verdict::NotChecked(why) => format!("not checked: {why}"),
    };
    let [measured, difference] = match figures(spec, &checked.measured) {
        Some(figures) => figures,
        None => ["-".to_owned(), "-".to_owned()],
    };
    [
        spec.name.clone(),
        claimed(spec),
        measured,
        difference,
        verdict,
    ]
}

/// What is claimed, in words.
fn claimed(spec: &ClaimSpec) -> String {
    let seeds = match spec.seeds.len() {
        0 | 1 => String::new(),
        count => format!(", {count} seeds"),
    };
    let figure = match (spec.expected, spec.tolerance, spec.at_least, spec.at_most) {
        (Some(expected), Some(tolerance), ..) => {
            format!("{} ± {}", number(expected), number(tolerance))
        }
        (_, _, Some(least), Some(most)) => format!("{} to {}", number(least), number(most)),
        (_, _, Some(least), None) => format!("at least {}", number(least)),
        (_, _, None, Some(most)) => format!("at most {}", number(most)),
        _ => String::new(),
    };
    figure + &seeds
}

/// What was measured, and the farthest from what is claimed.
fn figures(spec: &ClaimSpec, measured: &[f64]) -> Option<[String; 2]> {
    let least = measured.iter().copied().reduce(f64::min)?;
    let most = measured.iter().copied().reduce(f64::max)?;
    let range = match least == most {
        true => number(least),
        false => format!("{} to {}", number(least), number(most)),
    };
    let differences = [least, most].map(|figure| spec.difference(figure));
    let [low, high] = differences;
    let farthest = if high.abs() >= low.abs() { high } else { low };
    let sign = if farthest > 0.0 { "+" } else { "" };
    Some([range, format!("{sign}{}", number(farthest))])
}

/// As many digits as tell figures apart, and no more.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-5 {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}
