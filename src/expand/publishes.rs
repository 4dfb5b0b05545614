//! Publishes: keys, metadata and items.

use std::collections::{BTreeMap, HashMap};

use super::names::{hole_span, or_declare, or_one_of};
use super::{Expansion, Scope, media};
use crate::content::Pointer;
use crate::error::{Error, Span};
use crate::graph::{Attribute, Publish, PublishObject, PublishRow, Rule, RuleId, Slot, Text};
use crate::manifest::{self, At, RuleName};
use crate::publish::{edition, parse_destination};
use crate::template::Template;

impl Expansion<'_> {
    pub(super) fn publish(
        &mut self,
        written: &manifest::Publish,
        rules: &[Rule],
        ids: &HashMap<RuleName, RuleId>,
        before: &BTreeMap<String, usize>,
    ) -> Option<Publish> {
        let (rule_name, told) = (written.of.value.to_string(), self.errors.len());
        let Some(&of) = ids.get(&written.of.value) else {
            if !self.manifest.broken.has(&rule_name) {
                let error = self.no_rule(&rule_name);
                self.error(&written.of.span, error);
            }
            return None;
        };
        let rule = &rules[of.0];
        self.vague = self.manifest.broken.has(&rule_name);
        self.missed.clear();
        if self.broken.has(&rule_name) {
            // What a rule is over that is broken was told there.
            self.missed.extend(0..self.axes.len());
        }
        let header = format!("publish.{}", written.name.value);
        let objects = self.objects(written, rule);
        let rows = self.rows(written, rule, &objects, &header);
        let hold = self.hold(written, rule);
        let editions = self.editions(written);
        let mislabelled = |text: &Text| self.is_mislabelled(text, &rule.space);
        let in_key = |(_, value): &(String, Attribute)| match value {
            Attribute::S(text) | Attribute::N(text) => mislabelled(text),
            _ => false,
        };
        let mislabelled = objects.iter().any(|object| mislabelled(&object.key))
            || rows.iter().any(|row| in_key(&row.hash) || row.range.as_ref().is_some_and(in_key));
        if self.errors.len() > told || mislabelled {
            self.broken.add(header);
        }
        let span = written.name.span.clone();
        let manifest = written.manifest.as_ref().map(|manifest| manifest.value.clone());
        let after = written.after.iter().filter_map(|name| before.get(named(name)).copied());
        let at_least = written.at_least.as_ref().map(|share| share.value);
        let (name, after) = (written.name.value.clone(), after.collect());
        let invalidate = written.invalidate.clone();
        Some(Publish {
            name,
            of,
            manifest,
            after,
            // An edition is whole or not at all.
            hold: if editions.is_some() { Some(Vec::new()) } else { hold },
            editions,
            at_least,
            invalidate,
            objects,
            rows,
            span,
        })
    }

    /// The key of the index of editions, and what cannot be said beside it.
    fn editions(&mut self, written: &manifest::Publish) -> Option<String> {
        let index = written.editions.as_ref()?;
        let mut wrong = |span: &Span, message: String, hint: &str| {
            self.error(span, Error::user(message).hint(hint));
        };
        if index.value.contains(['{', '}']) {
            let message = "the index of editions is one object, so its key has no holes".to_owned();
            wrong(&index.span, message, "write a key such as `index.json`");
        }
        let mut objects = written.objects.values();
        let first = objects.next();
        for to in objects.map(|object| &object.to) {
            let same = |first: &manifest::PublishObject| {
                let read =
                    |to: &str| parse_destination(to).map_or(to.to_owned(), |d| d.to_string());
                read(&first.to.value) == read(&to.value)
            };
            if !first.is_some_and(same) {
                let message = "an edition is published to one destination".to_owned();
                wrong(&to.span, message, "give all objects of this publish the same `to`");
            }
        }
        if let Some(first) = first {
            let to = parse_destination(&first.to.value);
            let fault = match index.value.contains('/') {
                true => Some("it stands beside the editions, in no folder".to_owned()),
                false => to.ok().and_then(|to| to.check_key(&index.value).err()),
            };
            if let Some(fault) = fault {
                let message = format!("`{}` cannot be the key of an index: {fault}", index.value);
                wrong(&index.span, message, "write a key such as `index.json`");
            }
        }
        if let Some(row) = written.rows.values().next() {
            let message = "an edition has no rows: they are written over one by one".to_owned();
            let hint = "publish the rows by a publish without `editions`";
            wrong(&row.output.span, message, hint);
        }
        if let Some(name) = written.hold.as_ref().and_then(|hold| hold.first()) {
            let message = "an edition is published whole or not at all".to_owned();
            wrong(&name.span, message, "leave out `hold`");
        }
        Some(index.value.clone())
    }

    /// Where the axes of `hold` stand in the rule's space.
    fn hold(&mut self, written: &manifest::Publish, rule: &Rule) -> Option<Vec<usize>> {
        let mut positions = Vec::new();
        for name in written.hold.as_ref()? {
            let Some(axis) = self.axis_over(name, &rule.space) else { continue };
            match rule.space.position(axis) {
                Some(position) => positions.push(position),
                None if self.misses(axis) => {
                    let error =
                        Error::user(format!("`{}` is not over `{}`", rule.name, name.value))
                            .hint("hold by axes of the rule that is published");
                    self.error(&name.span, error);
                }
                None => {}
            }
        }
        Some(positions)
    }

    /// The names of the publishes, each behind those that it comes after.
    pub(super) fn publish_order(&mut self) -> Vec<String> {
        let publishes = &self.manifest.publishes;
        let mut errors = Vec::new();
        let mut left: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, publish) in publishes {
            for after in &publish.after {
                if !publishes.contains_key(named(after)) && !self.manifest.broken.has(after) {
                    let known: Vec<String> =
                        publishes.keys().map(|name| format!("publish.{name}")).collect();
                    let known = known.iter().map(String::as_str);
                    let error = Error::user(format!("no publish is called `{}`", after.value));
                    let error = match after.value.starts_with("publish.") {
                        true => or_declare(error, after, known, after),
                        false => error.hint("only publishes come before a publish"),
                    };
                    errors.push((after, error));
                }
            }
            let after = publish.after.iter().map(named);
            left.insert(name, after.filter(|after| publishes.contains_key(*after)).collect());
        }
        let mut order = Vec::new();
        while let Some((first, _)) = left.first_key_value() {
            let free = left.iter().find(|(_, after)| after.iter().all(|a| !left.contains_key(a)));
            let next = match free {
                Some((next, _)) => *next,
                None => {
                    // Each is behind another, so going back comes to where it was before.
                    let mut way = vec![*first];
                    let begun = loop {
                        let after = &left[way[way.len() - 1]];
                        let back = after.iter().find(|a| left.contains_key(*a)).unwrap_or(first);
                        if let Some(begun) = way.iter().position(|seen| seen == back) {
                            break begun;
                        }
                        way.push(back);
                    };
                    let circle: Vec<String> = way[begun..]
                        .iter()
                        .chain([&way[begun]])
                        .map(|name| format!("`publish.{name}`"))
                        .collect();
                    let error = Error::user(format!(
                        "publishes come after each other: {}",
                        circle.join(" after ")
                    ));
                    let error = error.hint("take one of them out of an `after`");
                    errors.push((&publishes[way[begun]].after[0], error));
                    way[begun]
                }
            };
            order.push(next.to_owned());
            left.remove(next);
        }
        for (at, error) in errors {
            self.error(&at.span, error);
        }
        order
    }

    fn objects(&mut self, written: &manifest::Publish, rule: &Rule) -> Vec<PublishObject> {
        let mut objects: Vec<PublishObject> = Vec::new();
        for object in written.objects.values() {
            let Some(output) = self.published_output(&object.output, rule) else { continue };
            let scope =
                |uncompared| Scope::Published { outputs: &rule.outputs, row: false, uncompared };
            let key = self.compile(&object.key, &rule.space, &scope(false));
            if let Some(Slot::Pointed { .. }) =
                key.slots.iter().find(|s| matches!(s, Slot::Pointed { .. }))
            {
                let error = Error::user("a key comes from the cell, not from what was made")
                    .hint("use the axes");
                self.error(&object.key.span, error);
            }
            self.check_volatile_fields(&object.metadata, rule);
            if let Some(encoding) = object.content_encoding.as_ref().filter(|_| object.gzip) {
                let error = Error::user("`gzip` says what the `Content-Encoding` is").hint(
                    "leave out `content_encoding`; or `gzip`, if the output is packed so already",
                );
                self.error(&encoding.span, error);
            }
            objects.push(PublishObject {
                output,
                to: object.to.value.clone(),
                key,
                content_type: content_type(object, &rule.outputs[output].path),
                content_encoding: object.content_encoding.as_ref().map(|c| c.value.clone()),
                gzip: object.gzip,
                once: object.once,
                cache_control: match (&object.cache_control, &written.editions) {
                    (Some(said), _) => Some(said.value.clone()),
                    (None, Some(_)) => Some(edition::CACHE_CONTROL.to_owned()),
                    (None, None) => None,
                },
                metadata: self.texts(&object.metadata, &rule.space, &scope(false)),
                uncompared: self.texts(&object.uncompared, &rule.space, &scope(true)),
                span: object.output.span.clone(),
            });
        }
        objects
    }

    fn rows(
        &mut self,
        written: &manifest::Publish,
        rule: &Rule,
        objects: &[PublishObject],
        header: &str,
    ) -> Vec<PublishRow> {
        let mut rows = Vec::new();
        for row in written.rows.values() {
            let Some(output) = self.published_output(&row.output, rule) else { continue };
            let object = objects.iter().position(|o| o.output == output);
            let hash = (row.hash.0.clone(), self.attribute(&row.hash.1, rule, false, true));
            let range = row
                .range
                .as_ref()
                .map(|(name, value)| (name.clone(), self.attribute(value, rule, false, true)));
            let mut item = BTreeMap::new();
            for (name, value) in &row.item {
                item.insert(name.clone(), self.attribute(value, rule, false, false));
            }
            let mut uncompared = BTreeMap::new();
            for (name, value) in &row.uncompared {
                uncompared.insert(name.clone(), self.attribute(value, rule, true, false));
            }
            let fields = [&hash.1].into_iter().chain(item.values()).chain(uncompared.values());
            let speaks = fields.into_iter().any(Attribute::speaks_of_object);
            let kept = written.manifest.iter().chain(written.objects.values().map(|o| &o.to));
            let is_remote = row.to.value.starts_with("dynamodb:");
            // A place that is missing here may be one that has a mistake.
            let sound = !self.manifest.broken.has(header);
            if is_remote && sound && !kept.into_iter().any(|to| to.value.starts_with("s3:")) {
                let error = Error::user("nothing says where the manifest of these rows is kept")
                    .hint("give the publish a `manifest = \"s3://BUCKET/PREFIX\"`: the table holds rows alone");
                self.error(&row.to.span, error);
            }
            // An object that is missing here may be one that has a mistake.
            let all = objects.len() == written.objects.len();
            if object.is_none() && speaks && all && !self.manifest.broken.has(header) {
                let error = Error::user(format!(
                    "this row speaks of an object, and output `{}` has none here",
                    row.output.value
                ))
                .hint(format!(
                    "add `[publish.{}.object.{}]`",
                    written.name.value, row.output.value
                ));
                self.error(&row.output.span, error);
            }
            rows.push(PublishRow {
                output,
                to: row.to.value.clone(),
                one_by_one: row.one_by_one,
                object,
                hash,
                range,
                item,
                uncompared,
                span: row.output.span.clone(),
            });
        }
        rows
    }

    pub(super) fn published_output(&mut self, name: &At<String>, rule: &Rule) -> Option<usize> {
        let found = rule.outputs.iter().position(|o| o.name == name.value);
        if found.is_none() && !self.manifest.broken.has(&rule.name.to_string()) {
            let error = Error::user(format!("`{}` has no output `{}`", rule.name, name.value));
            let error = or_one_of(
                error,
                name,
                rule.outputs.iter().map(|o| o.name.as_str()),
                "give the rule an `output`",
            );
            self.error(&name.span, error);
        }
        found
    }

    /// What is compared may not come from what is volatile: it would differ on every run.
    pub(super) fn check_volatile_fields(
        &mut self,
        fields: &BTreeMap<String, At<Template>>,
        rule: &Rule,
    ) {
        for template in fields.values() {
            for (hole, at) in template.holes() {
                let Some((output, pointer)) = hole.split_once(':') else { continue };
                let Some(output) = rule.outputs.iter().find(|o| o.name == output) else { continue };
                // One that is no pointer, or a pattern, is refused where the hole is compiled.
                let pointer = Pointer::parse(pointer).ok().filter(Pointer::is_plain);
                let Some(pointer) = pointer else { continue };
                if output.volatile.iter().any(|v| v.covers(&pointer)) {
                    let span = hole_span(&self.manifest.source.text, template, &at);
                    let error = Error::user(format!(
                        "`{{{hole}}}` is volatile, and this field is compared"
                    ))
                    .hint("move the field to `uncompared`")
                    .at(&self.manifest.source, span);
                    self.errors.push(error);
                }
            }
        }
    }

    pub(super) fn attribute(
        &mut self,
        written: &At<manifest::Attribute>,
        rule: &Rule,
        uncompared: bool,
        key: bool,
    ) -> Attribute {
        let scope = Scope::Published { outputs: &rule.outputs, row: true, uncompared };
        let mut text = |template: &Template| {
            let template = At { value: template.clone(), span: written.span.clone() };
            if !uncompared {
                let fields = BTreeMap::from([(String::new(), template.clone())]);
                self.check_volatile_fields(&fields, rule);
            }
            let text = self.compile(&template, &rule.space, &scope);
            if key
                && !text.slots.iter().all(|s| {
                    matches!(
                        s,
                        Slot::Text(_)
                            | Slot::Value(_)
                            | Slot::Label { .. }
                            | Slot::File
                            | Slot::Path
                    )
                })
            {
                let error = Error::user("a row's key comes from the cell, not from what was made")
                    .hint("use the axes");
                self.error(&template.span, error);
            }
            text
        };
        match &written.value {
            manifest::Attribute::S(template) => Attribute::S(text(template)),
            manifest::Attribute::N(template) => Attribute::N(text(template)),
            manifest::Attribute::Bool(value) => Attribute::Bool(*value),
            manifest::Attribute::Null => Attribute::Null,
            manifest::Attribute::L(items) => Attribute::L(
                items
                    .iter()
                    .map(|item| {
                        let item = At { value: item.clone(), span: written.span.clone() };
                        self.attribute(&item, rule, uncompared, key)
                    })
                    .collect(),
            ),
            manifest::Attribute::M(items) => Attribute::M(
                items
                    .iter()
                    .map(|(name, item)| {
                        let item = At { value: item.clone(), span: written.span.clone() };
                        (name.clone(), self.attribute(&item, rule, uncompared, key))
                    })
                    .collect(),
            ),
        }
    }
}

/// The name of a publish in the name of a goal.
fn named(goal: &At<String>) -> &str {
    goal.value.strip_prefix("publish.").unwrap_or(&goal.value)
}

/// The header as it was written, or else by the end of the output's path.
fn content_type(object: &manifest::PublishObject, path: &Text) -> Option<String> {
    if let Some(written) = &object.content_type {
        return Some(written.value.clone());
    }
    // A path that ends with a hole ends otherwise in every cell.
    let Some(Slot::Text(end)) = path.slots.last() else { return None };
    let encoding = object.content_encoding.as_ref().map(|encoding| encoding.value.as_str());
    media::content_type(end.rsplit('/').next().unwrap_or(end), encoding).map(str::to_owned)
}

impl Attribute {
    /// Whether it needs the object that its row registers.
    pub fn speaks_of_object(&self) -> bool {
        let in_text = |text: &Text| {
            text.slots
                .iter()
                .any(|s| matches!(s, Slot::ObjectKey | Slot::ObjectSize | Slot::ObjectUrl))
        };
        match self {
            Attribute::S(text) | Attribute::N(text) => in_text(text),
            Attribute::Bool(_) | Attribute::Null => false,
            Attribute::L(items) => items.iter().any(Attribute::speaks_of_object),
            Attribute::M(items) => items.values().any(Attribute::speaks_of_object),
        }
    }
}
