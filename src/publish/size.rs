//! How large rows are, as DynamoDB counts it. Pure.
//!
//! Source: "DynamoDB item sizes and formats" and "Quotas in Amazon DynamoDB" of the developer guide.

use super::attribute::{Attribute, Item};
use super::manifest::RowEntry;
use super::wanted::RowKey;

/// The most bytes of a row.
pub const MOST_ROW: u64 = 400 * 1024;
/// The most bytes of the two parts of a key: hash, then range.
pub const MOST_KEY: [u64; 2] = [2048, 1024];

/// The bytes of a row.
pub fn of_row(key: &RowKey, entry: &RowEntry) -> u64 {
    let key = key.0.iter().map(|(name, value)| name.len() as u64 + of_value(value));
    key.sum::<u64>() + of_item(&entry.item) + of_item(&entry.uncompared)
}

fn of_item(item: &Item) -> u64 {
    item.iter().map(|(name, value)| name.len() as u64 + of_value(value)).sum()
}

/// The bytes of a value.
pub fn of_value(value: &Attribute) -> u64 {
    match value {
        Attribute::S(text) => text.len() as u64,
        // Two digits in a byte, and one for the sign and the point.
        Attribute::N(text) => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count() as u64;
            digits.div_ceil(2) + 1
        }
        Attribute::Bool(_) | Attribute::Null => 1,
        Attribute::L(list) => 3 + list.iter().map(|one| 1 + of_value(one)).sum::<u64>(),
        Attribute::M(map) => {
            3 + map.iter().map(|(n, v)| 1 + n.len() as u64 + of_value(v)).sum::<u64>()
        }
    }
}
