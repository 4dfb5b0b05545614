//! Pages as htmlwidgets writes them: where the widgets' payloads are, and their random ids.
//!
//! Not an HTML parser: it knows comments, scripts and their attributes, and takes the rest as bytes.

use std::collections::HashMap;
use std::ops::Range;

/// Where the text of each `<script type="application/json" data-for=…>` stands in a page.
///
/// The error is the offset of a payload that does not end.
pub(super) fn payloads(page: &[u8]) -> Result<Vec<Range<usize>>, usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = page[at..].iter().position(|byte| *byte == b'<') {
        at += open;
        let rest = &page[at..];
        if rest.starts_with(b"<!--") {
            at = find(page, at, b"-->").unwrap_or(page.len());
        } else if begins_script(rest) {
            // A tag that does not end takes the rest of the page with it.
            let Some(length) = tag_length(rest) else { break };
            let tag = &rest[..length];
            let start = at + length;
            let end = find(page, start, b"</script");
            if is_payload(tag) {
                found.push(start..end.ok_or(start)?);
            }
            at = end.unwrap_or(page.len());
        }
        at = (at + 1).min(page.len());
    }
    Ok(found)
}

const SCRIPT: &[u8] = b"<script";

fn begins_script(rest: &[u8]) -> bool {
    let Some((name, after)) = rest.split_at_checked(SCRIPT.len()) else { return false };
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
    name.eq_ignore_ascii_case(SCRIPT) && after.first().is_some_and(ends)
}

/// The length of the tag that `rest` begins with, up to and with its `>`.
fn tag_length(rest: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

fn is_payload(tag: &[u8]) -> bool {
    let (mut json, mut bound) = (false, false);
    let mut rest = &tag[SCRIPT.len()..tag.len() - 1];
    loop {
        rest = rest.trim_ascii_start();
        let length = rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'=');
        let (name, after) = rest.split_at(length.unwrap_or(rest.len()));
        if name.is_empty() && after.is_empty() {
            return json && bound;
        }
        let after = after.trim_ascii_start();
        let mut value: &[u8] = b"";
        rest = after;
        if let Some(after) = after.strip_prefix(b"=") {
            let after = after.trim_ascii_start();
            (value, rest) = match after.first() {
                Some(quote @ (b'"' | b'\'')) => {
                    let inner = &after[1..];
                    let end = inner.iter().position(|byte| byte == quote);
                    let end = end.unwrap_or(inner.len());
                    (&inner[..end], inner.get(end + 1..).unwrap_or(b""))
                }
                _ => {
                    let end = after.iter().position(u8::is_ascii_whitespace);
                    after.split_at(end.unwrap_or(after.len()))
                }
            };
        }
        json |= name.eq_ignore_ascii_case(b"type")
            && value.trim_ascii().eq_ignore_ascii_case(b"application/json");
        bound |= name.eq_ignore_ascii_case(b"data-for");
    }
}

/// Where `what` (in lower case) begins at or after `from`, whatever the case of the page.
fn find(page: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let first = what[0];
    let mut at = from;
    loop {
        at += page.get(at..)?.iter().position(|byte| *byte == first)?;
        if page.get(at..at + what.len())?.eq_ignore_ascii_case(what) {
            return Some(at);
        }
        at += 1;
    }
}

/// Random widget ids, in the order in which a page first names them.
#[derive(Default)]
pub(super) struct WidgetIds<'p>(HashMap<&'p [u8], u32>);

const WIDGET: &[u8] = b"htmlwidget-";

impl<'p> WidgetIds<'p> {
    /// Parts `raw` into stretches of bytes, each followed by the number of a widget id (but the last).
    pub(super) fn part(&mut self, raw: &'p [u8], mut piece: impl FnMut(&'p [u8], Option<u32>)) {
        let mut from = 0;
        let mut at = 0;
        while let Some(start) = raw.get(at..).and_then(|rest| find_exact(rest, WIDGET)) {
            let start = at + start;
            let digits = start + WIDGET.len();
            let hex = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let length = raw[digits..].iter().take_while(hex).count();
            let end = digits + length;
            at = end;
            let before = start.checked_sub(1).map(|before| raw[before]);
            let alone = !before.is_some_and(in_word) && !raw.get(end).copied().is_some_and(in_word);
            if !alone || length < 8 {
                continue;
            }
            let id = &raw[start..end];
            let next = self.0.len() as u32;
            let number = *self.0.entry(id).or_insert(next);
            piece(&raw[from..start], Some(number));
            from = end;
        }
        piece(&raw[from..], None);
    }
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn find_exact(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
