//! Publishing: what is built comes to stand at destinations, and only what changed is written.
//!
//! ```text
//! Wanted + places --look--> There --plan--> PublishPlan --apply--> destinations (Events)
//! ```
//!
//! `Wanted` says what should be there, `look` reads what is, `plan` compares them without looking by itself, `apply` writes.
//! The manifest at each destination is the one memory of what is published: who owns a key, which content, bytes, headers and items.
//! A place (`place`) is a small port; `folder` and `database` are the local ones, `bucket` and `table` the remote ones, whose manifests are in a `ledger`. Knows nothing of rules, cells or runs.

pub mod apply;
pub mod attribute;
mod bucket;
pub mod database;
pub mod destination;
pub mod edition;
pub mod folder;
mod grouping;
pub mod invalidation;
mod ledger;
pub mod manifest;
pub mod outlook;
pub mod packing;
pub mod place;
pub mod plan;
pub mod prune;
pub mod repair;
mod size;
mod table;
pub mod verify;
pub mod wanted;

pub use apply::{Done, Event, apply, look};
pub use attribute::{Attribute, Item};
pub use destination::{Destination, Keeping, parse_destination, parse_place};
pub use invalidation::Invalidation;
pub use outlook::{Outlook, outlook};
pub use place::{Depth, DriftKind, Extent, Place, Step, World, open, wait};
pub use plan::{Action, PublishPlan, There, Why, plan, to_pack};
pub use prune::{Doomed, Pruned, doomed, names, prune};
pub use repair::{Repair, repair};
pub use verify::{Drift, Examined, examine, there};
pub use wanted::{Declared, Headers, Piece, Role, RowKey, Text, Wanted, WantedObject, WantedRow};

#[cfg(test)]
mod tests;
