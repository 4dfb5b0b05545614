//! Places inside texts: which bytes of the file a part of a text is.

use std::ops::Range;

use crate::error::{Source, Span};

/// The bytes of the file that `part` of a text is, where `whole` is the text with its quotes.
///
/// Where escapes stand in the text its bytes are not the file's, and the whole text is pointed at.
pub fn part(source: &Source, whole: &Span, text: &str, part: Range<usize>) -> Span {
    let Some(written) = source.text.get(whole.clone()) else { return whole.clone() };
    // The longer quotes come first, since they begin with the shorter ones.
    for quote in ["\"\"\"", "'''", "\"", "'", ""] {
        let inner = written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let Some(inner) = inner else { continue };
        // A line end right after three quotes is not part of the text.
        let trimmed = match quote.len() {
            3 => inner.strip_prefix("\r\n").or(inner.strip_prefix('\n')).unwrap_or(inner),
            _ => inner,
        };
        if trimmed == text && part.end <= text.len() {
            let start = whole.start + quote.len() + (inner.len() - trimmed.len());
            return start + part.start..start + part.end;
        }
    }
    whole.clone()
}
