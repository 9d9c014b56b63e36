//! Numbers that people read.

/// A count with its thousands apart: `2 684 354`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits, and no digits behind the point from 100 on: `0.123`, `12.3`, `1 234`.
pub fn significant(value: f64) -> String {
    match value {
        100.0.. => count(value.round() as u64),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ if value == 0.0 => "0".into(),
        _ => format!("{value:.3}"),
    }
}

/// A rate or a number with a unit prefix of powers of 1000: `950`, `81.2 k`, `1.20 M`.
pub fn prefixed(value: f64) -> String {
    let (scaled, prefix) = match value {
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e3.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    format!("{}{prefix}", significant(scaled))
}

/// A fraction in percent: `71.4 %`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(significant(0.0), "0");
        assert_eq!(significant(0.1234), "0.123");
        assert_eq!(significant(12.34), "12.3");
        assert_eq!(significant(1_234.5), "1 235");
        assert_eq!(prefixed(81_234.0), "81.2 k");
        assert_eq!(prefixed(950.0), "950");
        assert_eq!(percent(0.714), "71.4 %");
    }
}
