//! The order of runs: by the numbers in their names, so that `k=2` comes before `k=10`.

use std::cmp::Ordering;

/// A part of a name.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Number(f64),
    Text(&'a str),
}

/// Compares names piece by piece: numbers by value and before text, text by its letters. A fraction is one number, written
/// `8/255` as in a spec or `8_255` as in the name of a folder.
pub fn by_number(a: &str, b: &str) -> Ordering {
    let (mine, theirs) = (pieces(a), pieces(b));
    let pairs = mine.iter().zip(&theirs);
    let different = pairs
        .map(|pair| match pair {
            (Piece::Number(a), Piece::Number(b)) => a.total_cmp(b),
            (Piece::Text(a), Piece::Text(b)) => a.cmp(b),
            (Piece::Number(_), Piece::Text(_)) => Ordering::Less,
            (Piece::Text(_), Piece::Number(_)) => Ordering::Greater,
        })
        .find(|order| order.is_ne());
    different
        .unwrap_or_else(|| mine.len().cmp(&theirs.len()))
        // Names that differ only in how a number is written are still told apart.
        .then_with(|| a.cmp(b))
}

fn pieces(name: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut after_equals) = (name, false);
    while !rest.is_empty() {
        let length = number(rest, after_equals);
        if length > 0 {
            found.push(Piece::Number(value(&rest[..length])));
            rest = &rest[length..];
            after_equals = false;
        } else {
            // Up to the next number, or behind the next equals sign: what follows that may have a sign.
            let end = rest
                .find(|letter: char| letter.is_ascii_digit() || letter == '=')
                .map_or(rest.len(), |at| {
                    at + usize::from(rest[at..].starts_with('='))
                });
            found.push(Piece::Text(&rest[..end]));
            after_equals = rest[..end].ends_with('=');
            rest = &rest[end..];
        }
    }
    found
}

/// The length of the number or fraction that `text` begins with, 0 if it begins with none.
fn number(text: &str, signed: bool) -> usize {
    let sign = usize::from(signed && text.starts_with('-'));
    let whole = decimal(&text[sign..]);
    if whole == 0 {
        return 0;
    }
    let end = sign + whole;
    let below = match text[end..].strip_prefix(['/', '_']) {
        Some(rest) => decimal(rest),
        None => 0,
    };
    match below {
        0 => end,
        below => end + 1 + below,
    }
}

/// The length of the unsigned decimal that `text` begins with, exponent included.
fn decimal(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.as_bytes().iter().skip(from);
        rest.take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = digits(0);
    if end == 0 {
        return 0;
    }
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if text[end..].starts_with('e') {
        let sign = usize::from(text[end + 1..].starts_with(['-', '+']));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

fn value(number: &str) -> f64 {
    let parsed = |text: &str| text.parse().unwrap_or(f64::NAN);
    match number.split_once(['/', '_']) {
        Some((above, below)) => parsed(above) / parsed(below),
        None => parsed(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.to_vec();
        names.sort_by(|a, b| by_number(a, b));
        names
    }

    #[test]
    fn numbers_and_fractions_count_by_their_value() {
        for expected in [
            &["k=1-aa", "k=2-1f", "k=10-0c", "k=100-00"][..],
            &[
                "e=1_255-a",
                "e=0.0313-a",
                "e=8_255-a",
                "e=16/255-a",
                "e=0.1-a",
            ],
            &[
                "lr=1e-5,k=2-a",
                "lr=3e-4,k=1-a",
                "lr=0.01,k=2-a",
                "lr=0.01,k=10-a",
            ],
            &["x=-2-a", "x=-1-a", "x=0-a", "x=inf-a"],
            &["linbp.train=false-ff", "linbp.train=true-00"],
            &["k=1,linbp=true-00", "k=1-00", "k=01-00x", "k=2"],
            &["layers=conv2-a", "layers=conv10-a"],
            &["", "12e45678", "ab", "é1", "é2"],
        ] {
            let mut shuffled = expected.to_vec();
            shuffled.reverse();
            assert_eq!(sorted(&shuffled), expected);
        }
    }
}
