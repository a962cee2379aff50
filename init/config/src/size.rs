//! How much a service may take, as people write it: `"64M"`.
//!
//! Owns the spelling, in powers of 1024 as the kernel's own files have it.

use crate::leaf::{Flaw, Parse};

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [(char, u32); 3] = [('K', 10), ('M', 20), ('G', 30)];

impl Parse for Size {
    const WHAT: &'static str = "a size in quotes, such as \"64M\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit));
        let number = unit.and_then(|(unit, shift)| {
            let digits = text.strip_suffix(*unit)?;
            let plain = digits.bytes().all(|c| c.is_ascii_digit());
            let number = digits.parse::<u64>().ok().filter(|_| plain)?;
            number.checked_mul(1 << shift)
        });
        number.map(Self).ok_or_else(|| {
            let short = text
                .trim_end_matches(['i', 'B', 'b'])
                .to_ascii_uppercase()
                .replace(' ', "");
            Flaw {
                message: format!("\"{text}\" is not a size"),
                help: Some("write a whole number and K, M or G: \"64M\"".into()),
                fix: (short != text && Self::parse(&short).is_ok()).then_some(short),
            }
        })
    }
    fn number(number: i64) -> Option<Result<Self, Flaw>> {
        Some(Err(Flaw::new(
            format!("{number} has no unit"),
            "write a whole number and K, M or G in quotes: \"64M\"",
        )))
    }
}

/// A size in the largest unit that holds it whole.
pub(crate) fn show(bytes: u64) -> String {
    let whole = |shift: &u32| bytes.trailing_zeros() >= *shift && bytes > 0;
    let unit = UNITS.iter().rev().find(|(_, shift)| whole(shift));
    match unit {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, bytes) in [("4K", 4096), ("64M", 64 << 20), ("2G", 2 << 30)] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)));
            assert_eq!(show(bytes), text);
        }
        for text in [
            "",
            "M",
            "64",
            "-1M",
            "+1M",
            "1.5G",
            "99999999999999G",
            "64T",
        ] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        for text in ["64m", "64MiB", "64 M", "64MB"] {
            let flaw = Size::parse(text).err().and_then(|flaw| flaw.fix);
            assert_eq!(flaw.as_deref(), Some("64M"), "{text}");
        }
    }
}
