//! Texts with `{holes}`: read once, filled in purely.
//!
//! Does not know which holes exist; the graph decides that where it knows the axes.

use std::ops::Range;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    Text(String),
    /// The name between braces, and where it stands in the template's text, braces included.
    Hole {
        name: String,
        at: Range<usize>,
    },
}

/// A text with holes. `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    /// The text as it was written.
    pub text: String,
    pub pieces: Vec<Piece>,
}

/// Why a text is no template: what is wrong, and the bytes it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub message: String,
    pub at: Range<usize>,
}

impl Template {
    /// Reads a template; a lone brace or an empty hole is refused.
    pub fn parse(text: &str) -> Result<Template, Malformed> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((start, c)) = chars.next() {
            let doubled = chars.peek().is_some_and(|&(_, next)| next == c);
            match c {
                '{' | '}' if doubled => {
                    chars.next();
                    plain.push(c);
                }
                '{' => {
                    let rest = &text[start + 1..];
                    let end = match rest.find(['{', '}']) {
                        Some(length) if rest.as_bytes()[length] == b'}' => start + 1 + length,
                        _ => {
                            return Err(Malformed {
                                message: "a hole is opened and not closed".into(),
                                at: start..text.len(),
                            });
                        }
                    };
                    let name = text[start + 1..end].trim();
                    if name.is_empty() {
                        return Err(Malformed {
                            message: "a hole has no name".into(),
                            at: start..end + 1,
                        });
                    }
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Hole { name: name.to_owned(), at: start..end + 1 });
                    while chars.peek().is_some_and(|&(at, _)| at <= end) {
                        chars.next();
                    }
                }
                '}' => {
                    return Err(Malformed {
                        message: "a brace closes no hole; write `}}` for the brace itself".into(),
                        at: start..start + 1,
                    });
                }
                _ => plain.push(c),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// The names of the holes, in order, with where they stand.
    pub fn holes(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Hole { name, at } => Some((name.as_str(), at.clone())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_doubled_braces_are_told_apart() {
        let template = Template::parse("a/{city}_{{x}}{facet.part}").unwrap();
        assert_eq!(template.holes().map(|(n, _)| n).collect::<Vec<_>>(), ["city", "facet.part"]);
        assert_eq!(template.pieces[2], Piece::Text("_{x}".into()));
    }

    #[test]
    fn a_lone_brace_is_refused_where_it_stands() {
        assert_eq!(Template::parse("a{b").unwrap_err().at, 1..3);
        assert_eq!(Template::parse("a}b").unwrap_err().at, 1..2);
        assert_eq!(Template::parse("a{}").unwrap_err().at, 1..3);
        assert_eq!(Template::parse("é{a{b}").unwrap_err().at, 2..7);
    }
}
