//! Plain HTTP to servers that are not Amazon's: releases of data, registries, any web server.
//!
//! Blocks. Tries again what may help, as often and as slowly as the server asks for.
//! Knows nothing of what is fetched, and never says a header or a query aloud, for a secret may be in it.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Error, Result};

/// How often a request is tried in all.
const ATTEMPTS: u32 = 6;
const CONNECT: Duration = Duration::from_secs(10);
/// From the request to the head of its answer, and between two pieces of a body.
const QUIET: Duration = Duration::from_secs(30);
/// No server's wish makes one request wait longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Answers that are read whole are small: lists and manifests.
const LARGEST_TEXT: u64 = 64 << 20;

/// A way to servers; connections are kept and shared.
#[derive(Clone, Default)]
pub struct Http {
    agent: Arc<OnceLock<Agent>>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub method: Method,
    pub url: &'a str,
    pub headers: Vec<(&'static str, String)>,
    /// What is sent along; nothing if it is empty.
    pub body: Vec<u8>,
    /// What it is about, as messages name it: `https://example.org/a.Rdata`.
    pub about: String,
}

/// A server's answer, whatever its status; the body is still to be read.
pub struct Answer {
    pub status: u16,
    headers: HeaderMap,
    body: ureq::Body,
    about: String,
}

impl<'a> Ask<'a> {
    pub fn get(url: &'a str) -> Ask<'a> {
        let (headers, body) = (Vec::new(), Vec::new());
        let about = match url.split_once('?') {
            Some((before, _)) => format!("`{before}?…`"),
            None => format!("`{url}`"),
        };
        Ask { method: Method::GET, url, headers, body, about }
    }

    /// The request must bear being made twice.
    pub fn post(url: &'a str, body: Vec<u8>) -> Ask<'a> {
        Ask { method: Method::POST, body, ..Ask::get(url) }
    }

    pub fn head(url: &'a str) -> Ask<'a> {
        Ask { method: Method::HEAD, ..Ask::get(url) }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask<'a> {
        self.headers.push((name, value.into()));
        self
    }

    pub fn about(mut self, about: impl Into<String>) -> Ask<'a> {
        self.about = about.into();
        self
    }
}

impl Http {
    pub fn new() -> Http {
        Http::default()
    }

    fn agent(&self) -> &Agent {
        self.agent.get_or_init(|| {
            // The system's certificates decide, as for every other tool; `SSL_CERT_FILE` too.
            let roots = rustls_native_certs::load_native_certs().certs;
            let roots: Vec<Certificate<'static>> =
                roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
            let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build();
            Agent::config_builder()
                .http_status_as_error(false)
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(QUIET))
                .timeout_per_read(Some(QUIET))
                .tls_config(tls)
                .user_agent(concat!("jheem/", env!("CARGO_PKG_VERSION")))
                .build()
                .new_agent()
        })
    }

    /// Asks; any status is an answer, but those that a later try may change are tried again first.
    ///
    /// `go_on` is asked before each further try.
    pub fn ask(&self, ask: &Ask<'_>, go_on: &dyn Fn() -> bool) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let answer = self.once(ask);
            let wait = match &answer {
                Ok(answer) if attempt < ATTEMPTS && may_change(answer.status) => {
                    asked_to_wait(&answer.headers).unwrap_or_else(|| backoff(attempt))
                }
                Err(failed) if attempt < ATTEMPTS && worth_another_try(failed) => backoff(attempt),
                Ok(_) | Err(_) => return answer.map_err(|failed| unreachable(ask, &failed)),
            };
            if !pause(wait.min(LONGEST_WAIT), go_on) {
                return answer.map_err(|failed| unreachable(ask, &failed));
            }
            attempt += 1;
        }
    }

    fn once(&self, ask: &Ask<'_>) -> std::result::Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(ask.method.clone()).uri(ask.url);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let answer: Response<ureq::Body> = match ask.body.as_slice() {
            [] => self.agent().run(request.body(())?)?,
            body => self.agent().run(request.body(body)?)?,
        };
        let (head, body) = answer.into_parts();
        let status = head.status.as_u16();
        Ok(Answer { status, headers: head.headers, body, about: ask.about.clone() })
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The number of bytes of the body, where the server says it.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }

    /// The first byte of a part that was asked for.
    pub fn begins_at(&self) -> Option<u64> {
        let range = self.header("content-range")?.strip_prefix("bytes ")?;
        range.split('-').next()?.trim().parse().ok()
    }

    /// The whole of a small body.
    pub fn bytes(self) -> Result<Vec<u8>> {
        let Answer { body, about, .. } = self;
        let read = body.into_with_config().limit(LARGEST_TEXT).read_to_vec();
        read.map_err(|failed| cut_off(&about, &failed))
    }

    /// The body as it comes; a cut connection is an error of the reader.
    pub fn reader(self) -> impl Read + Send + 'static {
        self.body.into_with_config().limit(u64::MAX).reader()
    }

    /// The error for a status that is none of those that were expected.
    pub fn refused(self) -> Error {
        let (status, about) = (self.status, self.about.clone());
        let reset = self.header("x-ratelimit-remaining") == Some("0");
        let said = self.bytes().map(|body| said(&body)).unwrap_or_default();
        let because = match said.as_str() {
            "" => format!("the server answered with status {status}"),
            said => format!("the server answered with status {status}: {said}"),
        };
        let error = |message: String| Error::environment(message).because(&because);
        match status {
            429 => error(format!("the server limits requests, and refuses those for {about}"))
                .hint("wait a while and run it again"),
            403 if reset => {
                error(format!("the server limits requests, and refuses those for {about}"))
                    .hint("wait an hour, or set `GITHUB_TOKEN`, with which more are allowed")
            }
            401 | 403 => error(format!("access to {about} is denied"))
                .hint("see whether it is private, and whether the credentials may read it"),
            404 | 410 => {
                error(format!("{about} does not exist")).hint("mend its name, or where it is")
            }
            500.. => error(format!("the server failed on {about}")).hint("run it again later"),
            _ => error(format!("{about} was refused")),
        }
    }
}

/// What a body says of an error, in one line: the `message` of JSON, or the first line of a text.
fn said(body: &[u8]) -> String {
    if let Ok(serde_json::Value::Object(json)) = serde_json::from_slice(body)
        && let Some(message) = json.get("message").and_then(|message| message.as_str())
    {
        return message.chars().take(200).collect();
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with('<') { String::new() } else { line.chars().take(200).collect() }
}

/// Waits for as long as is asked for and somebody wishes to go on; whether to go on.
pub fn pause(wait: Duration, go_on: &dyn Fn() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(100);
    let mut left = wait;
    while go_on() {
        let step = left.min(STEP);
        if step.is_zero() {
            return true;
        }
        std::thread::sleep(step);
        left -= step;
    }
    false
}

fn may_change(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn worth_another_try(failed: &ureq::Error) -> bool {
    !is_no_host(failed)
        && matches!(
            failed,
            ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed
        )
}

/// Whether there is no host of that name, which the system tells in words alone.
fn is_no_host(failed: &ureq::Error) -> bool {
    const WORDS: [&str; 2] = ["Name or service not known", "nodename nor servname provided"];
    match failed {
        ureq::Error::HostNotFound => true,
        ureq::Error::Io(io) => WORDS.iter().any(|words| io.to_string().contains(words)),
        _ => false,
    }
}

/// A quarter of a second, and twice as long each time.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(250) * 2u32.saturating_pow(attempt - 1)
}

fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A request that no server answered.
fn unreachable(ask: &Ask<'_>, failed: &ureq::Error) -> Error {
    let about = &ask.about;
    let query = ask.url.split_once('?').map(|(_, query)| query).filter(|query| !query.is_empty());
    let said = match query {
        Some(query) => failed.to_string().replace(query, "…"),
        None => failed.to_string(),
    };
    let error = |message: String| Error::environment(message).because(&said);
    match failed {
        failed if is_no_host(failed) => error(format!("the host for {about} is not found"))
            .hint("see whether the network is there, and whether the name is right"),
        ureq::Error::Timeout(_) => error(format!("the server for {about} does not answer in time"))
            .hint("see whether the network is there; then run it again"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            error(format!("{about} is no address that can be asked")).hint("mend the URL")
        }
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            error(format!("the server for {about} shows a certificate that is not trusted"))
                .hint("see whether a proxy is in between; the system's certificates decide, or those in `SSL_CERT_FILE`")
        }
        _ => error(format!("the server for {about} cannot be reached"))
            .hint("see whether the network is there; then run it again"),
    }
}

/// A body that ended too early.
fn cut_off(about: &str, failed: &dyn std::fmt::Display) -> Error {
    Error::environment(format!("{about} was cut off while it was read"))
        .because(failed)
        .hint("run it again: it goes on where it stopped")
}

/// Whether a host is this machine, which may be asked without protection.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_url_is_in_no_error() {
        let url = "http://127.0.0.1:1/a.Rdata?signature=s3cret";
        for url in [url, "http://[bad/a.Rdata?signature=s3cret"] {
            let Err(error) = Http::new().ask(&Ask::get(url), &|| false) else {
                panic!("{url} answers");
            };
            let said = format!("{} {:?}", error.message, error.details());
            assert!(said.contains("a.Rdata?…") && !said.contains("s3cret"), "{said}");
        }
    }
}
