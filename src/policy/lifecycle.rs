//! The lifecycle policy of ECR under which images that the lock pins stay, and the tags that it knows them by.
//!
//! A rule of ECR chooses images by tags alone, never by digests, and an image that a rule matches is spared by all
//! rules behind it (`rulePriority` in Amazon's user guide, "Lifecycle policy properties"). So what is pinned gets a tag
//! of its own, and the first rule matches that. Pure: asks no registry.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::digest::Digest;
use crate::graph::Graph;
use crate::lockfile::Lockfile;
use crate::registry::ecr;
use crate::registry::reference::Reference;

/// What the tags of pinned images begin with.
const TAG: &str = "jheem-lock-";
/// More images than a repository of one model ever has: a rule must count, and this one removes nothing.
const ALL: u32 = 9999;
/// How long an image that has no tag stays, in days.
const UNTAGGED: u32 = 14;

/// An image in a repository of ECR, as the lock pins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pinned {
    pub account: String,
    pub region: String,
    pub repository: String,
    /// What it is pulled by.
    pub manifest: Digest,
}

#[derive(Debug, Serialize)]
pub struct Lifecycle {
    rules: [Rule; 2],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    rule_priority: u32,
    description: &'static str,
    selection: Selection,
    action: Action,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    tag_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_prefix_list: Option<[&'static str; 1]>,
    count_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count_unit: Option<&'static str>,
    count_number: u32,
}

#[derive(Debug, Serialize)]
struct Action {
    r#type: &'static str,
}

/// The policy, as ECR takes it for a repository.
pub fn lifecycle() -> Lifecycle {
    let rule = |rule_priority, description, selection| Rule {
        rule_priority,
        description,
        selection,
        action: Action { r#type: "expire" },
    };
    let pinned = Selection {
        tag_status: "tagged",
        tag_prefix_list: Some([TAG]),
        count_type: "imageCountMoreThan",
        count_unit: None,
        count_number: ALL,
    };
    let untagged = Selection {
        tag_status: "untagged",
        tag_prefix_list: None,
        count_type: "sinceImagePushed",
        count_unit: Some("days"),
        count_number: UNTAGGED,
    };
    let rules = [
        rule(1, "images that a Jheem.lock pins stay", pinned),
        rule(2, "images that no tag names any more go", untagged),
    ];
    Lifecycle { rules }
}

/// The images that a lock pins and that are in ECR, mirrors too; and those that it does not pin yet.
pub fn pinned(graph: &Graph, lock: &Lockfile) -> (BTreeSet<Pinned>, BTreeSet<String>) {
    let (mut pinned, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for runner in &graph.runners {
        let names = runner.image_names();
        let Some(first) = names.first() else { continue };
        // Whatever the platform: each of them is pulled somewhere.
        let pins = lock.images.iter().filter(|(key, _)| is_of(key, first));
        let manifests: BTreeSet<Digest> = pins.map(|(_, pin)| pin.manifest).collect();
        for name in &names {
            let Ok(Reference { registry, repository, .. }) = Reference::parse(name) else {
                continue;
            };
            let Some(ecr::Place { account, region }) = ecr::place(&registry) else { continue };
            if manifests.is_empty() {
                unknown.insert((*first).to_owned());
            }
            pinned.extend(manifests.iter().map(|manifest| Pinned {
                account: account.clone(),
                region: region.clone(),
                repository: repository.clone(),
                manifest: *manifest,
            }));
        }
    }
    (pinned, unknown)
}

/// Whether a line of the lock is of this image, on any platform.
fn is_of(key: &str, image: &str) -> bool {
    key.strip_prefix(image).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

impl Pinned {
    /// The tag by which the first rule knows it.
    pub fn tag(&self) -> String {
        format!("{TAG}{}", &self.manifest.hex()[..12])
    }

    fn repository_in_words(&self) -> String {
        let Pinned { account, region, repository, .. } = self;
        format!("--region {region} --registry-id {account} --repository-name {repository}")
    }

    /// The command that gives it that tag; the registry refuses another image under this digest.
    pub fn tagging(&self) -> String {
        let (repository, digest, tag) = (self.repository_in_words(), self.manifest, self.tag());
        format!(
            "aws ecr put-image {repository} --image-tag {tag} --image-digest {digest} --image-manifest \"$(aws ecr batch-get-image {repository} --image-ids imageDigest={digest} --query 'images[0].imageManifest' --output text)\""
        )
    }

    /// The command that gives its repository the policy, from this file.
    pub fn putting(&self, file: &str) -> String {
        let repository = self.repository_in_words();
        format!("aws ecr put-lifecycle-policy {repository} --lifecycle-policy-text file://{file}")
    }
}
