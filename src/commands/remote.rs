//! `policy` and `provision`: what an account must allow, and what it must have.

use std::collections::BTreeSet;
use std::path::Path;

use super::{FAILED, Outcomes, WELL, one, open};
use crate::aws::{dynamodb, s3};
use crate::cli::Global;
use crate::ends::{Ends, key_in_words};
use crate::error::{Error, Result};
use crate::policy::lifecycle;
use crate::policy::{self, Also, Lack, Whose};
use crate::project::Project;
use crate::report::Report;
use crate::session::World;

pub fn policy(
    global: &Global,
    check: Option<&Path>,
    also: &[Also],
    whose: &Whose,
    report: &mut Report,
) -> Outcomes {
    let project = open(global)?;
    let ends = Ends::of(&project.graph).map_err(one)?;
    let needs = policy::needs(&project.graph.project, &ends, whose, also);
    let Some(path) = check else {
        if needs.is_empty() {
            report.say("nothing of this project is in an account of AWS");
        }
        let text = serde_json::to_string_pretty(&policy::document(&needs));
        report.document(&text.map_err(|e| one(Error::bug(e.to_string())))?);
        return Ok(WELL);
    };
    let text = std::fs::read_to_string(path).map_err(|e| one(Error::io("read", path, &e)))?;
    let found = policy::check(&text, &needs).map_err(one)?;
    for finding in &found {
        report.lacking(finding);
    }
    let lacking = found.iter().filter(|finding| finding.kind != Lack::Conditional).count();
    if found.is_empty() {
        report.say("the policy allows all that is needed");
    } else if lacking == 0 {
        report.say("the policy allows all that is needed, if its conditions are met");
    }
    Ok(if lacking == 0 { WELL } else { FAILED })
}

/// Prints the lifecycle policy that keeps pinned images, and says how it comes to be heeded.
pub fn lifecycle(global: &Global, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    let (pinned, unknown) = lifecycle::pinned(&project.graph, &project.lock);
    let text = serde_json::to_string_pretty(&lifecycle::lifecycle());
    report.document(&text.map_err(|e| one(Error::bug(e.to_string())))?);
    for image in &unknown {
        report.say(&format!("`{image}` is not in the lock yet: `jheem update` pins it"));
    }
    if pinned.is_empty() && unknown.is_empty() {
        report.say("no image of this project is in ECR");
    }
    if !pinned.is_empty() {
        report.say("the first rule knows images by a tag; give it to what the lock pins:");
        pinned.iter().for_each(|image| report.say(&format!("  {}", image.tagging())));
        report.say("and give the policy, as `lifecycle.json`, to each repository:");
        let putting: BTreeSet<String> =
            pinned.iter().map(|image| image.putting("lifecycle.json")).collect();
        putting.iter().for_each(|command| report.say(&format!("  {command}")));
    }
    Ok(WELL)
}

pub fn provision(global: &Global, dry_run: bool, report: &mut Report) -> Outcomes {
    let project = open(global)?;
    provision_all(&project, dry_run, report).map_err(one)
}

fn provision_all(project: &Project, dry_run: bool, report: &mut Report) -> Result<u8> {
    let ends = Ends::of(&project.graph)?;
    // Where inputs come from is somebody else's: an empty bucket would help nobody.
    let buckets = ends.buckets().into_iter().filter(|(_, uses)| *uses != ["inputs"].into());
    let buckets: Vec<&str> = buckets.map(|(name, _)| name).collect();
    if buckets.is_empty() && ends.tables.is_empty() {
        report.say("no publish goes to a bucket or a table, so there is nothing to create");
        return Ok(WELL);
    }
    let aws = World::new().aws.connect()?;
    let identity = aws.identity()?;
    report.say(&format!(
        "as {} (account {}, region {})",
        identity.arn,
        identity.account,
        aws.region()
    ));
    let mut code = WELL;
    for name in buckets {
        let bucket = s3::Bucket::new(aws.clone(), name);
        let state = match (bucket.exists()?.exists, dry_run) {
            (true, _) => "there",
            (false, true) => "to-create",
            (false, false) => {
                bucket.make()?;
                "created"
            }
        };
        report.provisioned("bucket", name, state, "");
    }
    for (name, wanted) in &ends.tables {
        let table = dynamodb::Table::new(aws.clone(), name);
        let declared = key_in_words(&wanted.key);
        let (state, said) = match (table.key()?, dry_run) {
            (Some(key), _) if key == wanted.key => ("there", format!("with the key {declared}")),
            (Some(key), _) => {
                code = FAILED;
                let other = key_in_words(&key);
                ("differs", format!("has the key {other}, and the Jheemfile says {declared}"))
            }
            (None, true) => ("to-create", format!("with the key {declared}, paid by request")),
            (None, false) => {
                table.make(&wanted.key)?;
                ("created", format!("with the key {declared}, paid by request"))
            }
        };
        report.provisioned("table", name, state, &said);
    }
    if code != WELL {
        report.say("hint: a table's key cannot be changed: name another table in `to`, or mend `hash` and `range`");
    }
    if dry_run {
        report.say("nothing was created: this is only what would be");
    }
    Ok(code)
}
