//! What an output's content is: its bytes less what is volatile, as a digest.
//!
//! Knows nothing of files and targets; `audit` judges the same documents.
//! What a file is taken for is declared (`as`), never sniffed.
//!
//! | `as` | the content |
//! |---|---|
//! | `bytes` | every byte |
//! | `json` | a JSON value: white space, the order of keys and the escapes of texts do not count; numbers count as they were written |
//! | `plotly` | `json`, and the random ids that plotly.R writes into `visdat`, `attrs` and `cur_data` do not count |
//! | `html` | every byte of the page, but that random ids `htmlwidget-…` do not count and each widget's payload is `plotly` |
//! | `gzip` | every byte of what was packed |
//! | `gzip+json`, `gzip+plotly`, `gzip+html` | what was packed, taken for that |
//!
//! Not taken for volatile, because it may mean something: `SharedData…` groups of crosstalk, ids
//! inside `evals`, and ids in files that are declared `json`; a pointer pattern can name them.

mod canonical;
mod html;
pub(crate) mod json;
mod parse;
mod pointer;

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::ops::Range;
use std::str::FromStr;

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::nearest;

use self::json::{Json, Tree, View};
use self::parse::{Fault, LONGEST};
pub use self::pointer::Pointer;

/// What is compared, once a file is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Form {
    Bytes,
    Json,
    Plotly,
    Html,
}

impl Form {
    /// Raised with every change of what counts as the same content.
    pub fn version(self) -> u32 {
        match self {
            Form::Bytes | Form::Json | Form::Plotly | Form::Html => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Form::Bytes => "bytes",
            Form::Json => "json",
            Form::Plotly => "plotly",
            Form::Html => "html",
        }
    }
}

/// What an output is taken for: the value of `as`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct As {
    /// Packed with gzip; all members count, their headers do not.
    pub gzip: bool,
    pub form: Form,
}

impl As {
    pub const BYTES: As = As { gzip: false, form: Form::Bytes };
    pub const JSON: As = As { gzip: false, form: Form::Json };
    pub const PLOTLY: As = As { gzip: false, form: Form::Plotly };
    pub const HTML: As = As { gzip: false, form: Form::Html };
    pub const GZIP: As = As { gzip: true, form: Form::Bytes };

    /// All that can be written, in the order in which it is documented.
    pub const NAMES: [&str; 8] =
        ["bytes", "json", "plotly", "html", "gzip", "gzip+json", "gzip+plotly", "gzip+html"];

    /// Parses the value of `as`; the error names what can be written.
    pub fn parse(text: &str) -> Result<As, String> {
        let (gzip, inner) = match text.strip_prefix("gzip+") {
            Some(inner) => (true, inner),
            None if text == "gzip" => return Ok(As::GZIP),
            None => (false, text),
        };
        let forms = [Form::Bytes, Form::Json, Form::Plotly, Form::Html];
        let form = forms.into_iter().find(|form| form.name() == inner);
        match form {
            Some(form) if !(gzip && form == Form::Bytes) => Ok(As { gzip, form }),
            _ => {
                let near = nearest(text, As::NAMES);
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let names = As::NAMES.map(|name| format!("`{name}`")).join(", ");
                Err(format!("unknown content `{text}`: expected one of {names}{near}"))
            }
        }
    }

    /// True if it holds values that pointers can name, for `volatile` and for audits.
    pub fn has_values(self) -> bool {
        self.form != Form::Bytes
    }
}

impl fmt::Display for As {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.gzip, self.form) {
            (true, Form::Bytes) => f.write_str("gzip"),
            (true, form) => write!(f, "gzip+{}", form.name()),
            (false, form) => f.write_str(form.name()),
        }
    }
}

impl FromStr for As {
    type Err = String;

    fn from_str(text: &str) -> Result<As, String> {
        As::parse(text)
    }
}

/// Why a file cannot be taken for what it is declared to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// A fragment without a place.
    pub message: String,
    pub spot: Option<Spot>,
    /// What to do.
    pub hint: String,
}

/// A place in a text; for packed files, in what was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// In bytes, from 0.
    pub offset: u64,
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// The value in which it stands; empty for the whole.
    pub pointer: String,
}

impl Unreadable {
    fn packed(message: String) -> Unreadable {
        let hint = "make the file again, or declare what it is if it is not packed".to_owned();
        Unreadable { message, spot: None, hint }
    }

    /// A fault of the JSON text that begins `base` bytes into `text`.
    fn in_text(text: &[u8], base: usize, fault: Fault) -> Unreadable {
        let at = base + fault.at;
        let before = &text[..at.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Bytes that continue a character are not counted.
        let column = before[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        let pointer = fault.steps.iter().rev().map(|step| format!("/{step}")).collect();
        let (offset, line, column) = (at as u64, line as u64, column as u64);
        let spot = Some(Spot { offset, line, column, pointer });
        Unreadable { message: fault.message, spot, hint: fault.hint.to_owned() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let Some(Spot { offset, line, column, pointer }) = &self.spot else { return Ok(()) };
        write!(f, ", at line {line}, column {column} (byte {offset}")?;
        if !pointer.is_empty() {
            write!(f, ", `{pointer}`")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Unreadable {}

/// A file's bytes, read once as what it is declared to be: for its digest and for audits.
#[derive(Debug)]
pub struct Document<'a> {
    kind: As,
    /// The file's own length, in bytes.
    size: u64,
    body: Body<'a>,
}

#[derive(Debug)]
enum Body<'a> {
    Bytes(&'a [u8]),
    /// Unpacked bytes are not kept.
    Unpacked(Digest),
    Json {
        text: Cow<'a, [u8]>,
        tree: Tree,
    },
    Page {
        page: Cow<'a, [u8]>,
        payloads: Vec<(Range<usize>, Tree)>,
    },
}

impl<'a> Document<'a> {
    /// Reads `bytes` as `kind`.
    ///
    /// # Errors
    /// What is not what it is declared to be: not JSON, JSON that readers disagree on (a key that
    /// stands twice, half a surrogate pair), cut off, nested deeper than 128, longer than 2 GiB.
    pub fn parse(bytes: &'a [u8], kind: As) -> Result<Document<'a>, Unreadable> {
        let body = match (kind.gzip, kind.form) {
            (false, Form::Bytes) => Body::Bytes(bytes),
            (true, Form::Bytes) => Body::Unpacked(unpacked_digest(bytes)?),
            (gzip, form) => {
                let text = if gzip { Cow::Owned(unpack(bytes)?) } else { Cow::Borrowed(bytes) };
                if form == Form::Html { page(text)? } else { json(text)? }
            }
        };
        Ok(Document { kind, size: bytes.len() as u64, body })
    }

    pub fn kind(&self) -> As {
        self.kind
    }

    /// The length of the file itself, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of the content, less all that `volatile` matches.
    ///
    /// What is volatile is left out together with its key, so it may also be missing: absent and
    /// present are the same content. In a page, pointers start at the payload of each widget.
    /// Bytes have no volatile values; the Jheemfile's grammar refuses patterns for them.
    pub fn content_digest(&self, volatile: &[Pointer]) -> Digest {
        let mut form = header(self.kind.form);
        match &self.body {
            Body::Bytes(bytes) => return Digest::of(bytes),
            Body::Unpacked(digest) => return *digest,
            Body::Json { text, tree } => {
                form.reserve(text.len());
                let json = Json { tree, source: text };
                canonical::write(json, volatile, self.kind.form == Form::Plotly, &mut form);
            }
            Body::Page { page, payloads } => {
                form.reserve(page.len());
                let mut ids = html::WidgetIds::default();
                let mut from = 0;
                for (range, tree) in payloads {
                    write_raw(&page[from..range.start], &mut ids, &mut form);
                    form.push(b'j');
                    let json = Json { tree, source: &page[range.clone()] };
                    canonical::write(json, volatile, true, &mut form);
                    from = range.end;
                }
                write_raw(&page[from..], &mut ids, &mut form);
            }
        }
        Digest::of(&form)
    }

    /// The value at a pointer as a text, if there is exactly one and it is a text, number or word.
    pub fn text_at(&self, at: &Pointer) -> Option<String> {
        let mut found = Vec::new();
        for json in self.values() {
            at.select(json.root(), |value| found.push(value));
        }
        let [value] = found.as_slice() else { return None };
        match value.view() {
            View::Text(text) | View::Number(text) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            View::Bool(value) => Some(value.to_string()),
            View::Null | View::List(_) | View::Object(_) => None,
        }
    }

    /// The JSON values in it: none, one, or the payload of each widget of a page.
    pub(crate) fn values(&self) -> Vec<Json<'_>> {
        match &self.body {
            Body::Bytes(_) | Body::Unpacked(_) => Vec::new(),
            Body::Json { text, tree } => vec![Json { tree, source: text }],
            Body::Page { page, payloads } => payloads
                .iter()
                .map(|(range, tree)| Json { tree, source: &page[range.clone()] })
                .collect(),
        }
    }
}

/// The digest of what a file's reader would see; see `Document`.
///
/// # Errors
/// As `Document::parse`.
pub fn content_digest(bytes: &[u8], kind: As, volatile: &[Pointer]) -> Result<Digest, Unreadable> {
    Ok(Document::parse(bytes, kind)?.content_digest(volatile))
}

fn header(form: Form) -> Vec<u8> {
    format!("jheem {} {}\n", form.name(), form.version()).into_bytes()
}

fn json(text: Cow<'_, [u8]>) -> Result<Body<'_>, Unreadable> {
    let tree = parse::parse(&text).map_err(|fault| Unreadable::in_text(&text, 0, *fault))?;
    Ok(Body::Json { text, tree })
}

fn page(page: Cow<'_, [u8]>) -> Result<Body<'_>, Unreadable> {
    let ranges = html::payloads(&page).map_err(|at| {
        let message = "the page ends inside a widget's payload".to_owned();
        let hint = "make the file again: it looks cut off";
        Unreadable::in_text(&page, 0, Fault { at, message, hint, steps: Vec::new() })
    })?;
    let mut payloads = Vec::with_capacity(ranges.len());
    for range in ranges {
        let tree = parse::parse(&page[range.clone()]);
        let tree = tree.map_err(|fault| Unreadable::in_text(&page, range.start, *fault))?;
        payloads.push((range, tree));
    }
    Ok(Body::Page { page, payloads })
}

fn write_raw<'p>(raw: &'p [u8], ids: &mut html::WidgetIds<'p>, form: &mut Vec<u8>) {
    ids.part(raw, |bytes, id| {
        form.push(b'b');
        form.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        form.extend_from_slice(bytes);
        if let Some(id) = id {
            form.push(b'w');
            form.extend_from_slice(&id.to_le_bytes());
        }
    });
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut text = Vec::new();
    // One byte more than is allowed tells a text that is too long from one that just fits.
    let mut reader = MultiGzDecoder::new(bytes).take(LONGEST as u64 + 1);
    match reader.read_to_end(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(not_gzip(&error)),
    }
}

fn unpacked_digest(bytes: &[u8]) -> Result<Digest, Unreadable> {
    let mut hasher = blake3::Hasher::new();
    match hasher.update_reader(MultiGzDecoder::new(bytes)) {
        Ok(hasher) => Ok(Digest::blake3(hasher.finalize())),
        Err(error) => Err(not_gzip(&error)),
    }
}

fn not_gzip(error: &std::io::Error) -> Unreadable {
    Unreadable::packed(match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the gzip data ends too early".to_owned(),
        _ => format!("this is not whole gzip data: {error}"),
    })
}
