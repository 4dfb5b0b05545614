//! The typed values of a row's item, as DynamoDB has them, and how numbers are written.
//!
//! Knows nothing of tables, keys or where a value comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One attribute of a row; `T` is what a text is made of (a plain text once it is published).
///
/// Its JSON is DynamoDB's own: `{"S":"incidence"}`, `{"N":"20123"}`, `{"BOOL":true}`, `{"NULL":true}`, `{"L":[…]}`, `{"M":{…}}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Attribute<T = String> {
    S(T),
    /// A decimal number, kept as text so that no digit is lost.
    N(T),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL", with = "null")]
    Null,
    L(Vec<Attribute<T>>),
    M(BTreeMap<String, Attribute<T>>),
}

/// The attributes of a row by name, beside those of its key.
pub type Item<T = String> = BTreeMap<String, Attribute<T>>;

impl<T> Attribute<T> {
    /// The same attribute with every text written out; numbers come out in their one canonical form.
    ///
    /// Fails with a fragment that names a text which should be a number and is none.
    pub fn render(&self, write: &dyn Fn(&T) -> String) -> Result<Attribute, String> {
        Ok(match self {
            Attribute::S(text) => Attribute::S(write(text)),
            Attribute::N(text) => Attribute::N(canonical_number(&write(text))?),
            Attribute::Bool(value) => Attribute::Bool(*value),
            Attribute::Null => Attribute::Null,
            Attribute::L(list) => {
                Attribute::L(list.iter().map(|one| one.render(write)).collect::<Result<_, _>>()?)
            }
            Attribute::M(map) => Attribute::M(render_item(map, write)?),
        })
    }

    /// Calls `see` with every text, also those inside lists and maps.
    pub fn each_text<'a>(&'a self, see: &mut dyn FnMut(&'a T)) {
        match self {
            Attribute::S(text) | Attribute::N(text) => see(text),
            Attribute::Bool(_) | Attribute::Null => {}
            Attribute::L(list) => list.iter().for_each(|one| one.each_text(see)),
            Attribute::M(map) => map.values().for_each(|one| one.each_text(see)),
        }
    }
}

/// Renders every attribute of an item.
pub fn render_item<T>(item: &Item<T>, write: &dyn Fn(&T) -> String) -> Result<Item, String> {
    item.iter().map(|(name, value)| Ok((name.clone(), value.render(write)?))).collect()
}

/// Plain data as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data is written as JSON")
}

/// A decimal number in the one form that equal numbers share: no exponent, no needless zero.
///
/// The bounds are DynamoDB's: 38 significant digits, magnitudes from 1e-130 to below 1e126.
pub fn canonical_number(text: &str) -> Result<String, String> {
    let malformed = || format!("`{text}` is not a decimal number");
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| malformed())?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    // The value is 0.DIGITS times ten to the power of `point`.
    let mut point = i64::from(exponent) + i64::try_from(whole.len()).map_err(|_| malformed())?;
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..zeros);
    point -= i64::try_from(zeros).map_err(|_| malformed())?;
    digits.truncate(digits.trim_end_matches('0').len());
    if digits.is_empty() {
        return Ok("0".into());
    }
    if digits.len() > 38 {
        return Err(format!("`{text}` has more than 38 significant digits"));
    }
    if !(-129..=126).contains(&point) {
        return Err(format!("`{text}` is outside of what a number may be (1e-130 to 1e126)"));
    }
    let before = usize::try_from(point).unwrap_or(0);
    if point <= 0 {
        let zeros = "0".repeat(usize::try_from(-point).unwrap_or(0));
        Ok(format!("{sign}0.{zeros}{digits}"))
    } else if before >= digits.len() {
        Ok(format!("{sign}{digits}{}", "0".repeat(before - digits.len())))
    } else {
        Ok(format!("{sign}{}.{}", &digits[..before], &digits[before..]))
    }
}

/// `NULL` is written with the value `true`, which says nothing.
mod null {
    use super::*;

    pub fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        true.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        bool::deserialize(deserializer).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_written_in_dynamodbs_typed_form_and_read_back() {
        let item: Item = BTreeMap::from([
            ("facets".into(), Attribute::L(vec![Attribute::S("age+sex".into())])),
            ("file_size".into(), Attribute::N("20123".into())),
            ("gone".into(), Attribute::Null),
            ("has_baseline".into(), Attribute::Bool(true)),
            ("of".into(), Attribute::M(BTreeMap::from([("n".into(), Attribute::Null)]))),
        ]);
        let json = r#"{"facets":{"L":[{"S":"age+sex"}]},"file_size":{"N":"20123"},"gone":{"NULL":true},"has_baseline":{"BOOL":true},"of":{"M":{"n":{"NULL":true}}}}"#;
        assert_eq!(serde_json::to_string(&item).unwrap(), json);
        assert_eq!(serde_json::from_str::<Item>(json).unwrap(), item);
    }

    #[test]
    fn equal_numbers_are_written_alike_and_what_is_no_number_is_refused() {
        for (text, canonical) in [
            ("20123", "20123"),
            ("+007.50", "7.5"),
            ("-0.0", "0"),
            ("1e3", "1000"),
            ("12.5E-3", "0.0125"),
            ("-.5", "-0.5"),
            ("5.", "5"),
            ("123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
        ] {
            assert_eq!(canonical_number(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in ["", ".", "-", "1,5", "0x10", "NaN", "1e", "1e999", "٣", "1 "] {
            assert!(canonical_number(text).unwrap_err().contains(&format!("`{text}`")));
        }
        assert!(canonical_number(&"9".repeat(39)).unwrap_err().contains("38"));
    }
}
