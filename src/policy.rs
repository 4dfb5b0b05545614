//! The least that an account must allow, as a policy; and what an existing policy lacks of it.
//!
//! Pure. Knows actions and the names of resources; asks nobody what is really allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ends::Ends;
use clap::ValueEnum;

use crate::error::{Error, Result};
use crate::registry::ecr;
use crate::registry::reference::Reference;

pub mod lifecycle;
mod read;

pub use read::{Finding, Lack, Policy};

/// Commands that need more of an account than publishing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Also {
    Doctor,
    Prune,
    /// `verify --repair`
    Repair,
    Rollback,
    Provision,
}

/// Where tables are: in any account and region unless they are said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    pub account: Option<String>,
    pub region: Option<String>,
}

/// One statement of what is needed: these actions, each on all of these resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub actions: BTreeSet<&'static str>,
    pub resources: BTreeSet<String>,
}

/// What is needed, by the name of its statement, which says what it is for.
pub type Needs = BTreeMap<&'static str, Need>;

/// What a project needs: to read its inputs, pull its images, and publish; and for these commands.
pub fn needs(project: &str, ends: &Ends, whose: &Whose, also: &[Also]) -> Needs {
    let mut needs = Needs::new();
    let mut need = |sid: &'static str, actions: &[&'static str], resource: String| {
        let need = needs.entry(sid).or_default();
        need.actions.extend(actions);
        need.resources.insert(resource);
    };
    for source in &ends.sources {
        let key: String =
            source.key.iter().map(|p| p.as_deref().map_or("*".into(), literal)).collect();
        // The lock names a version where the bucket keeps them.
        let read = ["s3:GetObject", "s3:GetObjectVersion"];
        need("ReadInputs", &read, object(&source.bucket, &key));
        // Without it, what is not there cannot be told from what is forbidden.
        need("ListInputs", &["s3:ListBucket"], bucket(&source.bucket));
    }
    let prefixed = |prefix: &str, rest: &str| match prefix {
        "" => rest.to_owned(),
        prefix => format!("{}/{rest}", literal(prefix)),
    };
    for (name, prefix) in &ends.objects {
        let all = object(name, &prefixed(prefix, "*"));
        // An upload in parts that was cut off is found and given up.
        let put = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"];
        need("PublishObjects", &put, all.clone());
        let list = ["s3:ListBucket", "s3:ListBucketMultipartUploads"];
        need("ListDestinations", &list, bucket(name));
        if also.contains(&Also::Rollback) {
            // What the cache lacks is read from versions that the bucket keeps.
            need("ReadOldVersions", &["s3:GetObjectVersion"], all.clone());
            need("ListOldVersions", &["s3:ListBucketVersions"], bucket(name));
        }
        if also.contains(&Also::Prune) {
            need("PruneObjects", &["s3:DeleteObject"], all);
        }
    }
    for keeping in &ends.manifests {
        let own = literal(&keeping.prefix(project));
        let all = object(&keeping.bucket, &format!("{own}/*"));
        need("KeepManifests", &["s3:GetObject", "s3:PutObject"], all.clone());
        // Those that lie below the objects can go with them.
        let below = |(name, prefix): &(String, String)| {
            let inside = prefix.is_empty() || keeping.prefix == *prefix;
            *name == keeping.bucket && (inside || keeping.prefix.starts_with(&format!("{prefix}/")))
        };
        if also.contains(&Also::Prune) && !ends.objects.iter().any(below) {
            need("PruneManifests", &["s3:DeleteObject"], all);
        }
        // What publishes intended and owed, once it is done.
        for texts in ["intents", "owed"] {
            let texts = object(&keeping.bucket, &format!("{own}/{texts}/*"));
            need("ClearManifests", &["s3:DeleteObject"], texts);
        }
        need("ListDestinations", &["s3:ListBucket"], bucket(&keeping.bucket));
    }
    for (name, table) in &ends.tables {
        let any = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".into());
        let (region, account) = (any(&whose.region), any(&whose.account));
        let arn = format!("arn:aws:dynamodb:{region}:{account}:table/{name}");
        need("QueryRows", &["dynamodb:Query"], arn.clone());
        if table.together {
            need("WriteRowsTogether", &["dynamodb:BatchWriteItem"], arn.clone());
        }
        // What is put back is written on the condition that nothing stands there, or row by row.
        if table.alone || also.contains(&Also::Repair) || also.contains(&Also::Rollback) {
            need("WriteRowsAlone", &["dynamodb:PutItem"], arn.clone());
        }
        if also.contains(&Also::Prune) {
            need("PruneRows", &["dynamodb:DeleteItem"], arn.clone());
        }
        if also.contains(&Also::Doctor) || also.contains(&Also::Provision) {
            need("LookAtTables", &["dynamodb:DescribeTable"], arn.clone());
        }
        if also.contains(&Also::Provision) {
            need("MakeTables", &["dynamodb:CreateTable"], arn);
        }
    }
    if also.contains(&Also::Provision) {
        // Those that inputs alone come from are somebody else's.
        for (name, _) in ends.buckets().into_iter().filter(|(_, uses)| *uses != ["inputs"].into()) {
            need("MakeBuckets", &["s3:CreateBucket", "s3:ListBucket"], bucket(name));
        }
    }
    for distribution in &ends.distributions {
        let account = whose.account.as_deref().unwrap_or("*");
        let arn = format!("arn:aws:cloudfront::{account}:distribution/{distribution}");
        if also.contains(&Also::Doctor) {
            need("LookAtDistributions", &["cloudfront:GetDistribution"], arn.clone());
        }
        need("Invalidate", &["cloudfront:CreateInvalidation"], arn);
    }
    for (image, _) in &ends.images {
        let Ok(Reference { registry, repository, .. }) = Reference::parse(image) else { continue };
        let Some(ecr::Place { account, region }) = ecr::place(&registry) else { continue };
        let arn = format!("arn:aws:ecr:{region}:{account}:repository/{repository}");
        let pull =
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
        need("PullImages", &pull, arn);
        // It names no resource.
        need("LogInToPull", &["ecr:GetAuthorizationToken"], "*".into());
    }
    needs
}

/// A policy as IAM takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document<'a> {
    version: &'static str,
    statement: Vec<Statement<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    sid: &'static str,
    effect: &'static str,
    action: &'a BTreeSet<&'static str>,
    resource: &'a BTreeSet<String>,
}

/// The policy that allows just these needs.
pub fn document(needs: &Needs) -> Document<'_> {
    let statement = needs.iter().map(|(sid, need)| {
        let Need { actions: action, resources: resource } = need;
        Statement { sid, effect: "Allow", action, resource }
    });
    Document { version: "2012-10-17", statement: statement.collect() }
}

fn bucket(name: &str) -> String {
    format!("arn:aws:s3:::{name}")
}

fn object(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// A text in which nothing means more than it says.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => literal.push_str(&format!("${{{c}}}")),
            c => literal.push(c),
        }
    }
    literal
}

/// Reads a policy document and says what of the needs it does not allow.
pub fn check(text: &str, needs: &Needs) -> Result<Vec<Finding>> {
    let policy = Policy::read(text).map_err(|what| {
        Error::user(format!("this is not a policy: {what}"))
            .hint("give a document such as `aws iam get-policy-version` prints below `Document`")
    })?;
    let mut findings = Vec::new();
    for (sid, need) in needs {
        for action in &need.actions {
            findings.extend(need.resources.iter().filter_map(|r| policy.lacks(sid, action, r)));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
