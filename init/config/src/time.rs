//! Durations as people write and read them.

use core::fmt;
use core::time::Duration;

/// Longest duration that the file may name: far beyond any timing, far below overflow.
const MAX: Duration = Duration::from_secs(30 * 24 * 3600);

const UNITS: [(&str, u64); 8] = [
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("msec", 1),
];

/// Reads `250ms`, `2s`, `0.5s`, `1min 30s`. Finest step: one millisecond.
///
/// # Errors
/// What is wrong with the text, in a few words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".into());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (whole, tail) = rest.split_at(digits);
        let (fraction, tail) = match tail.strip_prefix('.') {
            Some(tail) => tail.split_at(
                tail.find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(tail.len()),
            ),
            None => ("", tail),
        };
        if whole.is_empty() || (tail.len() < rest.len() - digits && fraction.is_empty()) {
            return Err("a number is missing".into());
        }
        let tail = tail.trim_start();
        let (unit, tail) = tail.split_at(
            tail.find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len()),
        );
        if unit.is_empty() {
            return Err("it has no unit".into());
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "us" | "ns" => {
                    format!("\"{unit}\" is finer than the clock of the protocol, one millisecond")
                }
                _ => format!("\"{unit}\" is not a unit"),
            });
        };
        let whole: u64 = whole.parse().map_err(|_| "the number is too large")?;
        let part = fraction_of(fraction, *scale)?;
        total = whole
            .checked_mul(*scale)
            .and_then(|value| value.checked_add(part)?.checked_add(total))
            .filter(|total| u128::from(*total) <= MAX.as_millis())
            .ok_or("it is longer than 30 days")?;
        rest = tail.trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// `0.<digits>` of a unit in whole milliseconds.
fn fraction_of(digits: &str, scale: u64) -> Result<u64, String> {
    if digits.is_empty() {
        return Ok(0);
    }
    if digits.len() > 9 {
        return Err("too many digits after the point".into());
    }
    let mut numerator = 0_u64;
    let mut denominator = 1_u64;
    for digit in digits.bytes() {
        numerator = numerator * 10 + u64::from(digit - b'0');
        denominator *= 10;
    }
    let scaled = numerator * scale;
    if !scaled.is_multiple_of(denominator) {
        return Err("it is finer than one millisecond".into());
    }
    Ok(scaled / denominator)
}

/// Shows a duration the way the file would write it: `250ms`, `2s`, `1.5s`, `10min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Show(pub Duration);

impl fmt::Display for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let text = match millis {
            0 if !self.0.is_zero() => format!("{}us", self.0.as_micros()),
            0..1_000 => format!("{millis}ms"),
            _ if millis.is_multiple_of(60_000) => format!("{}min", millis / 60_000),
            _ => {
                let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
                format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
            }
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for (text, millis, shown) in [
            ("250ms", 250, "250ms"),
            ("2s", 2_000, "2s"),
            ("0.5s", 500, "500ms"),
            ("1.25 s", 1_250, "1.25s"),
            ("1min 30s", 90_000, "90s"),
            ("1min30s", 90_000, "90s"),
            ("10min", 600_000, "10min"),
            (" 0ms ", 0, "0ms"),
        ] {
            let read = parse(text).unwrap();
            assert_eq!(read, Duration::from_millis(millis), "{text}");
            assert_eq!(Show(read).to_string(), shown);
            assert_eq!(parse(shown), Ok(read));
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, why) in [
            ("", "empty"),
            ("250", "no unit"),
            ("ms", "number is missing"),
            ("1.s", "number is missing"),
            (".5s", "number is missing"),
            ("-1s", "number is missing"),
            ("1.5ms", "finer"),
            ("10us", "finer"),
            ("3 fortnights", "not a unit"),
            ("99999999999999999999s", "too large"),
            ("18446744073709551615h", "30 days"),
            ("31d", "30 days"),
            ("0.0000000001s", "too many digits"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
