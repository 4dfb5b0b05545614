//! A JSON value as a flat tree of places in its text.
//!
//! Knows nothing of plots, pointers or digests; `parse` makes it.
//! The tree holds offsets, no texts: 20 MB of rows take three allocations that grow, not a million.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    True,
    False,
    /// `start..end` is a range of the source.
    Number,
    /// `start..end` is a range of the source.
    Text,
    /// A text that held escapes: `start..end` is a range of `Tree::decoded`.
    Decoded,
    /// `end` is the number of items, which follow.
    List,
    /// Keys and values follow by turns; `start` and `end` are the range of `Tree::sorted`.
    Object,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    pub(super) start: u32,
    pub(super) end: u32,
    /// The node behind this one and all that is in it.
    pub(super) next: u32,
}

/// A parsed text, without the text: nodes in the order in which they were written.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// The keys of each object, sorted by their bytes.
    pub(super) sorted: Vec<u32>,
    pub(super) decoded: Vec<u8>,
}

impl Tree {
    /// The key, text or number at a node.
    pub(super) fn bytes<'t>(&'t self, source: &'t [u8], node: u32) -> &'t [u8] {
        let Node { shape, start, end, .. } = self.nodes[node as usize];
        let range = start as usize..end as usize;
        if shape == Shape::Decoded { &self.decoded[range] } else { &source[range] }
    }
}

/// A key as a step of a pointer: `~` and `/` escaped.
pub(super) fn step(key: &[u8]) -> String {
    String::from_utf8_lossy(key).replace('~', "~0").replace('/', "~1")
}

/// A tree and the text that it was read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) source: &'t [u8],
}

impl<'t> Json<'t> {
    pub(crate) fn root(self) -> Value<'t> {
        Value { json: self, id: 0 }
    }
}

/// One value of a tree; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'t> {
    json: Json<'t>,
    /// Grows in the order of the text; a value's id is below those of all that is in it.
    pub(crate) id: u32,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'t> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'t [u8]),
    /// Decoded.
    Text(&'t [u8]),
    List(Items<'t>),
    Object(Members<'t>),
}

impl<'t> Value<'t> {
    fn node(self) -> Node {
        self.json.tree.nodes[self.id as usize]
    }

    pub(crate) fn view(self) -> View<'t> {
        let Node { shape, start, end, .. } = self.node();
        let Json { tree, source } = self.json;
        match shape {
            Shape::Null => View::Null,
            Shape::True => View::Bool(true),
            Shape::False => View::Bool(false),
            Shape::Number => View::Number(&source[start as usize..end as usize]),
            Shape::Text | Shape::Decoded => View::Text(tree.bytes(source, self.id)),
            Shape::List => View::List(Items { json: self.json, next: self.id + 1, left: end }),
            Shape::Object => {
                let keys = &tree.sorted[start as usize..end as usize];
                View::Object(Members { json: self.json, keys })
            }
        }
    }

    /// The text that it is, decoded.
    pub(crate) fn text(self) -> Option<&'t [u8]> {
        match self.view() {
            View::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The member of an object.
    pub(crate) fn get(self, key: &[u8]) -> Option<Value<'t>> {
        match self.view() {
            View::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// Where it stands, as an RFC 6901 pointer; empty for the whole.
    pub(crate) fn pointer(self) -> String {
        let mut pointer = String::new();
        let mut here = self.json.root();
        while here.id != self.id {
            let (step, child) = match here.view() {
                View::List(items) => {
                    let found = items.enumerate().find(|(_, item)| item.holds(self.id));
                    found.map(|(index, item)| (index.to_string(), item))
                }
                View::Object(members) => {
                    let mut members = members;
                    let found = members.find(|(_, value)| value.holds(self.id));
                    found.map(|(key, value)| (step(key.bytes()), value))
                }
                _ => None,
            }
            .expect("a value stands below the root");
            pointer.push('/');
            pointer.push_str(&step);
            here = child;
        }
        pointer
    }

    fn holds(self, id: u32) -> bool {
        (self.id..self.node().next).contains(&id)
    }
}

/// The items of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'t> {
    json: Json<'t>,
    next: u32,
    left: u32,
}

impl<'t> Iterator for Items<'t> {
    type Item = Value<'t>;

    fn next(&mut self) -> Option<Value<'t>> {
        self.left = self.left.checked_sub(1)?;
        let value = Value { json: self.json, id: self.next };
        self.next = value.node().next;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The members of an object, sorted by their keys' bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'t> {
    json: Json<'t>,
    keys: &'t [u32],
}

/// The key of a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'t>(Value<'t>);

impl<'t> Name<'t> {
    pub(crate) fn bytes(self) -> &'t [u8] {
        self.0.json.tree.bytes(self.0.json.source, self.0.id)
    }

    /// Grows in the order of the text.
    pub(crate) fn id(self) -> u32 {
        self.0.id
    }
}

impl<'t> Members<'t> {
    pub(crate) fn get(self, key: &[u8]) -> Option<Value<'t>> {
        let Json { tree, source } = self.json;
        let found = self.keys.binary_search_by(|node| tree.bytes(source, *node).cmp(key));
        found.ok().map(|at| Value { json: self.json, id: self.keys[at] + 1 })
    }
}

impl<'t> Iterator for Members<'t> {
    type Item = (Name<'t>, Value<'t>);

    fn next(&mut self) -> Option<(Name<'t>, Value<'t>)> {
        let (first, rest) = self.keys.split_first()?;
        self.keys = rest;
        let name = Name(Value { json: self.json, id: *first });
        Some((name, Value { json: self.json, id: first + 1 }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.keys.len(), Some(self.keys.len()))
    }
}

impl ExactSizeIterator for Members<'_> {}
