//! Decimal numbers as texts, compared and counted without rounding.

/// The one way of writing a number that stands for all: digits without needless zeros, `e`, exponent.
///
/// `1`, `1.0` and `10e-1` become `1e0`; zero of either sign becomes `0`; what is no number stays.
pub(super) fn plain(text: &str) -> String {
    let Some(Parts { negative, digits, exponent }) = parts(text) else {
        return text.to_owned();
    };
    if digits.is_empty() {
        return "0".to_owned();
    }
    format!("{}{digits}e{exponent}", if negative { "-" } else { "" })
}

struct Parts {
    negative: bool,
    /// Neither begins nor ends with a zero; empty for zero.
    digits: String,
    /// The number is the digits times ten to this.
    exponent: i128,
}

fn parts(text: &str) -> Option<Parts> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, saturating(exponent)?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !all.clone().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all: String = all.map(char::from).collect();
    let digits = all.trim_start_matches('0');
    let short = digits.trim_end_matches('0');
    let dropped = (digits.len() - short.len()) as i128;
    let exponent = exponent + dropped - fraction.len() as i128;
    Some(Parts { negative, digits: short.to_owned(), exponent })
}

/// An exponent; one that no 64 bits hold is as good as the largest.
fn saturating(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(sign * digits.parse::<i64>().map_or(i128::from(i64::MAX), i128::from))
}

/// `from`, `from + step`, … up to `to`, each as a short decimal; see `Scalar::sequence`.
pub(super) fn sequence(from: &str, to: &str, step: &str) -> Result<Vec<String>, String> {
    let read = |text: &str| parts(text).ok_or_else(|| format!("`{text}` is not a number"));
    let (first, last, stride) = (read(from)?, read(to)?, read(step)?);
    let scale = [&first, &last, &stride].map(|part| part.exponent).into_iter().min();
    let scale = scale.unwrap_or(0).min(0);
    let scaled = |part: &Parts, text: &str| {
        let too_long = || format!("`{text}` has too many digits to count with");
        if part.digits.is_empty() {
            return Ok(0);
        }
        let places = u32::try_from(part.exponent - scale).map_err(|_| too_long())?;
        let factor = 10_i128.checked_pow(places).ok_or_else(too_long)?;
        let digits: i128 = part.digits.parse().map_err(|_| too_long())?;
        let value = digits.checked_mul(factor).filter(|value| *value < 1 << 100);
        value.map(|value| if part.negative { -value } else { value }).ok_or_else(too_long)
    };
    let (first, last, stride) = (scaled(&first, from)?, scaled(&last, to)?, scaled(&stride, step)?);
    if stride <= 0 {
        return Err(format!("the step `{step}` must be above zero"));
    }
    if last < first {
        return Err(format!("`{to}` is below `{from}`"));
    }
    let count = (last - first) / stride + 1;
    if count > 10_000 {
        return Err(format!("there are {count} values from `{from}` to `{to}`, above 10000"));
    }
    Ok((0..count).map(|index| written(first + index * stride, scale)).collect())
}

/// `value` times ten to `scale`, which is at most zero.
fn written(value: i128, scale: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let places = usize::try_from(-scale).unwrap_or(0);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{dot}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        for text in ["1", "1.0", "1e0", "10e-1", "0.1E+1", "01"] {
            assert_eq!(plain(text), "1e0", "{text}");
        }
        for text in ["0", "-0", "0.000", "0e99999999999999999999999"] {
            assert_eq!(plain(text), "0", "{text}");
        }
        assert_eq!(plain("-12580.50"), "-125805e-1");
        // Both are the same `f64`.
        assert_ne!(plain("9007199254740993"), plain("9007199254740992"));
        assert_ne!(plain("1e400"), plain("1e401"));
        assert_eq!(plain("many"), "many");
    }

    #[test]
    fn a_sequence_is_counted_without_rounding() {
        let years = sequence("2010", "2035", "1").unwrap();
        assert_eq!((years.len(), years[0].as_str(), years[25].as_str()), (26, "2010", "2035"));
        assert_eq!(sequence("0", "0.35", "0.1").unwrap(), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(sequence("-1", "0", "0.5").unwrap(), ["-1", "-0.5", "0"]);
        assert_eq!(sequence("1e3", "1.1e3", "50").unwrap(), ["1000", "1050", "1100"]);
        assert_eq!(sequence("5", "5", "1").unwrap(), ["5"]);
    }

    #[test]
    fn a_sequence_without_an_end_is_refused() {
        let refused = |from, to, step| sequence(from, to, step).unwrap_err();
        assert_eq!(refused("1", "5", "0"), "the step `0` must be above zero");
        assert_eq!(refused("5", "1", "1"), "`1` is below `5`");
        assert_eq!(refused("five", "6", "1"), "`five` is not a number");
        assert!(refused("0", "1e9", "1").contains("above 10000"));
        assert!(refused("0", "1e99", "1").contains("too many digits"));
        assert!(refused("0", "1", "1e-400").contains("too many digits"));
    }
}
