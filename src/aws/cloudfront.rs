//! CloudFront: one distribution told to forget paths.

use super::Connected;
use super::failure::Request;
use super::signed::{Call, Service};
use crate::costs::Requests;
use crate::error::Result;

impl Connected {
    /// Whether there is such a distribution in this account.
    pub fn knows_distribution(&self, distribution: &str) -> Result<bool> {
        let about = format!("the distribution `{distribution}`");
        let request = Request::new("cloudfront:GetDistribution", about);
        let path = format!("/2020-05-31/distribution/{distribution}");
        let call = Call { method: "GET", path: &path, headers: &[], body: &[] };
        match self.signed(&Service::cloudfront(self.region()), &call, &request) {
            Ok(_) => Ok(true),
            Err(error) if error.causes.iter().any(|said| said.contains("NoSuchDistribution")) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells a distribution to forget these paths, which are percent-encoded and may end with `*`.
    ///
    /// Told again under the same reference, it does nothing.
    pub fn invalidate(&self, distribution: &str, paths: &[String], reference: &str) -> Result<()> {
        let about = format!("the distribution `{distribution}`");
        let request = Request::new("cloudfront:CreateInvalidation", about);
        let items: String = paths.iter().map(|path| format!("<Path>{path}</Path>")).collect();
        let body = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Paths><Quantity>{}</Quantity><Items>{items}</Items></Paths><CallerReference>{reference}</CallerReference></InvalidationBatch>"#,
            paths.len()
        );
        let call = Call {
            method: "POST",
            path: &format!("/2020-05-31/distribution/{distribution}/invalidation"),
            headers: &[("content-type", "application/xml")],
            body: body.as_bytes(),
        };
        self.signed(&Service::cloudfront(self.region()), &call, &request)?;
        let invalidations = paths.len() as u64;
        self.tally.add(Requests { invalidations, ..Requests::default() });
        Ok(())
    }
}
