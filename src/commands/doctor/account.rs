//! The account and the remote ends: who asks, the clock, and each permission by a trial that changes nothing.

use std::sync::Arc;

use super::{fails, holds, nothing_there, untried};
use crate::aws::{Aws, Connected, dynamodb, s3};
use crate::ends::{Ends, Table, key_in_words};
use crate::error::{Error, Result};
use crate::publish::Keeping;
use crate::report::answer::Condition;

/// S3 refuses requests whose time is further off than a quarter of an hour; a third of that is told.
const MOST_ASKEW: i64 = 300;

/// All conditions of what is Amazon's; none if nothing of the project is.
pub fn conditions(project: &str, ends: &Ends, aws: &Aws, all: &mut Vec<Condition>) {
    if !ends.is_remote() {
        return;
    }
    let connected = match aws.connect() {
        Ok(connected) => connected,
        Err(error) => return all.push(fails("account", "", &error)),
    };
    match connected.identity() {
        Ok(who) => {
            let said = format!("account {}, region {}", who.account, connected.region());
            all.push(holds("account", who.arn, said));
        }
        Err(error) => return all.push(fails("account", "", &error)),
    }
    let doctor = Doctor { project, aws: connected };
    let there = doctor.buckets(ends, all);
    for source in ends.sources.iter().filter(|source| there(&source.bucket)) {
        let place = format!("s3://{}/{}", source.bucket, source.first);
        let bucket = s3::Bucket::new(doctor.aws.clone(), &source.bucket);
        all.push(
            match bucket.look(std::slice::from_ref(&source.first)).map(|mut l| l.pop().flatten()) {
                Ok(Some(found)) => holds(
                    "read",
                    place,
                    format!("{} can be read", crate::figures::bytes(found.size)),
                ),
                Ok(None) => fails("read", place, &nothing_there()),
                Err(error) => fails("read", place, &error),
            },
        );
    }
    for (bucket, prefix) in ends.objects.iter().filter(|(bucket, _)| there(bucket)) {
        let place = Keeping { bucket: bucket.clone(), prefix: prefix.clone() };
        doctor.write("objects", &place, all);
    }
    for keeping in ends.manifests.iter().filter(|keeping| there(&keeping.bucket)) {
        doctor.write("manifest", keeping, all);
        doctor.remove(keeping, all);
    }
    for (name, table) in &ends.tables {
        doctor.table(name, table, all);
    }
    for distribution in &ends.distributions {
        let about = format!("cloudfront://{distribution}");
        all.push(match doctor.aws.knows_distribution(distribution) {
            Ok(true) => holds("invalidate", about, "is there; whether it may be told is untried"),
            Ok(false) => {
                let error = Error::environment("it does not exist in this account");
                fails("invalidate", about, &error.hint("mend `distribution` of `invalidate`"))
            }
            // Publishing does not need to look at it.
            Err(error) => untried("invalidate", about, error.message),
        });
    }
}

struct Doctor<'a> {
    project: &'a str,
    aws: Arc<Connected>,
}

impl Doctor<'_> {
    /// Whether each bucket is there, and by its answer whether the clock is right; tells of which more can be tried.
    fn buckets(&self, ends: &Ends, all: &mut Vec<Condition>) -> impl Fn(&str) -> bool + use<> {
        let mut gone: Vec<String> = Vec::new();
        let mut ahead = None;
        for (name, uses) in ends.buckets() {
            let uses: Vec<&str> = uses.into_iter().collect();
            let about = format!("s3://{name}");
            match s3::Bucket::new(self.aws.clone(), name).exists() {
                Ok(seen) => {
                    ahead = ahead.or(seen.ahead);
                    if seen.exists {
                        all.push(holds(
                            "bucket",
                            about,
                            format!("is there, for {}", uses.join(", ")),
                        ));
                        continue;
                    }
                    gone.push(name.to_owned());
                    let error = Error::environment("it does not exist");
                    let error = error.hint(match uses.as_slice() {
                        // An empty bucket would help nobody.
                        ["inputs"] => "mend `source` of the input, or ask whoever keeps the data",
                        _ => "mend its name, or run `jheem provision`",
                    });
                    all.push(fails("bucket", about, &error));
                }
                Err(error) => all.push(fails("bucket", about, &error)),
            }
        }
        if let Some(ahead) = ahead {
            let said = format!("{} s off S3's", ahead.abs());
            all.push(match ahead.abs() <= MOST_ASKEW {
                true => holds("clock", "", said),
                false => {
                    let error = Error::environment(said).hint("run `timedatectl set-ntp true`");
                    fails("clock", "", &error)
                }
            });
        }
        move |name: &str| !gone.iter().any(|gone| gone == name)
    }

    /// A key of jheem's own under which nothing stands.
    fn nothing(&self, keeping: &Keeping, name: &str) -> String {
        format!("{}/{name}", keeping.prefix(self.project))
    }

    fn write(&self, what: &'static str, place: &Keeping, all: &mut Vec<Condition>) {
        let bucket = s3::Bucket::new(self.aws.clone(), &place.bucket);
        let key = self.nothing(place, "doctor");
        let about = place.to_string();
        let read = bucket.look(std::slice::from_ref(&key)).map(drop);
        let tried = read.and_then(|()| bucket.try_to_write(&key));
        all.push(said(what, about, tried, "can be read and written"));
    }

    fn remove(&self, keeping: &Keeping, all: &mut Vec<Condition>) {
        let bucket = s3::Bucket::new(self.aws.clone(), &keeping.bucket);
        let tried = bucket.try_to_remove(&self.nothing(keeping, "intents/doctor"));
        all.push(said("intents", keeping.to_string(), tried, "can be removed"));
    }

    fn table(&self, name: &str, wanted: &Table, all: &mut Vec<Condition>) {
        let table = dynamodb::Table::new(self.aws.clone(), name);
        let about = format!("dynamodb://{name}");
        match table.key() {
            Ok(Some(key)) if key == wanted.key => {
                all.push(holds("table", &about, format!("has the key {}", key_in_words(&key))));
            }
            Ok(Some(key)) => {
                let (has, wants) = (key_in_words(&key), key_in_words(&wanted.key));
                let error =
                    Error::user(format!("has the key {has}, and the Jheemfile says {wants}"))
                        .hint("mend `hash` and `range`, or name another table");
                return all.push(fails("table", about, &error));
            }
            Ok(None) => {
                let error = Error::environment("it does not exist in this region")
                    .hint("mend its name, `AWS_REGION`, or run `jheem provision`");
                return all.push(fails("table", about, &error));
            }
            // Publishing does not need to know.
            Err(error) => {
                let why = format!("its key is not known: {}", error.message);
                all.push(untried("table", &about, why));
            }
        }
        let empty = match table.try_to_query(&wanted.key) {
            Ok(empty) => {
                all.push(holds("rows", &about, "can be queried"));
                empty
            }
            Err(error) => return all.push(fails("rows", about, &error)),
        };
        if wanted.alone {
            let tried = table.try_to_put(&wanted.key);
            all.push(said("rows", about.clone(), tried, "can be put one by one"));
        }
        if wanted.together && empty {
            let tried = table.try_to_write_together(&wanted.key);
            all.push(said("rows", about, tried, "can be written many at a time"));
        } else if wanted.together {
            all.push(untried("rows", about, "something stands under the key that is tried"));
        }
    }
}

/// Whether a trial went well.
fn said(what: &'static str, about: String, tried: Result<()>, well: &str) -> Condition {
    match tried {
        Ok(()) => holds(what, about, well),
        Err(error) => fails(what, about, &error),
    }
}
