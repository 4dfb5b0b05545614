//! The platform that an image is made for: `os/architecture[/variant]`, as Docker writes it.

use std::fmt;

use serde::Deserialize;

/// What an image is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: String,
}

impl Platform {
    /// Reads `os/architecture[/variant]`; names that others use for an architecture mean Docker's.
    pub fn parse(text: &str) -> Platform {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Platform { os: next(), architecture: next(), variant: next() }.normal()
    }

    /// One spelling of each: `arm64/v8` is `arm64`, and there is no other.
    pub fn normal(self) -> Platform {
        let Platform { os, architecture, variant } = self;
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64".to_owned(), String::new()),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64".to_owned(), String::new()),
            ("arm", "" | "7") => ("arm".to_owned(), "v7".to_owned()),
            _ => (architecture, variant),
        };
        Platform { os, architecture, variant }
    }

    /// Whether an image for this platform does where `wanted` is asked for.
    pub fn does_for(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_empty() || self.variant == wanted.variant)
    }

    /// Whether it says anything; attestations in an index are for `unknown/unknown`.
    pub fn is_known(&self) -> bool {
        let known = |part: &str| !part.is_empty() && part != "unknown";
        known(&self.os) && known(&self.architecture)
    }

    /// The platform of containers on this machine.
    pub fn here() -> Platform {
        let architecture = std::env::consts::ARCH.to_owned();
        Platform { os: "linux".to_owned(), architecture, variant: String::new() }.normal()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_known_under_each_of_its_names() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
        ] {
            assert_eq!(Platform::parse(text).to_string(), shown);
        }
        let v3 = Platform::parse("linux/amd64/v3");
        assert!(v3.does_for(&Platform::parse("linux/amd64")));
        assert!(!Platform::parse("linux/amd64").does_for(&v3));
        assert!(!Platform::parse("unknown/unknown").is_known());
    }
}
