//! The published choices of the activations that linear backpropagation makes linear.

use globset::Glob;

use crate::{Error, Result};

/// The setting whose names are looked for here.
pub(super) const KEY: &str = "linbp.layers";

/// Names that a message about a misspelt one proposes.
const NEAR_SHOWN: usize = 3;

/// Which of its two uses LinBP is planned for; DenseNet's published choice differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinbpUse {
    /// Gradients with respect to the weights.
    Train,
    /// Gradients with respect to the input.
    Attack,
}

/// A family's published choice, in a form that holds for all its depths.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    /// What these globs match.
    Globs(&'static [&'static str]),
    /// Everything after the first so many.
    After(usize),
    /// The last so many.
    Last(usize),
}

impl Preset {
    pub(super) fn linear(self, names: &[String]) -> Result<Vec<bool>> {
        let (skipped, count) = match self {
            Self::Globs(globs) => return matching(names, globs),
            Self::After(first) => (first, names.len()),
            Self::Last(last) => (names.len().saturating_sub(last), names.len()),
        };
        Ok((0..count).map(|i| i >= skipped).collect())
    }
}

/// For each activation whether one of the globs matches its name. A glob that matches nothing is an error.
pub(super) fn matching(names: &[String], globs: &[impl AsRef<str>]) -> Result<Vec<bool>> {
    let mut linear = vec![false; names.len()];
    for glob in globs {
        let text = glob.as_ref();
        let matcher = Glob::new(text)
            .map_err(|e| Error::spec(format!("{KEY}: {e}")))?
            .compile_matcher();
        let mut found = false;
        for (name, linear) in names.iter().zip(&mut linear) {
            if matcher.is_match(name) {
                (*linear, found) = (true, true);
            }
        }
        if !found {
            return Err(unmatched(KEY, text, names));
        }
    }
    Ok(linear)
}

/// The error for what the setting `key` has and matches no activation.
pub(crate) fn unmatched(key: &str, text: &str, names: &[String]) -> Error {
    let wanted = text.strip_prefix("from:").unwrap_or(text);
    let mut near: Vec<(f64, &String)> = names
        .iter()
        .map(|name| (strsim::jaro_winkler(name, wanted), name))
        .collect();
    // Stable: of names that are equally near the first ones are shown.
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let near: Vec<String> = near
        .iter()
        .take(NEAR_SHOWN)
        .map(|(_, name)| format!("\"{name}\""))
        .collect();
    let hint = match near.as_slice() {
        [] => String::new(),
        [only] => format!("; the only one is {only}"),
        several => format!("; near are {}", several.join(", ")),
    };
    Error::spec(format!(
        "{key}: \"{text}\" matches no activation{hint} (`runner models ARCH` lists them)"
    ))
}
