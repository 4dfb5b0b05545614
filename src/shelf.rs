//! Answers of the cache's objects to the plan: what is there, and what stored bytes are worth under
//! today's audit and today's volatile patterns.

use crate::collect::{self, ExpectedOutput};
use crate::content::As;
use crate::digest::Digest;
use crate::graph::{Graph, Target};
use crate::objects::Objects;
use crate::plan::{self, Rejudged, Shelf};
use crate::records::{Made, MadeOutput};

/// The objects of one cache folder; none where nothing was ever built.
pub struct Stored<'a> {
    pub objects: Option<&'a Objects>,
}

impl Shelf for Stored<'_> {
    fn has(&self, digest: &Digest) -> bool {
        self.objects.is_some_and(|objects| objects.has(digest))
    }

    fn is_sound(&self, digest: &Digest) -> bool {
        self.objects.is_some_and(|objects| matches!(objects.verified_path(digest), Ok(Some(_))))
    }

    fn rejudge(&self, graph: &Graph, target: Target, group: usize, made: &Made) -> Rejudged {
        let Some(objects) = self.objects else { return Rejudged::Lost };
        let rule = graph.rule(target.rule);
        let mut outputs = Vec::new();
        let mut findings = Vec::new();
        let in_order = graph.order(target, group);
        if in_order.len() != made.outputs.len() {
            return Rejudged::Lost;
        }
        for (output, stored) in in_order.iter().zip(&made.outputs) {
            let declared = &rule.outputs[*output];
            let path = graph.output_path(target, *output);
            let Some(stored) = stored else {
                if !declared.optional {
                    findings.push(format!("`{path}` was not made"));
                }
                outputs.push(None);
                continue;
            };
            let expected = ExpectedOutput {
                folder: Default::default(),
                file: Default::default(),
                path,
                kind: declared.kind,
                volatile: declared.volatile.clone(),
                rules: plan::audit_rules(graph, target, *output),
                optional: declared.optional,
            };
            if expected.kind == As::BYTES {
                if !matches!(objects.verified_path(&stored.bytes), Ok(Some(_))) {
                    return Rejudged::Lost;
                }
                findings.extend(collect::judge_size(&expected, stored.size));
                outputs.push(Some(MadeOutput { content: stored.bytes, ..stored.clone() }));
                continue;
            }
            let Ok(Some(bytes)) = objects.read(&stored.bytes) else { return Rejudged::Lost };
            match collect::judge(&expected, &bytes) {
                Ok((content, found)) => {
                    findings.extend(found);
                    outputs.push(Some(MadeOutput { content, ..stored.clone() }));
                }
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() {
            let judged = plan::judged_by(graph, target, group);
            Rejudged::Passed(Made { outputs, judged, ..made.clone() })
        } else {
            Rejudged::Refused(findings)
        }
    }
}
