//! The canonical form of a JSON text: the bytes that its content digest is made of.
//!
//! Two texts have the same form exactly if they differ in nothing but white space, the order of
//! keys, the way in which characters of a text are escaped, what is volatile, and (for plots) the
//! names of random ids. Numbers stand in it as they were written.
//! The form is pinned by a golden test: whoever changes it raises `Form::version`.

use super::json::{Items, Json, Members, Value, View};
use super::pointer::Pointer;

/// Appends the canonical form of `json` to `out`, less what `volatile` matches.
///
/// A volatile member is left out with its key, a volatile item closes the gap, so that absent and
/// present compare equal. `plotly` gives random ids canonical names.
pub(super) fn write(json: Json<'_>, volatile: &[Pointer], plotly: bool, out: &mut Vec<u8>) {
    let mut skipped = Vec::new();
    for pointer in volatile {
        pointer.select(json.root(), |value| skipped.push(value.id));
    }
    skipped.sort_unstable();
    let mut writer = Writer { out, skipped: &skipped, ids: &Ids::default() };
    if writer.skips(json.root()) {
        return;
    }
    if plotly {
        let ids = Ids::find(json, &skipped);
        Writer { out: writer.out, skipped: &skipped, ids: &ids }.value(json.root());
    } else {
        writer.value(json.root());
    }
}

/// Writes values, each begun by a letter that no number holds, so that no two forms run together.
struct Writer<'w> {
    out: &'w mut Vec<u8>,
    /// Sorted.
    skipped: &'w [u32],
    ids: &'w Ids,
}

impl Writer<'_> {
    fn skips(&self, value: Value<'_>) -> bool {
        !self.skipped.is_empty() && self.skipped.binary_search(&value.id).is_ok()
    }

    fn value(&mut self, value: Value<'_>) {
        match value.view() {
            View::Null => self.out.push(b'n'),
            View::Bool(true) => self.out.push(b't'),
            View::Bool(false) => self.out.push(b'f'),
            View::Number(number) => {
                self.out.push(b'#');
                self.out.extend_from_slice(number);
            }
            View::Text(text) => match self.ids.rank(text) {
                Some(rank) => self.id(rank, b""),
                None => self.text(text),
            },
            View::List(items) => self.list(items),
            View::Object(members) if self.ids.keyed.binary_search(&value.id).is_ok() => {
                self.keyed_by_ids(members);
            }
            View::Object(members) => {
                self.out.push(b'{');
                for (name, member) in members {
                    if !self.skips(member) {
                        self.text(name.bytes());
                        self.value(member);
                    }
                }
                self.out.push(b'}');
            }
        }
    }

    fn list(&mut self, items: Items<'_>) {
        self.out.push(b'[');
        for item in items {
            if !self.skips(item) {
                self.value(item);
            }
        }
        self.out.push(b']');
    }

    fn text(&mut self, text: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.out.extend_from_slice(text);
    }

    fn id(&mut self, rank: u32, suffix: &[u8]) {
        self.out.push(b'i');
        self.out.extend_from_slice(&rank.to_le_bytes());
        self.text(suffix);
    }

    /// An object whose keys are ids: its order is that of their canonical names.
    fn keyed_by_ids(&mut self, members: Members<'_>) {
        let mut forms = Vec::with_capacity(members.len());
        for (name, member) in members {
            if self.skips(member) {
                continue;
            }
            let mut form = Vec::new();
            let mut writer = Writer { out: &mut form, skipped: self.skipped, ids: self.ids };
            let (id, suffix) = split_suffix(name.bytes());
            match self.ids.rank(id) {
                Some(rank) => writer.id(rank, suffix),
                None => writer.text(name.bytes()),
            }
            writer.value(member);
            forms.push(form);
        }
        forms.sort_unstable();
        self.out.push(b'{');
        self.out.extend(forms.into_iter().flatten());
        self.out.push(b'}');
    }
}

/// The random ids of a plot and the canonical names that they get: numbers from 0.
///
/// plotly.R draws an id (`tempfile`: the process and a random number, in hexadecimal) for every
/// `plot_ly()` and `add_*()`, and writes it as a key of `visdat` and `attrs` and as the value of
/// `cur_data`; a second layer of the same data gets the key again with `.1` behind it.
/// One in thirty thousand is shorter than six digits, so in `visdat` short ones count too.
/// Ids are looked for only there: in the whole, in its `x` (a widget's payload), and in the traces
/// of either. They are renamed, not dropped, so a change of what an attribute *is* shows; and a
/// text anywhere that is exactly an id that was found is that id's name too.
///
/// Which id becomes 0 may not hang on the ids or on the order of keys, so they are numbered by
/// what stands under them; those that agree in all of that are interchangeable, and are numbered
/// as they come in the text.
#[derive(Default)]
struct Ids {
    /// Sorted by id.
    ranks: Vec<(Vec<u8>, u32)>,
    /// The objects whose keys are ids, sorted.
    keyed: Vec<u32>,
}

/// One place where an id stands.
struct Mention<'t> {
    id: &'t [u8],
    /// Where in the text.
    at: u32,
    /// What tells it from other ids: kind and number of the place, suffix and value.
    suffix: &'t [u8],
    place: (u32, &'static [u8]),
    value: Option<Value<'t>>,
}

impl Ids {
    fn find(json: Json<'_>, skipped: &[u32]) -> Ids {
        let kept = |value: &Value<'_>| skipped.binary_search(&value.id).is_err();
        let root = json.root();
        let mut bearers = Vec::new();
        for whole in [Some(root), root.get(b"x").filter(kept)].into_iter().flatten() {
            bearers.push(whole);
            if let Some(View::List(traces)) = whole.get(b"data").filter(kept).map(Value::view) {
                bearers.extend(traces.filter(kept));
            }
        }
        let mut mentions = Vec::new();
        let mut keyed = Vec::new();
        for (number, bearer) in (0..).zip(bearers) {
            // First `visdat`, whose keys are nothing but ids, however short.
            let first = mentions.len();
            for key in [b"visdat".as_slice(), b"attrs"] {
                let Some(object) = bearer.get(key).filter(kept) else { continue };
                let View::Object(members) = object.view() else { continue };
                let before = mentions.len();
                for (name, value) in members.filter(|(_, value)| kept(value)) {
                    let (id, suffix) = split_suffix(name.bytes());
                    if (key == b"visdat" && is_id(id)) || is_known(id, &mentions[first..]) {
                        let (at, value) = (name.id(), Some(value));
                        let key = if key == b"attrs" { b"a".as_slice() } else { b"v" };
                        mentions.push(Mention { id, at, suffix, place: (number, key), value });
                    }
                }
                if mentions.len() > before {
                    keyed.push(object.id);
                }
            }
            if let Some(value) = bearer.get(b"cur_data").filter(kept)
                && let Some(id) = value.text()
                && is_known(id, &mentions[first..])
            {
                let place = (number, b"c".as_slice());
                mentions.push(Mention { id, at: value.id, suffix: b"", place, value: None });
            }
        }
        keyed.sort_unstable();
        Ids { ranks: rank(mentions, skipped, &keyed), keyed }
    }

    fn rank(&self, text: &[u8]) -> Option<u32> {
        if self.ranks.is_empty() || !ID_LENGTH.contains(&text.len()) {
            return None;
        }
        let found = self.ranks.binary_search_by(|(id, _)| id.as_slice().cmp(text));
        found.ok().map(|at| self.ranks[at].1)
    }
}

/// Numbers the ids by what stands under them; the answer is sorted by id.
fn rank(mut mentions: Vec<Mention<'_>>, skipped: &[u32], keyed: &[u32]) -> Vec<(Vec<u8>, u32)> {
    mentions.sort_unstable_by_key(|mention| (mention.id, mention.at));
    let groups = || mentions.chunk_by(|a, b| a.id == b.id);
    let nameless = groups().map(|group| (group[0].id.to_owned(), 0)).collect();
    if mentions.first().map(|m| m.id) == mentions.last().map(|m| m.id) {
        return nameless;
    }
    // For now all ids have one name, so that none of them shows in what tells them apart.
    let nameless = Ids { ranks: nameless, keyed: keyed.to_vec() };
    let mut found = Vec::new();
    for group in groups() {
        let form = |mention: &Mention<'_>| {
            let mut out = Vec::new();
            out.extend_from_slice(&mention.place.0.to_le_bytes());
            out.extend_from_slice(mention.place.1);
            let mut writer = Writer { out: &mut out, skipped, ids: &nameless };
            writer.text(mention.suffix);
            if let Some(value) = mention.value {
                writer.value(value);
            }
            out
        };
        let mut forms: Vec<Vec<u8>> = group.iter().map(form).collect();
        forms.sort_unstable();
        // Compared in this order: what stands under an id, then where it stands first.
        found.push((forms, group[0].at, group[0].id));
    }
    found.sort_unstable();
    let mut ranks: Vec<(Vec<u8>, u32)> =
        (0..).zip(found).map(|(rank, (_, _, id))| (id.to_owned(), rank)).collect();
    ranks.sort_unstable();
    ranks
}

/// How long an id is; shorter ones are drawn less than once in ten million times.
const ID_LENGTH: std::ops::RangeInclusive<usize> = 3..=16;

/// How long a text is that is taken for an id by its looks alone.
const LONG_ID: usize = 6;

fn is_id(text: &[u8]) -> bool {
    ID_LENGTH.contains(&text.len())
        && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// True for what looks like an id without doubt, or is one in the `visdat` beside it.
fn is_known(text: &[u8], beside: &[Mention<'_>]) -> bool {
    is_id(text) && (text.len() >= LONG_ID || beside.iter().any(|mention| mention.id == text))
}

/// Parts `4bb86a3a9ab.1` into the id and `.1`.
fn split_suffix(key: &[u8]) -> (&[u8], &[u8]) {
    let dot = key.iter().rposition(|byte| *byte == b'.');
    match dot.map(|dot| key.split_at(dot)) {
        Some((id, suffix)) if suffix.len() > 1 && suffix[1..].iter().all(u8::is_ascii_digit) => {
            (id, suffix)
        }
        _ => (key, b""),
    }
}
