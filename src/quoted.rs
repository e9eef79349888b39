//! Words of a shell's command.

/// A word as a shell reads it as one: in quotes where it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=,:@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(quoted("a b'c$d"), "'a b'\\''c$d'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("results/a=1,b.json"), "results/a=1,b.json");
    }
}
