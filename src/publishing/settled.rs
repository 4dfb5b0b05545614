//! When a publish need not look at its destinations again: it was settled, and nothing that decides has changed.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Reach, Source};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::{Publish, RuleId, Target};
use crate::memo::{Disk as _, RealDisk, Stat};
use crate::plan::Verdict;
use crate::publish::{Place, Wanted};
use crate::records::Settled;

impl Source<'_> {
    /// Whether what is known of a publish still holds, so that it needs no look at its destinations.
    pub fn still_settled(&self, publish: &Publish, reach: Reach, known: &Settled) -> bool {
        known.asked == self.asked(publish, reach)
            && known.watched.iter().all(|(path, before)| {
                let now = RealDisk.stat(&self.places.root.join(path));
                now.is_ok_and(|now| now == *before)
                    && before.as_ref().is_none_or(|stat| stat.tells_since(known.seen))
            })
    }

    /// The digest of everything that decides what a publish wants and which keys are orphaned.
    ///
    /// In: what the Jheemfile says, and for every cell what is made or known absent. Out: what is
    /// never compared, which is the time and the preset.
    pub(super) fn asked(&self, publish: &Publish, reach: Reach) -> Digest {
        let graph = self.graph;
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        // Texts of the Jheemfile, and the values that other files gave it.
        let said = format!("{publish:?} {reach:?} {:?} {}", graph.axes, graph.project);
        hasher.update(said.as_bytes());
        hasher.update(graph.source.text.as_bytes());
        let states = self
            .states
            .get_or_init(|| graph.publishes.iter().map(|other| self.state(other.of)).collect());
        for (other, state) in graph.publishes.iter().zip(states) {
            hasher.update(format!("{other:?}").as_bytes());
            hasher.update(&state.bytes);
        }
        Digest::blake3(hasher.finalize())
    }

    /// What is selected and known of every target of a rule.
    fn state(&self, id: RuleId) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let rule = self.graph.rule(id);
        hasher.update(format!("{:?}", rule.outputs).as_bytes());
        for cell in 0..rule.space.cells() {
            let target = Target { rule: id, cell };
            hasher.update(&self.selection.wants(target).to_le_bytes());
            hasher.update(&[u8::from(self.selection.goals[id.0][cell])]);
            hasher.update(&[u8::from(self.is_absent(target))]);
            hasher.update(&[u8::from(self.is_accepted_absent(target))]);
            for group in 0..rule.groups.len() {
                let judgement = self.board.get(self.graph, target, group);
                let made = match judgement.map(|j| (&j.verdict, &j.made)) {
                    Some((Verdict::Fresh | Verdict::Restorable(_), Some(made))) => made,
                    Some((Verdict::Absent(_), _)) => {
                        hasher.update(b"absent");
                        continue;
                    }
                    _ => {
                        hasher.update(b"nothing");
                        continue;
                    }
                };
                hasher.update(&made.judged.bytes);
                for output in &made.outputs {
                    match output {
                        Some(output) => {
                            hasher.update(&output.content.bytes);
                            hasher.update(&output.bytes.bytes);
                            hasher.update(&output.size.to_le_bytes());
                        }
                        None => {
                            hasher.update(b"none");
                        }
                    }
                }
            }
        }
        Digest::blake3(hasher.finalize())
    }
}

/// Paths, and what the file system says of them; none where nothing stands.
pub(super) type Stats = Vec<(String, Option<Stat>)>;

/// What must look different when a destination of these changes; none if one of them cannot tell.
pub(super) fn watch(root: &Path, wanted: &Wanted, places: &[Place]) -> Result<Option<Stats>> {
    let mut paths = BTreeSet::new();
    for (index, place) in places.iter().enumerate() {
        let watched = match place {
            Place::Objects(place) => {
                let mine = wanted.objects.iter().filter(|o| o.destination == index);
                let keys: Vec<&str> = mine.map(|o| o.key.as_str()).collect();
                place.watched(&wanted.owner, &keys)
            }
            Place::Rows(place) => place.watched(),
        };
        let Some(watched) = watched else { return Ok(None) };
        paths.extend(watched);
    }
    let mut seen = Vec::with_capacity(paths.len());
    for path in paths {
        let stat = RealDisk.stat(&path).map_err(|e| Error::io("look at", &path, &e))?;
        let Some(name) = path.strip_prefix(root).unwrap_or(&path).to_str() else {
            return Ok(None);
        };
        seen.push((name.to_owned(), stat));
    }
    Ok(Some(seen))
}
