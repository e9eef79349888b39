//! Settings and metrics in the words of figures and tables.

use toml::Value;

use super::cells::setting;

/// A setting in a legend or above a row, where there is little room: linear backpropagation by its name, no section
/// `attack`, fractions of the pixel range as such, other numbers to four digits.
pub fn setting_words(key: &str, value: Option<&Value>) -> String {
    match gradient(key, value) {
        Some(words) => words,
        None => format!(
            "{}={}",
            key.strip_prefix("attack.").unwrap_or(key),
            value_words(key, value)
        ),
    }
}

/// `BP` or `LinBP` of the settings that say which, with what the gradient is of where it is not an attack's images.
fn gradient(key: &str, value: Option<&Value>) -> Option<String> {
    let method = method(value?.as_bool()?);
    match key.rsplit_once("linbp.") {
        Some((_, "attack")) => Some(method.to_owned()),
        Some((_, "train")) => Some(format!("{method} training")),
        _ => None,
    }
}

/// `BP` or `LinBP`.
pub fn method(linear: bool) -> &'static str {
    if linear { "LinBP" } else { "BP" }
}

/// The value of a setting: `BP` and `LinBP` where it says which, fractions of the pixel range as such, other numbers to four
/// digits.
pub fn value_words(key: &str, value: Option<&Value>) -> String {
    match value {
        Some(Value::Boolean(linear)) if key.contains("linbp.") => method(*linear).to_owned(),
        Some(Value::Float(number)) => {
            let short = format!("{number:.3e}").parse().unwrap_or(*number);
            let levels = number * 255.0;
            let in_pixels = key.ends_with("epsilon") || key.ends_with("step_size");
            match in_pixels && short != *number && (levels - levels.round()).abs() < 1e-9 {
                true => format!("{levels:.0}/255"),
                false => short.to_string(),
            }
        }
        other => setting(other),
    }
}

/// The factor and the unit in which a metric is shown.
pub fn unit(metric: &str) -> (f64, &'static str) {
    if is_share(metric) {
        (100.0, " (%)")
    } else if metric.ends_with("loss") {
        (1.0, " (per example)")
    } else {
        (1.0, "")
    }
}

/// Whether a metric is a share of the examples.
pub fn is_share(metric: &str) -> bool {
    metric.contains("accuracy") || metric.contains("success_rate")
}

/// A key as the label of an axis, with its unit where it has one.
pub fn axis(key: &str, is_log: bool) -> String {
    let unit = if key.ends_with("attack.epsilon") || key.ends_with("attack.step_size") {
        " (1 = full pixel range)"
    } else if key.ends_with("attack.k") {
        " (iterations)"
    } else {
        ""
    };
    let scale = if is_log { ", logarithmic" } else { "" };
    format!("{key}{unit}{scale}")
}

/// A metric's name.
pub fn metric_words(metric: &str) -> String {
    metric.replace('_', " ")
}

/// A number as a tick shows it: at most six digits, no trailing zeros.
pub fn number(value: f64) -> String {
    if value.abs() < 1e-12 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let decimals = (5 - value.abs().log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A metric's value: shares of examples in per cent to two decimals, other numbers to four digits.
pub fn metric_number(metric: &str, value: f64) -> String {
    match is_share(metric) {
        true => format!("{:.2}", 100.0 * value),
        false => number(format!("{value:.3e}").parse().unwrap_or(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_short() {
        let of = |number: f64| setting_words("attack.epsilon", Some(&Value::Float(number)));
        assert_eq!(of(1.0 / 255.0), "epsilon=1/255");
        assert_eq!(of(0.0313), "epsilon=0.0313");
        assert_eq!(of(0.2), "epsilon=0.2");
        assert_eq!(of(0.123456), "epsilon=0.1235");
        let rate = setting_words("optimizer.lr", Some(&Value::Float(1.0 / 255.0)));
        assert_eq!(rate, "optimizer.lr=0.003922");
        for (key, value, words) in [
            ("linbp.attack", false, "BP"),
            ("linbp.attack", true, "LinBP"),
            ("stage.craft.linbp.attack", true, "LinBP"),
            ("linbp.train", true, "LinBP training"),
            ("data.shuffle", true, "data.shuffle=true"),
        ] {
            assert_eq!(setting_words(key, Some(&Value::Boolean(value))), words);
        }
    }

    #[test]
    fn ticks_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (0.3, "0.3"),
            (-2.5, "-2.5"),
            (100.0, "100"),
            (0.1 + 0.2, "0.3"),
            (12_000.0, "12000"),
            (0.0314, "0.0314"),
            (2e-7, "2.00e-7"),
            (5e8, "5.00e8"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
