//! `verify --repair`, `prune`, `adopt` and `rollback`: what is published is mended, with the project held and the lease taken as by a publish.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asking::publish_source;
use super::building::say_who;
use super::stopping::{STOPPED, stop_on_signals, stoppable};
use super::{FAILED, Outcomes, Reading, WELL, one, open};
use crate::cli::{AtMost, Global, Select};
use crate::clock;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::figures::numbered;
use crate::job::Stop;
use crate::objects::Objects;
use crate::project::{self, Patience};
use crate::publish::edition;
use crate::publish::{Depth, Destination, Doomed, Place};
use crate::publishing::{Adopting, Pruning, Source};
use crate::records::Records;
use crate::report::Report;
use crate::session::{self, Look, World};

/// What a command does once it may write.
type Act<'a> = dyn FnMut(&Source<'_>, &Arc<Stop>, &mut Records, &mut Report) -> Result<u8> + 'a;

/// Holds the project, says who writes where, looks at everything, and lets a command act; nothing is built.
fn holding(global: &Global, select: &Select, report: &mut Report, act: &mut Act<'_>) -> Outcomes {
    let project = open(global)?;
    let selection = super::select_to_mend(&project, select)?;
    let _lock = project::lock(&project.places, Patience::Wait, &mut |line| report.say(&line))
        .map_err(one)?;
    let world = World::new();
    let stop = stop_on_signals(&world).map_err(one)?;
    if !say_who("writing", (&project, &selection, &world), &stop, report).map_err(one)? {
        return Ok(STOPPED);
    }
    let objects = Objects::open(&project.places.cache).map_err(one)?;
    let (mut records, told) = Records::open(&project.places.cache).map_err(one)?;
    if let Some(message) = told {
        report.event(&Event::Note { message });
    }
    let looked = session::look(&project, selection, Some(&records), Some(&objects), &world, &stop);
    let Look::Session(session) = looked.map_err(one)? else { return Ok(STOPPED) };
    let source = Source::new(
        &project,
        &session.selection,
        &session.board,
        &session.last,
        &objects,
        &world.aws,
        clock::rfc3339(clock::now()),
    );
    match act(&source, &stop, &mut records, report) {
        Err(_) if stop.is_raised() => Ok(STOPPED),
        done => done.map_err(one),
    }
}

pub fn repair(global: &Global, select: &Select, depth: Depth, report: &mut Report) -> Outcomes {
    super::refuse_narrowed(select, "verify --repair")?;
    holding(global, select, report, &mut |source, stop, _, report| {
        let say = &mut |message| report.event(&Event::Note { message });
        let inspection = source.inspect(depth, Some(say))?;
        let found = source.drift(&inspection);
        for drift in &found {
            report.drift(drift);
        }
        let guard = |places: Vec<Place>| stoppable(places, stop);
        let repaired = source.repair(inspection, &guard)?;
        for (destination, key) in &repaired.keys {
            report.repaired(destination, key);
        }
        for lost in &repaired.lost {
            report.lost(lost);
        }
        report.verified(&found, Some(repaired.keys.len()));
        Ok(if repaired.keys.len() == found.len() { WELL } else { FAILED })
    })
}

pub fn prune(
    global: &Global,
    select: &Select,
    dry_run: bool,
    at_most: AtMost,
    report: &mut Report,
) -> Outcomes {
    super::refuse_narrowed(select, "prune")?;
    if dry_run {
        return would_prune(global, select, at_most, report);
    }
    holding(global, select, report, &mut |source, stop, _, report| {
        let say = &mut |message| report.event(&Event::Note { message });
        let pruning = source.doomed(Some(say))?;
        show(&pruning, report);
        let all = pruning.destinations.iter().zip(&pruning.doomed);
        let refused = all.filter(|(_, doomed)| !at_most.allows(doomed.len(), doomed.holds));
        // What is allowed must be enough for all of them.
        if let Some((destination, doomed)) = refused.max_by_key(|(_, doomed)| share(doomed)) {
            return Err(too_much(destination, doomed, at_most));
        }
        let guard = |places: Vec<Place>| stoppable(places, stop);
        let to = pruning.invalidation.as_ref().map(|to| to.distribution.clone());
        let pruned = source.prune(pruning, &guard)?;
        if let Some(to) = to.filter(|_| pruned.paths > 0) {
            let message = format!("distribution `{to}` forgets {}", numbered(pruned.paths, "path"));
            report.event(&Event::Note { message });
        }
        report.pruned(&pruned);
        Ok(if pruned.kept.is_empty() { WELL } else { FAILED })
    })
}

/// Names what would be removed; nothing is written, and no lease taken.
fn would_prune(global: &Global, select: &Select, at_most: AtMost, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let world = World::new();
    let selection = super::select_to_mend(&reading.project, select)?;
    let session = reading.look(selection, &world)?;
    let nothing = Objects::read_only(&reading.project.places.cache);
    let source = publish_source(&reading, &session, &nothing, &world.aws);
    let pruning = source.doomed(None).map_err(one)?;
    show(&pruning, report);
    for (destination, doomed) in pruning.destinations.iter().zip(&pruning.doomed) {
        if !at_most.allows(doomed.len(), doomed.holds) {
            let all = numbered(doomed.holds, "key");
            let message = format!(
                "`jheem prune` would refuse: {} of the {all} of `{destination}` are more than {at_most}; `--at-most {}%` allows it",
                doomed.len(),
                share(doomed)
            );
            report.event(&Event::Note { message });
        }
    }
    let would = pruning.doomed.iter().map(Doomed::len).sum();
    report.would_prune(would);
    Ok(WELL)
}

fn show(pruning: &Pruning, report: &mut Report) {
    for (destination, doomed) in pruning.destinations.iter().zip(&pruning.doomed) {
        // An edition goes whole, and is told as one.
        let mut editions: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for (key, entry) in &doomed.objects {
            match edition::parts(key) {
                Some((name, _)) => editions.entry(name).or_insert((0, &entry.publish)).0 += 1,
                None => report.orphan(destination, "object", key, &entry.publish),
            }
        }
        for (name, (objects, publish)) in editions {
            let what = format!("{name}/ ({})", numbered(objects, "object"));
            report.orphan(destination, "edition", &what, publish);
        }
        for (key, entry) in &doomed.rows {
            report.orphan(destination, "row", &key.to_string(), &entry.publish);
        }
        if doomed.held() > 0 {
            let message = format!(
                "`{destination}`: of these, {} held as a rollback put them back",
                match doomed.held() {
                    1 => "1 key is".to_owned(),
                    held => format!("{} are", numbered(held, "key")),
                }
            );
            report.event(&Event::Note { message });
        }
        if !doomed.spoken_of.is_empty() {
            let message = format!(
                "`{destination}`: {} that nothing publishes any more stay, for rows still speak of them: `jheem publish` first",
                numbered(doomed.spoken_of.len(), "object")
            );
            report.event(&Event::Note { message });
        }
    }
}

/// The share of a destination that would be removed, in whole percents.
fn share(doomed: &Doomed) -> usize {
    (doomed.len() * 100).div_ceil(doomed.holds.max(1))
}

fn too_much(destination: &Destination, doomed: &Doomed, at_most: AtMost) -> Error {
    let (going, holds) = (doomed.len(), doomed.holds);
    let share = share(doomed);
    let all = numbered(holds, "key");
    Error::user(format!(
        "{going} of the {all} of `{destination}` would be removed, which is more than {at_most}; nothing was"
    ))
    .hint(format!("if that is what you mean, allow it: `jheem prune --at-most {share}%`"))
}

pub fn adopt(
    global: &Global,
    select: &Select,
    adopting: Adopting,
    report: &mut Report,
) -> Outcomes {
    holding(global, select, report, &mut |source, stop, records, report| {
        let guard = |places: Vec<Place>| stoppable(places, stop);
        let mut skipped = 0;
        for publish in source.publishes() {
            let say = &mut |message| report.event(&Event::Note { message });
            let adopted = source.adopt(publish, adopting, &guard, say)?;
            let at = clock::now();
            records.commit(|w| {
                adopted.made.iter().try_for_each(|(print, made)| w.made(print, made, at))
            })?;
            for (target, why) in &adopted.not_made {
                let message = format!("{target} is adopted and not taken for made: {why}");
                report.event(&Event::Note { message });
            }
            skipped += adopted.skipped.len();
            report.adopted(&publish.name, &adopted);
        }
        Ok(if skipped == 0 { WELL } else { FAILED })
    })
}

/// Lists the publishes that can be put back; nothing is written.
pub fn history(global: &Global, select: &Select, report: &mut Report) -> Outcomes {
    let reading = Reading::open(global)?;
    let world = World::new();
    let selection = super::select_to_mend(&reading.project, select)?;
    let session = reading.look(selection, &world)?;
    let nothing = Objects::read_only(&reading.project.places.cache);
    let source = publish_source(&reading, &session, &nothing, &world.aws);
    let known = source.history().map_err(one)?;
    for (index, stamp) in known.iter().enumerate() {
        report.past(stamp, index == 0);
    }
    if known.is_empty() {
        let message = "no publish is known that could be put back: only remote destinations keep them, and only those of this project".to_owned();
        report.event(&Event::Note { message });
    }
    Ok(WELL)
}

pub fn roll_back(global: &Global, select: &Select, id: &str, report: &mut Report) -> Outcomes {
    let narrowed = !select.filters.is_empty();
    holding(global, select, report, &mut |source, stop, _, report| {
        let guard = |places: Vec<Place>| stoppable(places, stop);
        let say = &mut |message| report.event(&Event::Note { message });
        let back = source.roll_back(id, narrowed, &guard, say)?;
        for (destination, key) in &back.keys {
            report.rolled_back(destination, key, "held");
        }
        if back.newer > 0 {
            let message = match back.newer {
                1 => "1 key came since and stays as it is".to_owned(),
                newer => format!("{} came since and stay as they are", numbered(newer, "key")),
            };
            report.event(&Event::Note { message });
        }
        if back.keys.is_empty() {
            let message = format!("what `{id}` left stands already; there is nothing to put back");
            report.event(&Event::Note { message });
        }
        if !back.keys.is_empty() {
            let message =
                "a publish leaves what is held as it is, until `jheem rollback --release`";
            report.event(&Event::Note { message: message.to_owned() });
        }
        report.rollback_ended(back.keys.len(), "put back and held");
        Ok(WELL)
    })
}

pub fn release(global: &Global, select: &Select, report: &mut Report) -> Outcomes {
    let narrowed = !select.filters.is_empty();
    holding(global, select, report, &mut |source, stop, _, report| {
        let guard = |places: Vec<Place>| stoppable(places, stop);
        let say = &mut |message| report.event(&Event::Note { message });
        let back = source.release(narrowed, &guard, say)?;
        for (destination, key) in &back.keys {
            report.rolled_back(destination, key, "released");
        }
        report.rollback_ended(back.keys.len(), "released");
        Ok(WELL)
    })
}
