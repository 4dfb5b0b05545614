//! The name of an image, taken apart as Docker takes it apart: registry, repository, tag, digest.
//!
//! Knows nothing of requests or credentials.

use std::fmt;

use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::http::is_loopback;

/// The registry of names that name none.
pub const DOCKER_HUB: &str = "docker.io";
/// The tag of names that have neither tag nor digest.
const LATEST: &str = "latest";
const LONGEST_TAG: usize = 128;
const LONGEST_NAME: usize = 255;

/// What the name of an image says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// A host, with its port if it has one: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// Such as `library/debian`.
    pub repository: String,
    pub at: At,
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Takes a name apart. Of one with a tag and a digest the digest counts, as it does for Docker.
    ///
    /// # Errors
    /// What is no name of an image, or the name of one that no registry knows.
    pub fn parse(name: &str) -> Result<Reference> {
        let wrong = |why: String| {
            Error::user(format!("`{name}` is not the name of an image: {why}"))
                .hint("write it as Docker does, such as `ghcr.io/me/model:1.0.0`")
        };
        let id = name.strip_prefix("sha256:").unwrap_or(name);
        if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::user(format!("`{name}` is the id of an image, not a name"))
                .hint("name it as `REPOSITORY@sha256:…` to have it looked up at its registry"));
        }
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => {
                let digest: Digest = digest.parse().map_err(wrong)?;
                if digest.algorithm != Algorithm::Sha256 {
                    return Err(wrong("registries know images by `sha256:`".to_owned()));
                }
                (rest, Some(digest))
            }
            None => (name, None),
        };
        let (registry, path) = match rest.split_once('/') {
            Some((first, path)) if is_host(first) => (first, path),
            _ => (DOCKER_HUB, rest),
        };
        let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let repository = match registry == DOCKER_HUB && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        if repository.len() > LONGEST_NAME || !repository.split('/').all(is_part) {
            return Err(wrong(format!(
                "`{repository}` is not a repository; those are of small letters, digits, `.`, `_`, `-` and `/`"
            )));
        }
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong(format!("`{tag}` is not a tag")));
        }
        let at = match (digest, tag) {
            (Some(digest), _) => At::Digest(digest),
            (None, tag) => At::Tag(tag.unwrap_or(LATEST).to_owned()),
        };
        Ok(Reference { registry: registry.to_owned(), repository, at })
    }

    /// The same repository's image of this digest.
    pub fn pinned(&self, digest: Digest) -> Reference {
        Reference { at: At::Digest(digest), ..self.clone() }
    }

    /// The repository with its registry, as a daemon takes it: `docker.io/library/debian`.
    pub fn full_repository(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The host that the registry's requests go to.
    pub fn host(&self) -> &str {
        match self.registry.as_str() {
            DOCKER_HUB => "registry-1.docker.io",
            registry => registry,
        }
    }

    /// Where the registry answers: plain HTTP on this machine, as for Docker, and else HTTPS.
    pub fn base(&self) -> String {
        let host = self.host();
        match split_port(host) {
            // RFC 6761: every name below `localhost` is this machine, whether or not a resolver knows it.
            (name, port) if name.ends_with(".localhost") => format!("http://127.0.0.1{port}"),
            (name, _) if is_loopback(name) => format!("http://{host}"),
            _ => format!("https://{host}"),
        }
    }
}

impl At {
    /// As it stands in a request: the tag, or the whole digest.
    pub fn text(&self) -> String {
        match self {
            At::Tag(tag) => tag.clone(),
            At::Digest(digest) => digest.to_string(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if matches!(self.at, At::Tag(_)) { ':' } else { '@' };
        write!(f, "{}{between}{}", self.full_repository(), self.at.text())
    }
}

/// Whether the first part of a name is a registry and not an owner at Docker Hub.
fn is_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.chars().any(|c| c.is_ascii_uppercase())
}

/// A host without its port, and the port with its colon; empty if there is none.
fn split_port(host: &str) -> (&str, &str) {
    match host.rfind(':') {
        Some(at) if host[at + 1..].bytes().all(|byte| byte.is_ascii_digit()) => host.split_at(at),
        _ => (host, ""),
    }
}

/// Whether a part of a repository's path is small letters and digits with single separators within.
fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separates =
        |between: &str| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-');
    let within = part.starts_with(plain) && part.ends_with(plain);
    within && part.split(plain).filter(|between| !between.is_empty()).all(separates)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= LONGEST_TAG
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> (String, String, String) {
        let reference = Reference::parse(name).unwrap();
        (reference.registry, reference.repository, reference.at.text())
    }

    fn three(a: &str, b: &str, c: &str) -> (String, String, String) {
        (a.to_owned(), b.to_owned(), c.to_owned())
    }

    #[test]
    fn a_name_means_what_it_means_to_docker() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (name, expected) in [
            ("debian", three("docker.io", "library/debian", "latest")),
            ("debian:12", three("docker.io", "library/debian", "12")),
            ("me/model", three("docker.io", "me/model", "latest")),
            ("docker.io/debian", three("docker.io", "library/debian", "latest")),
            ("index.docker.io/me/model:1", three("docker.io", "me/model", "1")),
            ("localhost/model", three("localhost", "model", "latest")),
            ("localhost:5000/a/b/c:1.0_x", three("localhost:5000", "a/b/c", "1.0_x")),
            ("127.0.0.1:5000/model", three("127.0.0.1:5000", "model", "latest")),
            ("ghcr.io/me/a-b__c.d:v1", three("ghcr.io", "me/a-b__c.d", "v1")),
            (&format!("ghcr.io/me/m@{digest}"), three("ghcr.io", "me/m", &digest)),
            (&format!("ghcr.io/me/m:1@{digest}"), three("ghcr.io", "me/m", &digest)),
        ] {
            assert_eq!(parts(name), expected, "{name}");
        }
        let reference = Reference::parse("debian:12").unwrap();
        assert_eq!(reference.to_string(), "docker.io/library/debian:12");
        assert_eq!(reference.base(), "https://registry-1.docker.io");
    }

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        for (name, base) in [
            ("localhost:5000/m", "http://localhost:5000"),
            ("127.0.0.2:5000/m", "http://127.0.0.2:5000"),
            ("1.dkr.ecr.us-east-1.localhost:5000/m", "http://127.0.0.1:5000"),
            ("localhost.example.org:5000/m", "https://localhost.example.org:5000"),
            ("10.0.0.1:5000/m", "https://10.0.0.1:5000"),
        ] {
            assert_eq!(Reference::parse(name).unwrap().base(), base, "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        let id = "ab".repeat(32);
        for (name, part) in [
            ("Model", "`library/Model` is not a repository"),
            ("ghcr.io/me/Model:1", "`me/Model` is not a repository"),
            ("ghcr.io/me/", "is not a repository"),
            ("me/model:", "`` is not a tag"),
            ("me/model:.x", "`.x` is not a tag"),
            ("me/model@sha256:12", "is not a digest"),
            (&format!("me/model@blake3:{id}"), "by `sha256:`"),
            ("me/a..b", "is not a repository"),
            (&id, "is the id of an image"),
            (&format!("sha256:{id}"), "is the id of an image"),
        ] {
            let error = Reference::parse(name).unwrap_err();
            assert!(error.message.contains(part), "{name}: {error}");
            assert!(!error.hints.is_empty(), "{name}");
        }
    }
}
