//! Brings the names of weights from elsewhere to those of the network that takes them.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::Tensors;
use super::state_dict::common_prefix;
use crate::{Error, Result};

/// The names that wrappers give the mean and the deviation of a normalisation in front of the network.
const NORMALISATIONS: [(&str, &str); 4] = [
    ("mean", "std"),
    ("mu", "sigma"),
    ("new_mean", "new_std"),
    ("_mean", "_std"),
];

/// Takes off what stands before the name of each tensor that the network expects: a wrapper such as `1.` of a `Sequential`
/// whose first part normalises. Other tensors keep their names. Returns what was taken off, where that is something.
///
/// # Errors
/// Tensors for the whole network under several such names.
pub fn fit(expected: &[&str], tensors: &mut Tensors) -> Result<Option<String>> {
    // A network whose names share a prefix meets weights from which it was taken off.
    let own = common_prefix(expected.iter().copied()).len();
    let [anchor, ..] = expected else {
        return Ok(None);
    };
    let complete = |before: &str, start: usize| {
        let name = |expected: &&str| format!("{before}{}", &expected[start..]);
        expected.iter().all(|e| tensors.contains_key(&name(e)))
    };
    if complete("", 0) {
        return Ok(None);
    }
    let start = if tensors.keys().any(|name| name.ends_with(anchor)) {
        0
    } else {
        own
    };
    let before = tensors.keys().filter_map(|name| {
        let before = name.strip_suffix(&anchor[start..])?;
        (before.is_empty() || before.ends_with('.')).then(|| before.to_owned())
    });
    let found: Vec<String> = before.filter(|before| complete(before, start)).collect();
    let before = match found.as_slice() {
        [] => return Ok(None),
        [before] => before.clone(),
        several => {
            return Err(Error::failed(format!(
                "they hold the network {} times, under {}; keep one of them, by model.rename = {{ \"{}*\" = \"*\" }}",
                several.len(),
                several.join(", "),
                several[0]
            )));
        }
    };
    for expected in expected {
        if let Some(tensor) = tensors.remove(&format!("{before}{}", &expected[start..])) {
            tensors.insert((*expected).to_owned(), tensor);
        }
    }
    Ok(Some(before).filter(|before| !before.is_empty()))
}

/// The mean and the deviation of `channels` channels, among tensors of a normalisation in front of the network; they are
/// taken out.
pub fn take_normalisation(tensors: &mut Tensors, channels: usize) -> Option<[Tensor; 2]> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let found = NORMALISATIONS.iter().find_map(|(mean, std)| {
        let name = tensors.iter().find_map(|(name, tensor)| {
            let fits = last(name).as_deref() == Some(mean) && tensor.elem_count() == channels;
            fits.then(|| name.clone())
        })?;
        let other = format!("{}{std}", &name[..name.len() - mean.len()]);
        (tensors.get(&other)?.elem_count() == channels).then_some((name, other))
    })?;
    Some([tensors.remove(&found.0)?, tensors.remove(&found.1)?])
}

/// Renames tensors by patterns in which one `*` stands for the rest of a name; of several that match, the longest counts.
///
/// # Errors
/// A pattern that no name matches, or two tensors that come to one name.
pub fn rename(tensors: Tensors, patterns: &BTreeMap<String, String>) -> Result<Tensors> {
    let mut renamed = Tensors::new();
    let mut used = vec![false; patterns.len()];
    for (name, tensor) in tensors {
        let matching = patterns
            .iter()
            .enumerate()
            .filter_map(|(index, (old, new))| {
                let rest = match old.split_once('*') {
                    None => (name == *old).then_some(""),
                    Some((before, after)) => name
                        .strip_prefix(before)
                        .and_then(|rest| rest.strip_suffix(after)),
                };
                Some((old.len(), index, new.replacen('*', rest?, 1)))
            });
        let to = match matching.max() {
            Some((_, index, to)) => {
                used[index] = true;
                to
            }
            None => name,
        };
        if renamed.insert(to.clone(), tensor).is_some() {
            return Err(Error::failed(format!(
                "model.rename: two tensors come to the name {to}"
            )));
        }
    }
    match patterns.keys().zip(used).find(|(_, used)| !used) {
        None => Ok(renamed),
        Some((pattern, _)) => Err(Error::failed(format!(
            "model.rename: no tensor is called \"{pattern}\"; their names begin with {}",
            renamed
                .keys()
                .take(4)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn tensors(names: &[&str]) -> Tensors {
        let one = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        names.iter().map(|n| (n.to_string(), one.clone())).collect()
    }

    fn names(tensors: &Tensors) -> Vec<&str> {
        tensors.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_wrapper_is_taken_off_and_its_normalisation_found() {
        let mut all = tensors(&["0.mean", "0.std", "1.fc.bias", "1.fc.weight"]);
        let taken = fit(&["fc.weight", "fc.bias"], &mut all).unwrap();
        assert_eq!(taken.as_deref(), Some("1."));
        assert!(take_normalisation(&mut all, 1).is_none());
        assert!(take_normalisation(&mut all, 3).is_some());
        assert_eq!(names(&all), ["fc.bias", "fc.weight"]);
        assert_eq!(fit(&["fc.weight", "fc.bias"], &mut all).unwrap(), None);
    }

    #[test]
    fn a_network_with_a_prefix_of_its_own_takes_names_without_it() {
        let mut all = tensors(&["a.bias", "a.weight"]);
        fit(&["model.a.weight", "model.a.bias"], &mut all).unwrap();
        assert_eq!(names(&all), ["model.a.bias", "model.a.weight"]);
    }

    #[test]
    fn what_does_not_fit_stays_and_what_fits_twice_is_an_error() {
        let mut all = tensors(&["x.a", "x.b"]);
        assert_eq!(fit(&["a", "c"], &mut all).unwrap(), None);
        assert_eq!(names(&all), ["x.a", "x.b"]);
        let mut twice = tensors(&["ema.a", "net.a"]);
        let message = fit(&["a"], &mut twice).unwrap_err().to_string();
        assert!(message.contains("ema., net."), "{message}");
        assert_eq!(fit(&[], &mut twice).unwrap(), None);
    }

    #[test]
    fn names_are_changed_by_the_longest_pattern() {
        let patterns = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string()));
            pairs.collect()
        };
        let all = || tensors(&["old.a.weight", "old.b.weight", "z"]);
        let found = rename(
            all(),
            &patterns(&[("old.*", "new.*"), ("old.b.*", "b*"), ("z", "y")]),
        );
        assert_eq!(names(&found.unwrap()), ["bweight", "new.a.weight", "y"]);
        let error = rename(all(), &patterns(&[("gone.*", "x.*")])).unwrap_err();
        assert!(
            error.to_string().contains("no tensor is called \"gone.*\""),
            "{error}"
        );
        let error = rename(all(), &patterns(&[("old.*", "z")])).unwrap_err();
        assert!(error.to_string().contains("two tensors"), "{error}");
    }
}
