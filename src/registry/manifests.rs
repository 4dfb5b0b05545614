//! Manifests, indexes and configurations of images, in the forms of OCI and of Docker.
//!
//! Pure: what is asked for is decided by whoever asks.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::platform::Platform;
use crate::digest::{Algorithm, Digest};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What is accepted when a manifest is asked for.
pub fn accepted() -> String {
    [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST].join(", ")
}

/// The SHA-256 of bytes, as registries name them.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest { algorithm: Algorithm::Sha256, bytes: Sha256::digest(bytes).into() }
}

/// What a name stands for at a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One image for each of some platforms: the digests of their manifests.
    Index(Vec<(Platform, Digest)>),
    /// One image: the digest of its configuration.
    Image { config: Digest },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: String,
    manifests: Option<Vec<Listed>>,
    config: Option<Described>,
}

#[derive(Deserialize)]
struct Listed {
    digest: Digest,
    #[serde(default)]
    platform: Platform,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    digest: Digest,
    #[serde(default)]
    media_type: String,
}

impl Manifest {
    /// Reads a manifest of the media type that the registry gave.
    ///
    /// # Errors
    /// In words, why it cannot be used.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Manifest, String> {
        let given = media_type.split(';').next().unwrap_or_default().trim();
        if given.contains("distribution.manifest.v1+") {
            return Err("it is in the form of 2014, which Docker itself does not read any more; push it again".to_owned());
        }
        let written: Written = serde_json::from_slice(bytes)
            .map_err(|error| format!("what `{given}` should be cannot be read: {error}"))?;
        let kind = if written.media_type.is_empty() { given } else { written.media_type.as_str() };
        match (written.manifests, written.config) {
            _ if written.schema_version != 2 => {
                Err(format!("its manifest has version {}, not 2", written.schema_version))
            }
            // Both at once could be read as either, so that two readers see two images.
            (Some(_), Some(_)) => Err("it is an index and an image at once".to_owned()),
            (Some(listed), None) if kind != OCI_MANIFEST && kind != DOCKER_MANIFEST => {
                let listed = listed.into_iter();
                let listed = listed.map(|one| (one.platform.normal(), one.digest));
                Ok(Manifest::Index(listed.filter(|(platform, _)| platform.is_known()).collect()))
            }
            (None, Some(config)) if kind != OCI_INDEX && kind != DOCKER_INDEX => {
                let image = config.media_type.is_empty()
                    || config.media_type.contains("image.config.")
                    || config.media_type.contains("container.image.");
                match image {
                    true => Ok(Manifest::Image { config: config.digest }),
                    false => Err(format!("it is no image but `{}`", config.media_type)),
                }
            }
            _ => Err(format!("what `{kind}` should be is neither an index nor an image")),
        }
    }
}

/// What is baked into an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub platform: Platform,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct WrittenConfig {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<Inner>,
}

#[derive(Default, Deserialize)]
struct Inner {
    #[serde(default, rename = "Env")]
    env: Option<Vec<String>>,
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Config {
    /// # Errors
    /// In words, why it cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<Config, String> {
        let written: WrittenConfig = serde_json::from_slice(bytes)
            .map_err(|error| format!("its configuration cannot be read: {error}"))?;
        let inner = written.config.unwrap_or_default();
        Ok(Config {
            platform: written.platform.normal(),
            env: variables(inner.env.unwrap_or_default()),
            labels: inner.labels.unwrap_or_default(),
        })
    }
}

/// `NAME=value` as pairs; of one name the last counts, as in a shell.
pub fn variables(lines: Vec<String>) -> BTreeMap<String, String> {
    let pairs = lines.iter().map(|line| line.split_once('=').unwrap_or((line, "")));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: &str) -> String {
        format!("sha256:{}", byte.repeat(32))
    }

    #[test]
    fn an_index_lists_platforms_without_attestations() {
        let text = format!(
            r#"{{"schemaVersion": 2, "mediaType": "{OCI_INDEX}", "manifests": [
                {{"mediaType": "m", "digest": "{}", "size": 1, "platform": {{"os": "linux", "architecture": "arm64", "variant": "v8"}}}},
                {{"digest": "{}", "size": 1, "platform": {{"os": "unknown", "architecture": "unknown"}}}},
                {{"digest": "{}", "size": 1}}]}}"#,
            digest("aa"),
            digest("bb"),
            digest("cc")
        );
        let read = Manifest::parse(OCI_INDEX, text.as_bytes()).unwrap();
        let arm = (Platform::parse("linux/arm64"), digest("aa").parse().unwrap());
        assert_eq!(read, Manifest::Index(vec![arm]));
    }

    #[test]
    fn a_manifest_names_its_configuration() {
        let text = format!(
            r#"{{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "{}", "size": 3}}, "layers": []}}"#,
            digest("aa")
        );
        let read = Manifest::parse("application/json; charset=utf-8", text.as_bytes()).unwrap();
        assert_eq!(read, Manifest::Image { config: digest("aa").parse().unwrap() });
    }

    #[test]
    fn what_is_no_image_is_refused_in_words() {
        let config = |kind: &str| {
            format!(
                r#"{{"schemaVersion": 2, "config": {{"mediaType": "{kind}", "digest": "{}"}}}}"#,
                digest("aa")
            )
        };
        for (kind, text, part) in [
            (
                OCI_MANIFEST,
                config("application/vnd.cncf.helm.config.v1+json"),
                "it is no image but",
            ),
            (OCI_INDEX, config(""), "neither an index nor an image"),
            (OCI_MANIFEST, r#"{"schemaVersion": 2, "manifests": []}"#.to_owned(), "neither"),
            (OCI_MANIFEST, r#"{"schemaVersion": 1}"#.to_owned(), "version 1"),
            (OCI_MANIFEST, "<html>".to_owned(), "cannot be read"),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", String::new(), "2014"),
        ] {
            let error = Manifest::parse(kind, text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_configuration_tells_what_is_baked_in() {
        let text = br#"{"os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/bin", "A=1=2", "A=3"], "Labels": {"l": "v"}}, "rootfs": {}}"#;
        let config = Config::parse(text).unwrap();
        assert_eq!(config.platform.to_string(), "linux/amd64");
        assert_eq!((config.env["PATH"].as_str(), config.env["A"].as_str()), ("/bin", "3"));
        assert_eq!(config.labels["l"], "v");
        let bare = Config::parse(
            br#"{"os": "linux", "architecture": "amd64", "config": {"Labels": null}}"#,
        );
        assert_eq!(bare.unwrap().labels.len(), 0);
    }
}
