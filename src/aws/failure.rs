//! What Amazon's services refuse, in words that say what it was about and what to do.
//!
//! Retrying what may help is done below, by the client; what comes here has failed for good. No secret is ever in a message.

use std::error::Error as _;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::Error;

/// What was asked, for whoever must be told that it failed.
#[derive(Clone, Debug)]
pub struct Request {
    /// The action as policies name it, such as `s3:PutObject`.
    pub action: &'static str,
    /// What it was about, such as `s3://bucket/key`.
    pub about: String,
}

/// Codes by which services say that somebody is not who he says, or no longer.
const STALE_CREDENTIALS: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
    "ExpiredCredentials",
];
const WRONG_CREDENTIALS: [&str; 6] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
];
const DENIED: [&str; 4] =
    ["AccessDenied", "AccessDeniedException", "Forbidden", "UnauthorizedOperation"];
const THROTTLED: [&str; 8] = [
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "ServiceUnavailable",
    "LimitExceededException",
];

/// Whether a service says by this code that it was asked too much.
pub(super) fn is_throttled(code: &str) -> bool {
    THROTTLED.contains(&code)
}

impl Request {
    pub fn new(action: &'static str, about: impl Into<String>) -> Request {
        Request { action, about: about.into() }
    }

    /// The error of a request that failed.
    pub fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let code = refused.err().code().unwrap_or_default();
                let said = refused.err().message().unwrap_or_default();
                let region = refused.raw().headers().get("x-amz-bucket-region");
                self.refused(status, code, said, region)
            }
            SdkError::DispatchFailure(failure) => {
                match failure.as_connector_error() {
                    Some(error) => self.not_sent(error),
                    None => self.unreachable("", failure.is_timeout()),
                }
            }
            SdkError::TimeoutError(_) => self.unreachable("no answer in time", true),
            SdkError::ConstructionFailure(_) => {
                let cause = chain(error.source());
                self.prepared(&cause)
            }
            _ => Error::environment(format!("the answer about {} was cut off or is no answer", self.about))
                .because(chain(error.source()))
                .hint("run it again; if it stays so, something between here and the service spoils answers"),
        }
    }

    /// The error of a request that came to no service.
    pub fn not_sent(&self, error: &ConnectorError) -> Error {
        self.unreachable(&chain(Some(error)), error.is_timeout())
    }

    /// What a service said no to, by its code.
    pub fn refused(&self, status: u16, code: &str, said: &str, region: Option<&str>) -> Error {
        let about = &self.about;
        let is = |codes: &[&str]| codes.contains(&code);
        let because = match (code, said) {
            ("", "") => format!("{} was answered with status {status}", self.action),
            (code, "") => format!("{}: {code}", self.action),
            (code, said) => format!("{}: {code}: {said}", self.action),
        };
        let error = |message: String| Error::environment(message).because(&because);
        if is(&STALE_CREDENTIALS) {
            return error(format!("the AWS credentials have expired, and {about} needs them"))
                .hint("get new ones: `aws sso login`, or whatever gave you these");
        }
        if code == "RequestTimeTooSkewed" {
            return error(format!(
                "this machine's clock is wrong, so requests for {about} are refused"
            ))
            .hint("set the clock: `timedatectl set-ntp true`");
        }
        if is(&WRONG_CREDENTIALS) {
            return error(format!("the AWS credentials are not accepted for {about}"))
                .hint("see which are used: `aws sts get-caller-identity`; then `AWS_PROFILE`, or the keys in the environment");
        }
        if code == "NoSuchBucket" {
            return error(format!("the bucket of {about} does not exist"))
                .hint("mend its name in the Jheemfile, or create it: `jheem provision`");
        }
        if code == "ResourceNotFoundException" {
            return error(format!("{about} does not exist in this region"))
                .hint("mend its name in the Jheemfile, the region (`AWS_REGION`), or create it: `jheem provision`");
        }
        if status == 301 || code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" {
            let error = error(format!("{about} is in another region"));
            return match region {
                Some(region) => error.hint(format!("set `AWS_REGION={region}`")),
                None => error.hint("set `AWS_REGION` to the bucket's region"),
            };
        }
        if is(&DENIED) || status == 403 {
            return error(format!("access to {about} is denied")).hint(format!(
                "the policy of these credentials must allow `{}` there",
                self.action
            ));
        }
        if is(&THROTTLED) || status == 503 || status == 429 {
            return error(format!(
                "the service throttles requests for {about}, and kept on doing so"
            ))
            .hint("wait a while and run it again: it goes on where it stopped");
        }
        if status >= 500 {
            return error(format!("the service failed on {about}"))
                .hint("run it again: it goes on where it stopped");
        }
        error(format!("{about} was refused"))
    }

    fn unreachable(&self, causes: &str, timed_out: bool) -> Error {
        let lower = causes.to_lowercase();
        if lower.contains("credential") {
            return self.prepared(causes);
        }
        let error = |message: String| Error::environment(message).because(causes);
        let about = &self.about;
        if lower.contains("dns") || lower.contains("lookup") || lower.contains("resolve") {
            return error(format!("the host for {about} is not found"))
                .hint("see whether the network is there, and whether the region or `AWS_ENDPOINT_URL` is right");
        }
        if lower.contains("certificate") {
            return error(format!("the server for {about} shows a certificate that is not trusted"))
                .hint("see whether a proxy is in between; the system's certificates decide, or those in `SSL_CERT_FILE`");
        }
        let what = if timed_out { "does not answer in time" } else { "cannot be reached" };
        error(format!("the server for {about} {what}"))
            .hint("see whether the network is there, and whether `AWS_ENDPOINT_URL` is right; then run it again")
    }

    /// A request that could not even be made: mostly for want of credentials.
    pub fn prepared(&self, cause: &str) -> Error {
        let about = &self.about;
        if cause.to_lowercase().contains("credential") {
            return Error::environment(format!("there are no AWS credentials, and {about} needs them"))
                .because(cause)
                .hint("run `aws configure` or `aws sso login`, or set `AWS_PROFILE` or `AWS_ACCESS_KEY_ID` and its like");
        }
        Error::environment(format!("a request for {about} could not be made")).because(cause)
    }
}

/// An error and what lay below it, in one line.
pub(super) fn chain(error: Option<&dyn std::error::Error>) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error;
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}
