//! Reads JSON strictly: one value, UTF-8, no key twice, nothing that readers disagree on.
//!
//! serde_json is not used here, because it hides what matters: how a number was written, whether a
//! key stood twice and where, and (with arbitrary precision) an object that looks like its own
//! private number; and its values take several times longer than a digest of every plot can bear.

use super::json::{Node, Shape, Tree, step};

/// How deep lists and objects may be nested; real plots stay below 20.
pub(crate) const DEEPEST: usize = 128;

/// How long a text may be, in bytes: offsets are 32 bits wide.
pub(crate) const LONGEST: usize = 1 << 31;

/// Why a text is not JSON that can be judged.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Offset in the text, in bytes.
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: &'static str,
    /// The keys and indices that lead there, innermost first, as pointer steps.
    pub(crate) steps: Vec<String>,
}

const NOT_JSON: &str = "make the file again, or declare `as = \"bytes\"` if it is not JSON";
const CUT_OFF: &str = "make the file again: it looks cut off";
const BARE_NAN: &str = "write `null` for a number that is missing";
const TWICE: &str = "write each key once: readers disagree on which value counts";

/// Reads `source` as one JSON value.
pub(crate) fn parse(source: &[u8]) -> Result<Tree, Box<Fault>> {
    let fault = |at, message: &str, hint| {
        Box::new(Fault { at, message: message.to_owned(), hint, steps: Vec::new() })
    };
    if source.len() > LONGEST {
        return Err(fault(0, "the text is longer than 2 GiB", "split the file"));
    }
    if let Err(error) = std::str::from_utf8(source) {
        let at = error.valid_up_to();
        return Err(match error.error_len() {
            None => fault(at, "the text ends inside a character", CUT_OFF),
            Some(_) => fault(at, "the text is not UTF-8", "write it as UTF-8"),
        });
    }
    if source.starts_with(b"\xef\xbb\xbf") {
        let message = "the text begins with a byte order mark";
        return Err(fault(0, message, "write it as UTF-8 without a mark"));
    }
    // A number and its comma are about eight bytes in a plot.
    let nodes = Vec::with_capacity(source.len() / 8 + 1);
    let tree = Tree { nodes, sorted: Vec::new(), decoded: Vec::new() };
    let mut parser = Parser { source, at: 0, tree, keys: Vec::new() };
    parser.space();
    parser.value(0)?;
    parser.space();
    if parser.at < source.len() {
        return Err(parser.fault("more text follows the end of the value", NOT_JSON));
    }
    Ok(parser.tree)
}

struct Parser<'s> {
    source: &'s [u8],
    at: usize,
    tree: Tree,
    /// Keys of the objects that are still open.
    keys: Vec<Key>,
}

#[derive(Clone, Copy)]
struct Key {
    /// The first eight bytes, for quick sorting.
    prefix: u64,
    node: u32,
    /// Offset in the text.
    at: u32,
}

impl Parser<'_> {
    fn fault(&self, message: impl Into<String>, hint: &'static str) -> Box<Fault> {
        self.fault_at(self.at, message, hint)
    }

    fn fault_at(&self, at: usize, message: impl Into<String>, hint: &'static str) -> Box<Fault> {
        Box::new(Fault { at, message: message.into(), hint, steps: Vec::new() })
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Adds a node that holds no others.
    fn leaf(&mut self, shape: Shape, start: usize, end: usize) {
        let next = self.tree.nodes.len() as u32 + 1;
        self.tree.nodes.push(Node { shape, start: start as u32, end: end as u32, next });
    }

    fn value(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'"') => self.text(),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b'n') => self.word("null", Shape::Null),
            Some(b't') => self.word("true", Shape::True),
            Some(b'f') => self.word("false", Shape::False),
            _ => Err(self.not_a_value()),
        }
    }

    fn not_a_value(&self) -> Box<Fault> {
        let rest = &self.source[self.at..];
        let word = rest.iter().take(24).take_while(|b| b.is_ascii_alphanumeric() || **b == b'-');
        let word: String = word.map(|b| char::from(*b)).collect();
        let bare = word.strip_prefix('-').unwrap_or(&word);
        match bare {
            "NaN" | "nan" | "Infinity" | "Inf" | "inf" | "NA" | "undefined" => {
                self.fault(format!("bare `{word}` is not JSON"), BARE_NAN)
            }
            _ if rest.is_empty() => self.fault("the text ends where a value belongs", CUT_OFF),
            "" => self.fault("no JSON value begins here", NOT_JSON),
            _ => self.fault(format!("`{word}` is not a JSON value"), NOT_JSON),
        }
    }

    fn word(&mut self, word: &'static str, shape: Shape) -> Result<(), Box<Fault>> {
        let rest = &self.source[self.at..];
        let whole = rest.starts_with(word.as_bytes())
            && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric);
        if !whole {
            return Err(self.not_a_value());
        }
        self.leaf(shape, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Box<Fault>> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(match self.peek() {
                None => self.fault("the text ends inside a number", CUT_OFF),
                Some(b'I' | b'N' | b'i' | b'n') => {
                    self.fault("`NaN` and `Infinity` are not JSON", BARE_NAN)
                }
                Some(_) => self.fault("a digit belongs here", NOT_JSON),
            });
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Box<Fault>> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.at;
        self.digits()?;
        if self.source[first] == b'0' && self.at > first + 1 {
            return Err(self.fault_at(first, "a number begins with a needless zero", NOT_JSON));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.leaf(Shape::Number, start, self.at);
        Ok(())
    }

    fn text(&mut self) -> Result<(), Box<Fault>> {
        let open = self.at;
        let start = open + 1;
        let decoded = self.tree.decoded.len();
        // What lies between `copied` and `at` is still to be copied, once there is an escape.
        let mut copied = start;
        self.at = start;
        loop {
            let rest = &self.source[self.at..];
            let plain = rest.iter().position(|b| matches!(*b, b'"' | b'\\' | 0..0x20));
            let Some(plain) = plain else {
                return Err(self.fault_at(open, "this text has no end", CUT_OFF));
            };
            self.at += plain;
            match self.source[self.at] {
                b'"' => break,
                b'\\' => {
                    self.tree.decoded.extend_from_slice(&self.source[copied..self.at]);
                    self.escape(open)?;
                    copied = self.at;
                }
                _ => return Err(self.fault("a bare control character in a text", NOT_JSON)),
            }
        }
        if copied == start {
            self.leaf(Shape::Text, start, self.at);
        } else {
            self.tree.decoded.extend_from_slice(&self.source[copied..self.at]);
            self.leaf(Shape::Decoded, decoded, self.tree.decoded.len());
        }
        self.at += 1;
        Ok(())
    }

    /// Decodes the escape at the cursor, of the text that was opened at `open`.
    fn escape(&mut self, open: usize) -> Result<(), Box<Fault>> {
        let at = self.at;
        let Some(letter) = self.source.get(at + 1) else {
            return Err(self.fault_at(open, "this text has no end", CUT_OFF));
        };
        self.at += 2;
        let byte = match letter {
            b'"' | b'\\' | b'/' => *letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = self.hex(at)?;
                if (0xd800..0xdc00).contains(&code) && self.source[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let low = self.hex(at)?;
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    }
                }
                let Some(letter) = char::from_u32(code) else {
                    return Err(self.fault_at(at, "half of a surrogate pair", NOT_JSON));
                };
                let mut buffer = [0; 4];
                let utf8 = letter.encode_utf8(&mut buffer);
                self.tree.decoded.extend_from_slice(utf8.as_bytes());
                return Ok(());
            }
            _ => return Err(self.fault_at(at, "an escape that JSON does not know", NOT_JSON)),
        };
        self.tree.decoded.push(byte);
        Ok(())
    }

    /// Reads four hexadecimal digits of the escape at `escape`.
    fn hex(&mut self, escape: usize) -> Result<u32, Box<Fault>> {
        let digits = self.source.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.fault_at(escape, "`\\u` wants four hexadecimal digits", NOT_JSON));
        };
        self.at += 4;
        Ok(digits.iter().fold(0, |code, digit| {
            code * 16 + char::from(*digit).to_digit(16).expect("checked to be hexadecimal")
        }))
    }

    /// Opens a list or an object: where its node is.
    fn open(&mut self, shape: Shape, depth: usize) -> Result<usize, Box<Fault>> {
        if depth >= DEEPEST {
            let message = format!("lists and objects are nested deeper than {DEEPEST}");
            return Err(self.fault(message, NOT_JSON));
        }
        let node = self.tree.nodes.len();
        self.tree.nodes.push(Node { shape, start: 0, end: 0, next: 0 });
        self.at += 1;
        self.space();
        Ok(node)
    }

    /// Steps over a comma or the closing bracket; true if the list or object goes on.
    fn goes_on(&mut self, close: u8) -> Result<bool, Box<Fault>> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            None => Err(self.fault("the text ends too early", CUT_OFF)),
            Some(_) => {
                let close = char::from(close);
                Err(self.fault(format!("`,` or `{close}` belongs here"), NOT_JSON))
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        let node = self.open(Shape::List, depth)?;
        let mut count: u32 = 0;
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.value(depth + 1).map_err(|mut fault| {
                    fault.steps.push(count.to_string());
                    fault
                })?;
                count += 1;
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        let next = self.tree.nodes.len() as u32;
        self.tree.nodes[node] = Node { shape: Shape::List, start: 0, end: count, next };
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        let node = self.open(Shape::Object, depth)?;
        let first = self.keys.len();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                match self.peek() {
                    Some(b'"') => {}
                    None => return Err(self.fault("the text ends too early", CUT_OFF)),
                    Some(_) => return Err(self.fault("a key in quotes belongs here", NOT_JSON)),
                }
                let at = self.at;
                let key = self.tree.nodes.len() as u32;
                self.text()?;
                let bytes = self.tree.bytes(self.source, key);
                self.keys.push(Key { prefix: prefix(bytes), node: key, at: at as u32 });
                self.space();
                match self.peek() {
                    Some(b':') => self.at += 1,
                    None => return Err(self.fault("the text ends too early", CUT_OFF)),
                    Some(_) => return Err(self.fault("`:` belongs here", NOT_JSON)),
                }
                self.space();
                let value = self.value(depth + 1);
                if let Err(mut fault) = value {
                    fault.steps.push(step(self.tree.bytes(self.source, key)));
                    return Err(fault);
                }
                if !self.goes_on(b'}')? {
                    break;
                }
            }
        }
        let start = self.tree.sorted.len();
        self.sort_keys(first)?;
        let next = self.tree.nodes.len() as u32;
        let (start, end) = (start as u32, self.tree.sorted.len() as u32);
        self.tree.nodes[node] = Node { shape: Shape::Object, start, end, next };
        Ok(())
    }

    /// Moves the keys from `first` on to `Tree::sorted`, or refuses the first that stands twice.
    fn sort_keys(&mut self, first: usize) -> Result<(), Box<Fault>> {
        let Parser { source, tree, keys, .. } = self;
        let compare = |a: &Key, b: &Key| {
            // Zeros fill up a short prefix, so equal prefixes do not mean equal keys.
            let whole = || tree.bytes(source, a.node).cmp(tree.bytes(source, b.node));
            a.prefix.cmp(&b.prefix).then_with(whole)
        };
        keys[first..].sort_unstable_by(compare);
        let pairs = keys[first..].windows(2).filter(|pair| compare(&pair[0], &pair[1]).is_eq());
        if let Some(second) = pairs.flatten().max_by_key(|key| key.at) {
            let name = tree.bytes(source, second.node);
            let message = format!("the key `{}` stands twice", String::from_utf8_lossy(name));
            let steps = vec![step(name)];
            return Err(Box::new(Fault { at: second.at as usize, message, hint: TWICE, steps }));
        }
        tree.sorted.extend(keys[first..].iter().map(|key| key.node));
        keys.truncate(first);
        Ok(())
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &[u8], at: usize, message: &str, pointer: &str) {
        let fault = parse(text).expect_err("refused");
        let found: String = fault.steps.iter().rev().map(|step| format!("/{step}")).collect();
        assert_eq!((fault.at, fault.message.as_str(), found.as_str()), (at, message, pointer));
    }

    #[test]
    fn text_that_is_not_json_is_refused_where_it_goes_wrong() {
        refused(b"", 0, "the text ends where a value belongs", "");
        refused(b" \n", 2, "the text ends where a value belongs", "");
        refused(b"Error in plot", 0, "`Error` is not a JSON value", "");
        refused(b"<html>", 0, "no JSON value begins here", "");
        refused(b"\xef\xbb\xbf{}", 0, "the text begins with a byte order mark", "");
        refused(b"[\"\xff\"]", 2, "the text is not UTF-8", "");
        refused(b"{} {}", 3, "more text follows the end of the value", "");
        refused(b"nullx", 0, "`nullx` is not a JSON value", "");
        refused(b"[1,]", 3, "no JSON value begins here", "/1");
        refused(b"[1 2]", 3, "`,` or `]` belongs here", "");
        refused(b"{\"a\" 1}", 5, "`:` belongs here", "");
        refused(b"{a: 1}", 1, "a key in quotes belongs here", "");
        refused(b"[\"a\nb\"]", 3, "a bare control character in a text", "/0");
        refused(br#"["\x"]"#, 2, "an escape that JSON does not know", "/0");
        refused(br#"["\u12"]"#, 2, "`\\u` wants four hexadecimal digits", "/0");
        refused(br#"["\ud800"]"#, 2, "half of a surrogate pair", "/0");
        refused(br#"["\ud800\u0041"]"#, 2, "half of a surrogate pair", "/0");
    }

    #[test]
    fn numbers_that_json_does_not_have_are_refused() {
        refused(br#"{"data":[{"y":[1,NaN]}]}"#, 17, "bare `NaN` is not JSON", "/data/0/y/1");
        refused(b"[Infinity]", 1, "bare `Infinity` is not JSON", "/0");
        refused(b"[-Infinity]", 2, "`NaN` and `Infinity` are not JSON", "/0");
        refused(b"[NA]", 1, "bare `NA` is not JSON", "/0");
        refused(b"[01]", 1, "a number begins with a needless zero", "/0");
        refused(b"[1.]", 3, "a digit belongs here", "/0");
        refused(b"[.5]", 1, "no JSON value begins here", "/0");
        refused(b"[1e]", 3, "a digit belongs here", "/0");
        refused(b"[+1]", 1, "no JSON value begins here", "/0");
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        refused(br#"{"data":[{"y":[1,2"#, 18, "the text ends too early", "/data/0/y");
        refused(br#"{"data":"inci"#, 8, "this text has no end", "/data");
        refused(br#"{"data":"inci\"#, 8, "this text has no end", "/data");
        refused(br#"{"data":1."#, 10, "the text ends inside a number", "/data");
        refused(b"\"\xc3", 1, "the text ends inside a character", "");
        let whole = br#"{"data":[{"y":[1,2.5e3,"\u00e9",null]}],"layout":{}}"#;
        assert!(parse(whole).is_ok());
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "the first {length} bytes");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_where_it_stands_again() {
        let text = br#"{"layout":{"title":1,"x":2,"title":3}}"#;
        refused(text, 27, "the key `title` stands twice", "/layout/title");
        // An escape does not make it another key.
        let text = br#"{"title":1,"t\u0069tle":1}"#;
        refused(text, 11, "the key `title` stands twice", "/title");
        // Neither is one that only begins like it, nor an empty byte at its end.
        assert!(parse(br#"{"value.low":1,"value.lower":2,"a":1,"a\u0000":2}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        let fault = parse(nested(DEEPEST + 1).as_bytes()).unwrap_err();
        assert_eq!(fault.message, "lists and objects are nested deeper than 128");
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
    }
}
