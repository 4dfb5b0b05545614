//! What this user may show to registries: the logins that Docker keeps in its configuration and its helpers.
//!
//! Knows nothing of registries' answers. Nothing here can be printed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::reference::DOCKER_HUB;
use crate::error::{Error, Result};

/// The name under which Docker keeps the login of Docker Hub.
pub const HUB_KEY: &str = "https://index.docker.io/v1/";
/// The user of a secret that is a token to be exchanged and not a password.
const TOKEN_USER: &str = "<token>";

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    Password {
        user: String,
        password: String,
    },
    /// A token that a registry's token server takes in exchange for others.
    Identity(String),
}

// Never what it holds: messages and logs are read by others.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a login")
    }
}

/// Docker's `config.json`, as far as it is about logins.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    #[serde(default)]
    username: String,
    secret: String,
}

/// Docker's configuration of logins; read when first needed.
#[derive(Clone, Debug)]
pub struct Logins {
    file: Option<PathBuf>,
    /// Where helpers are; the PATH if it is not said.
    helpers: Option<PathBuf>,
}

impl Logins {
    /// Those of `$DOCKER_CONFIG`, or else of `~/.docker`.
    pub fn from_environment() -> Logins {
        let folder = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let docker = folder("DOCKER_CONFIG").or_else(|| Some(folder("HOME")?.join(".docker")));
        Logins { file: docker.map(|docker| docker.join("config.json")), helpers: None }
    }

    pub fn of_file(file: &Path) -> Logins {
        Logins { file: Some(file.to_owned()), helpers: None }
    }

    /// The same, with the helpers of a folder.
    pub fn looking_in(self, helpers: &Path) -> Logins {
        Logins { helpers: Some(helpers.to_owned()), ..self }
    }

    /// The login for a registry; none if nobody logged in there.
    ///
    /// # Errors
    /// A configuration that cannot be read, or a helper that cannot be asked.
    pub fn of(&self, registry: &str) -> Result<Option<Login>> {
        let Some(config) = self.read()? else { return Ok(None) };
        let helper = config.cred_helpers.iter().find(|(key, _)| host_of(key) == registry);
        if let Some((key, name)) = helper {
            return self.ask(name, key);
        }
        if !config.creds_store.is_empty() {
            let key = if registry == DOCKER_HUB { HUB_KEY } else { registry };
            if let Some(login) = self.ask(&config.creds_store, key)? {
                return Ok(Some(login));
            }
        }
        let mut entries = config.auths.iter().filter(|(key, _)| host_of(key) == registry);
        entries.find_map(|(key, entry)| self.login(key, entry).transpose()).transpose()
    }

    /// Whether a helper of its own is set for a registry.
    pub fn has_helper(&self, registry: &str) -> Result<bool> {
        let config = self.read()?.unwrap_or_default();
        Ok(config.cred_helpers.keys().any(|key| host_of(key) == registry))
    }

    fn read(&self) -> Result<Option<Config>> {
        let Some(file) = &self.file else { return Ok(None) };
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("read", file, &error)),
        };
        // The parser's own words could quote what stands there.
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::environment(format!("cannot read `{}`", file.display()))
                .because(format!("line {line}, column {column} is not as Docker writes it"))
                .hint("mend it, or move it away and run `docker login` again")
        })
    }

    /// What an entry holds; one without anything says that a helper has it.
    fn login(&self, key: &str, entry: &Entry) -> Result<Option<Login>> {
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Login::Identity(entry.identitytoken.clone())));
        }
        let decoded = if entry.auth.is_empty() {
            (!entry.username.is_empty()).then(|| (entry.username.clone(), entry.password.clone()))
        } else {
            let broken = || {
                let file = self.file.as_deref().unwrap_or(Path::new("config.json")).display();
                Error::environment(format!("`auth` of `{key}` in `{file}` cannot be read"))
                    .hint(format!("run `docker login {}` again", host_of(key)))
            };
            let text = STANDARD.decode(entry.auth.trim()).ok();
            let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(broken)?;
            let (user, password) = text.split_once(':').ok_or_else(broken)?;
            Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
        };
        Ok(decoded.map(|(user, password)| Login::Password { user, password }))
    }

    /// Asks a helper, `docker-credential-NAME get`, for what it keeps under a key.
    fn ask(&self, name: &str, key: &str) -> Result<Option<Login>> {
        let program = format!("docker-credential-{name}");
        let failed = |why: String| {
            Error::environment(format!("`{program}` did not give the login of `{key}`"))
                .because(why)
                .hint(format!(
                    "run `echo {key} | {program} get` to see why, or `docker login` again"
                ))
        };
        let program_file = match &self.helpers {
            Some(folder) => folder.join(&program),
            None => PathBuf::from(&program),
        };
        let child = Command::new(program_file)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(failed("there is no such program on the PATH".to_owned()));
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        // One that does not read its input may still answer.
        let _read = child.stdin.take().map(|mut input| input.write_all(key.as_bytes()));
        let said = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        if !said.status.success() {
            // By convention helpers complain on stdout; only what is not found is no failure.
            let words = String::from_utf8_lossy(&said.stdout);
            let words = words.lines().next().unwrap_or_default().trim();
            return match words.contains("credentials not found") {
                true => Ok(None),
                false if words.is_empty() => Err(failed(format!("it ended with {}", said.status))),
                false => Err(failed(format!("it says: {words}"))),
            };
        }
        let told: Told = serde_json::from_slice(&said.stdout)
            .map_err(|_| failed("what it answers is not as Docker's helpers answer".to_owned()))?;
        Ok(Some(match told.username.as_str() {
            TOKEN_USER => Login::Identity(told.secret),
            user => Login::Password { user: user.to_owned(), password: told.secret },
        }))
    }
}

/// The registry that a key of the configuration is about: a host, or the URL of one.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    match host {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(json: &str) -> (tempfile::TempDir, Logins) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, json).unwrap();
        (folder, Logins::of_file(&file))
    }

    fn password(user: &str, password: &str) -> Option<Login> {
        Some(Login::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn logins_are_found_under_each_spelling_of_a_registry() {
        let auth = STANDARD.encode("me:pass:word");
        let (_kept, logins) = logins(&format!(
            r#"{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{auth}"}},
                "ghcr.io": {{"identitytoken": "idt"}}, "http://localhost:5000/v2/": {{"username": "u", "password": "p"}},
                "quay.io": {{}}}}, "currentContext": "x"}}"#
        ));
        assert_eq!(logins.of("docker.io").unwrap(), password("me", "pass:word"));
        assert_eq!(logins.of("ghcr.io").unwrap(), Some(Login::Identity("idt".to_owned())));
        assert_eq!(logins.of("localhost:5000").unwrap(), password("u", "p"));
        assert_eq!(logins.of("quay.io").unwrap(), None);
        assert_eq!(logins.of("localhost").unwrap(), None);
        assert!(!logins.has_helper("ghcr.io").unwrap());
    }

    #[test]
    fn without_a_configuration_nobody_is_logged_in() {
        let folder = tempfile::tempdir().unwrap();
        let logins = Logins::of_file(&folder.path().join("none/config.json"));
        assert_eq!(logins.of("ghcr.io").unwrap(), None);
    }

    #[test]
    fn a_broken_configuration_is_told_without_what_it_holds() {
        let (_kept, broken) = logins(r#"{"auths": {"ghcr.io": {"auth": 5, "s3cret": }}}"#);
        let error = broken.of("ghcr.io").unwrap_err();
        assert!(error.message.contains("config.json"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        let (_kept, broken) = logins(r#"{"auths": {"ghcr.io": {"auth": "s3cret!"}}}"#);
        let error = broken.of("ghcr.io").unwrap_err();
        assert_eq!(error.hints, ["run `docker login ghcr.io` again"]);
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        let login = Login::Password { user: "me".to_owned(), password: "s3cret".to_owned() };
        assert_eq!(format!("{login:?}"), "a login");
    }
}
