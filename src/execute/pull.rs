//! Has a daemon pull an image by its digest, and reads how far it is.
//!
//! Speaks to the daemon's socket itself: the client library writes logins in an alphabet in which
//! Docker does not read some passwords, and gives up on answers that take long.
//! Knows nothing of runs, and of registries only what a login is.

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::execute::daemon::Daemon;
use crate::job::Stop;
use crate::percent;
use crate::registry::logins::{HUB_KEY, Login};
use crate::registry::reference::{DOCKER_HUB, Reference};

/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often it is told how far the pull is.
const TELL: Duration = Duration::from_millis(500);
/// How long a daemon may say nothing: it unpacks gigabytes without a word.
const SILENCE: Duration = Duration::from_secs(1800);

/// A line of a daemon's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    id: String,
    #[serde(default)]
    status: String,
    progress_detail: Option<Detail>,
    error: Option<String>,
    error_detail: Option<Words>,
}

#[derive(Deserialize)]
struct Detail {
    current: Option<u64>,
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Words {
    message: Option<String>,
}

/// What is known of layers: bytes that came, and bytes in all.
#[derive(Debug, Default)]
struct Layers {
    of: BTreeMap<String, (u64, u64)>,
}

impl Layers {
    fn take(&mut self, line: &Line) {
        let (current, total) = self.of.entry(line.id.clone()).or_default();
        match (line.status.as_str(), &line.progress_detail) {
            ("Downloading", Some(Detail { current: now, total: all })) => {
                *current = now.unwrap_or(*current);
                *total = all.unwrap_or(*total).max(*current);
            }
            ("Download complete" | "Pull complete" | "Verifying Checksum", _) => *current = *total,
            _ => {}
        }
    }

    fn sums(&self) -> (u64, u64) {
        self.of.values().fold((0, 0), |(done, total), (d, t)| (done + d, total + t))
    }
}

/// Pulls `at`, which names a digest; false if it was stopped. Tells the bytes that came and those in all.
///
/// # Errors
/// The daemon's own words, without a hint on logins, which whoever knows them gives.
pub fn pull(
    daemon: &Daemon,
    at: &Reference,
    platform: Option<&str>,
    login: Option<&Login>,
    stop: &Stop,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<bool> {
    let lost = |error: &io::Error| {
        Error::environment(format!("cannot pull `{at}`"))
            .because(format!("{daemon} does not answer: {error}"))
            .hint("see whether it is still there with `docker info`, then try again")
    };
    let mut stream = UnixStream::connect(&daemon.socket).map_err(|error| lost(&error))?;
    stream.set_read_timeout(Some(TICK)).map_err(|error| lost(&error))?;
    stream.write_all(request(at, platform, login).as_bytes()).map_err(|error| lost(&error))?;
    let mut answer = Answer { stream, held: Vec::new(), heard: Instant::now() };
    let status = loop {
        match answer.line().map_err(|error| lost(&error))? {
            Heard::Line(line) => break status(&line),
            Heard::Nothing if stop.is_raised() => return Ok(false),
            Heard::Nothing => {}
            Heard::End => return Err(lost(&io::ErrorKind::UnexpectedEof.into())),
        }
    };
    let (mut layers, mut told, mut failed) = (Layers::default(), None::<Instant>, None);
    let mut body = String::new();
    let mut in_head = true;
    loop {
        match answer.line().map_err(|error| lost(&error))? {
            Heard::Line(line) if in_head => in_head = !line.trim().is_empty(),
            Heard::Line(line) if status != 200 => body.push_str(&line),
            Heard::Line(line) => {
                let Ok(line) = serde_json::from_str::<Line>(&line) else { continue };
                let words = line.error_detail.as_ref().and_then(|words| words.message.clone());
                failed = failed.or(words).or_else(|| line.error.clone());
                layers.take(&line);
            }
            Heard::Nothing => {}
            Heard::End => break,
        }
        if stop.is_raised() {
            // The daemon gives up when nobody listens any more.
            return Ok(false);
        }
        let (done, total) = layers.sums();
        if total > 0 && told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            on_progress(done, total);
        }
    }
    if status != 200 {
        let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        let said = json["message"].as_str().unwrap_or(body.trim()).to_owned();
        failed = Some(if said.is_empty() { format!("status {status}") } else { said });
    }
    match failed {
        Some(words) => Err(Error::environment(format!("cannot pull `{at}`"))
            .because(format!("{daemon} says: {}", words.trim()))),
        None => {
            let (_, total) = layers.sums();
            on_progress(total, total);
            Ok(true)
        }
    }
}

/// In HTTP/1.0 the answer is not cut into chunks, and ends with the connection.
fn request(at: &Reference, platform: Option<&str>, login: Option<&Login>) -> String {
    let query = |text: &str| percent::path(text).replace('/', "%2F");
    let mut path = format!(
        "/images/create?fromImage={}&tag={}",
        query(&at.full_repository()),
        query(&at.at.text())
    );
    if let Some(platform) = platform {
        path.push_str(&format!("&platform={}", query(platform)));
    }
    let mut head = format!("POST {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n");
    if let Some(login) = login {
        let server = if at.registry == DOCKER_HUB { HUB_KEY } else { at.registry.as_str() };
        let login = match login {
            Login::Password { user, password } => {
                json!({ "username": user, "password": password, "serveraddress": server })
            }
            Login::Identity(token) => json!({ "identitytoken": token, "serveraddress": server }),
        };
        head.push_str(&format!("X-Registry-Auth: {}\r\n", URL_SAFE.encode(login.to_string())));
    }
    head.push_str("\r\n");
    head
}

fn status(line: &str) -> u16 {
    line.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// An answer that is read line by line, and looked up from in between.
struct Answer {
    stream: UnixStream,
    held: Vec<u8>,
    heard: Instant,
}

enum Heard {
    Line(String),
    /// Nothing for now.
    Nothing,
    End,
}

impl Answer {
    fn line(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Ok(Heard::Line(String::from_utf8_lossy(&line).into_owned()));
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) if self.held.is_empty() => return Ok(Heard::End),
                Ok(0) => {
                    let rest = std::mem::take(&mut self.held);
                    return Ok(Heard::Line(String::from_utf8_lossy(&rest).into_owned()));
                }
                Ok(count) => {
                    self.heard = Instant::now();
                    self.held.extend_from_slice(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return match self.heard.elapsed() < SILENCE {
                        true => Ok(Heard::Nothing),
                        false => Err(io::ErrorKind::TimedOut.into()),
                    };
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_summed_as_they_come() {
        let mut layers = Layers::default();
        for line in [
            r#"{"status":"Pulling from me/model","id":"sha256:1"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"a"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":5,"total":50},"id":"b"}"#,
            r#"{"status":"Extracting","progressDetail":{"current":1,"total":100},"id":"a"}"#,
            r#"{"status":"Download complete","progressDetail":{},"id":"b"}"#,
        ] {
            layers.take(&serde_json::from_str(line).unwrap());
        }
        assert_eq!(layers.sums(), (60, 150));
    }

    #[test]
    fn a_login_is_sent_in_the_alphabet_that_docker_reads() {
        let at = Reference::parse("me/model:1").unwrap();
        let login = Login::Password { user: "me".to_owned(), password: "~~~>>>???".to_owned() };
        let request = request(&at, Some("linux/amd64"), Some(&login));
        let first = "POST /images/create?fromImage=docker.io%2Fme%2Fmodel&tag=1&platform=linux%2Famd64 HTTP/1.0\r\n";
        assert!(request.starts_with(first), "{request}");
        let shown = request.split("X-Registry-Auth: ").nth(1).unwrap().trim();
        assert!(!shown.contains(['+', '/']), "{shown}");
        let sent: serde_json::Value =
            serde_json::from_slice(&URL_SAFE.decode(shown).unwrap()).unwrap();
        assert_eq!(sent["password"], "~~~>>>???");
        assert_eq!(sent["serveraddress"], HUB_KEY);
    }
}
