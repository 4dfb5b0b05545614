use std::collections::BTreeMap;

use super::*;
use crate::ends::{SourceEnd, Table};
use crate::publish::Keeping;

fn ends() -> Ends {
    let key = vec![Some("base/".to_owned()), None, Some("_base.Rdata".to_owned())];
    let source = SourceEnd { bucket: "data".into(), key, first: "base/C_base.Rdata".into() };
    let keyed = vec![("city".to_owned(), 'S')];
    let table = Table { key: keyed, together: true, alone: false };
    let mirror = "849611540600.dkr.ecr-fips.us-gov-west-1.amazonaws.com/mirror/model@sha256:0d17b565c37bcbd895e9d92315a05c1c3c9a29f762b011a10c54a66cd53c9b31";
    let image = "849611540600.dkr.ecr.us-east-1.amazonaws.com/jheem/model:latest";
    Ends {
        sources: [source].into(),
        objects: [("tiny".to_owned(), "plots".to_owned())].into(),
        tables: BTreeMap::from([("registry".to_owned(), table)]),
        manifests: [Keeping { bucket: "tiny".into(), prefix: "plots".into() }].into(),
        distributions: ["E3VDQ7V9FBIIGD".to_owned()].into(),
        images: [(image.to_owned(), None), (mirror.to_owned(), None)].into(),
    }
}

fn of(also: &[Also]) -> Needs {
    needs("rw", &ends(), &Whose::default(), also)
}

fn json(needs: &Needs) -> String {
    serde_json::to_string(&document(needs)).unwrap()
}

#[test]
fn the_least_policy_names_each_place_and_no_more() {
    let needs = of(&[]);
    let lines: Vec<String> = needs
        .iter()
        .map(|(sid, need)| format!("{sid}: {:?} on {:?}", need.actions, need.resources))
        .collect();
    insta::assert_snapshot!(lines.join("\n").replace('"', ""), @"
    ClearManifests: {s3:DeleteObject} on {arn:aws:s3:::tiny/plots/.jheem/rw/intents/*, arn:aws:s3:::tiny/plots/.jheem/rw/owed/*}
    Invalidate: {cloudfront:CreateInvalidation} on {arn:aws:cloudfront::*:distribution/E3VDQ7V9FBIIGD}
    KeepManifests: {s3:GetObject, s3:PutObject} on {arn:aws:s3:::tiny/plots/.jheem/rw/*}
    ListDestinations: {s3:ListBucket, s3:ListBucketMultipartUploads} on {arn:aws:s3:::tiny}
    ListInputs: {s3:ListBucket} on {arn:aws:s3:::data}
    LogInToPull: {ecr:GetAuthorizationToken} on {*}
    PublishObjects: {s3:AbortMultipartUpload, s3:GetObject, s3:PutObject} on {arn:aws:s3:::tiny/plots/*}
    PullImages: {ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer} on {arn:aws:ecr:us-east-1:849611540600:repository/jheem/model, arn:aws:ecr:us-gov-west-1:849611540600:repository/mirror/model}
    QueryRows: {dynamodb:Query} on {arn:aws:dynamodb:*:*:table/registry}
    ReadInputs: {s3:GetObject, s3:GetObjectVersion} on {arn:aws:s3:::data/base/*_base.Rdata}
    WriteRowsTogether: {dynamodb:BatchWriteItem} on {arn:aws:dynamodb:*:*:table/registry}
    ");
    let text = json(&needs);
    assert!(text.starts_with("{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"ClearManifests\",\"Effect\":\"Allow\""), "{text}");
    let more = of(&[Also::Prune, Also::Provision]);
    assert_eq!(more["PruneObjects"].actions, ["s3:DeleteObject"].into());
    assert!(!more.contains_key("WriteRowsAlone"));
    for mending in [Also::Repair, Also::Rollback] {
        assert_eq!(of(&[mending])["WriteRowsAlone"].actions, ["dynamodb:PutItem"].into());
    }
    assert_eq!(
        more["MakeTables"].resources,
        ["arn:aws:dynamodb:*:*:table/registry".to_owned()].into()
    );
    assert_eq!(
        more["MakeBuckets"].resources,
        ["arn:aws:s3:::tiny".to_owned()].into(),
        "an input's bucket is somebody else's"
    );
}

#[test]
fn the_policy_that_is_printed_is_enough() {
    let all = of(&[Also::Doctor, Also::Prune, Also::Provision]);
    let text = json(&all);
    assert_eq!(check(&text, &all).unwrap(), []);
    let narrower = json(&of(&[]));
    let missing = check(&narrower, &all).unwrap();
    assert!(missing.iter().all(|finding| finding.kind == Lack::Missing));
    assert!(missing.iter().any(|finding| finding.action == "dynamodb:CreateTable"));
}

/// What a policy of these statements lacks, as `action on resource: kind`.
fn lacking(statements: &str) -> Vec<String> {
    let text = format!("{{\"Version\": \"2012-10-17\", \"Statement\": {statements}}}");
    let mut needs = of(&[]);
    needs.retain(|sid, _| ["PublishObjects", "QueryRows"].contains(sid));
    let found = check(&text, &needs).unwrap();
    found.iter().map(|f| format!("{} on {}: {:?}", f.action, f.resource, f.kind)).collect()
}

#[test]
fn a_policy_is_read_as_amazon_reads_it() {
    let rows = r#"{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "arn:aws:dynamodb:us-east-1:123456789012:table/reg*"}"#;
    let with = |objects: &str| lacking(&format!("[{rows}, {objects}]"));
    assert_eq!(
        with(
            r#"{"Effect": "Allow", "Action": ["S3:get*", "s3:PutObject", "s3:Abort*"], "Resource": "arn:aws:s3:::tiny/*"}"#
        ),
        [""; 0]
    );
    assert_eq!(with(r#"{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}"#), [""; 0]);
    assert_eq!(
        with(
            r#"{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::tiny/plots/*"}"#
        ),
        [
            "s3:AbortMultipartUpload on arn:aws:s3:::tiny/plots/*: Missing",
            "s3:GetObject on arn:aws:s3:::tiny/plots/*: Missing",
        ]
    );
    // A part of what is needed is not enough.
    assert_eq!(
        with(r#"{"Effect": "Allow", "Action": "s3:*Object", "Resource": "arn:aws:s3:::tiny/plots/C.1*"}"#).len(),
        3
    );
    assert_eq!(
        with(
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "No", "Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::tiny/*/secret"}"#
        ),
        ["s3:PutObject on arn:aws:s3:::tiny/plots/*: Denied(Some(\"No\"))"]
    );
    assert_eq!(
        with(
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "s3:Put*", "NotResource": "arn:aws:s3:::tiny/plots/*"}"#
        ),
        [""; 0]
    );
    assert_eq!(
        with(r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}"#).len(),
        3
    );
    assert_eq!(
        lacking(
            r#"{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::tin?/plots/*"}"#
        ),
        ["dynamodb:Query on arn:aws:dynamodb:*:*:table/registry: Missing"]
    );
}

#[test]
fn what_is_no_policy_is_said_to_be_none() {
    for (text, says) in [
        ("{", "EOF"),
        ("{}", "no `Statement`"),
        (r#"{"Statement": [{"Effect": "Maybe"}]}"#, "statement 1: its `Effect`"),
        (r#"{"Statement": {"Effect": "Allow", "Action": "*"}}"#, "one of `Resource`"),
        (r#"{"Statement": {"Effect": "Allow", "Action": 1, "Resource": "*"}}"#, "list of texts"),
    ] {
        let error = check(text, &of(&[])).unwrap_err();
        assert!(error.message.contains(says), "{error}");
    }
}

#[test]
fn a_star_in_a_prefix_is_a_star_and_not_a_wildcard() {
    let mut ends = ends();
    ends.objects = [("tiny".to_owned(), "a*b".to_owned())].into();
    let needs = needs("rw", &ends, &Whose::default(), &[]);
    assert!(needs["PublishObjects"].resources.contains("arn:aws:s3:::tiny/a${*}b/*"));
    assert_eq!(check(&json(&needs), &needs).unwrap(), []);
}
