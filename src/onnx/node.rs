//! What is asked of a node: its settings, and the numbers that it is given in place of settings.

use super::proto::{Attribute, Node};

impl Node {
    /// The setting of that name.
    pub fn setting(&self, name: &str) -> Option<&Attribute> {
        self.attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// A whole number, or what stands for it where it is left out.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.setting(name).map_or(default, |attribute| attribute.i)
    }

    /// A number, or what stands for it where it is left out.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.setting(name).map_or(default, |attribute| attribute.f)
    }

    /// Whole numbers; none where they are left out.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        Some(&self.setting(name)?.ints)
    }

    /// A word; none where it is left out.
    pub fn word(&self, name: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.setting(name)?.s).into_owned())
    }

    /// The name of the input at this place; none where it is left out.
    pub fn operand(&self, place: usize) -> Option<&str> {
        let name = self.input.get(place)?.as_str();
        (!name.is_empty()).then_some(name)
    }
}

/// The dimension, of `rank`, that a number from the file means, which counts from the end where it is negative.
pub fn axis(number: i64, rank: usize) -> Result<usize, String> {
    let rank_ = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_start = if number < 0 {
        number.saturating_add(rank_)
    } else {
        number
    };
    match usize::try_from(from_start) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(format!("axis {number} of a value with {rank} dimensions")),
    }
}

/// The positions that a slice takes along a side, with ends and negative numbers as in Python.
pub fn sliced(side: usize, start: i64, end: i64, step: i64) -> Result<Vec<usize>, String> {
    let len = i64::try_from(side).map_err(|_| "a side is too large".to_owned())?;
    let place = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (first, least, most) = match step {
        0 => return Err("a slice of step 0".into()),
        1.. => (place(start).clamp(0, len), 0, len),
        _ => (place(start).clamp(-1, len - 1), -1, len - 1),
    };
    let end = place(end).clamp(least, most);
    let mut taken = Vec::new();
    let mut at = first;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        taken.push(usize::try_from(at).map_err(|_| "a slice outside its value".to_owned())?);
        at = at.saturating_add(step);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pythons() {
        assert_eq!(sliced(5, 0, i64::MAX, 2).unwrap(), [0, 2, 4]);
        assert_eq!(sliced(4, -1, -i64::MAX, -1).unwrap(), [3, 2, 1, 0]);
        assert_eq!(sliced(4, 1, -1, 1).unwrap(), [1, 2]);
        assert_eq!(sliced(4, 9, i64::MIN, 1).unwrap(), [0usize; 0]);
        assert_eq!(
            sliced(0, i64::MIN, i64::MAX, i64::MIN).unwrap(),
            [0usize; 0]
        );
        assert!(sliced(4, 0, 4, 0).is_err());
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(axis(-1, 4), Ok(3));
        assert_eq!(axis(1, 4), Ok(1));
        assert!(axis(4, 4).is_err() && axis(-5, 4).is_err() && axis(i64::MIN, 4).is_err());
    }
}
