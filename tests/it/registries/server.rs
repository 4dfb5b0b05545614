//! A real registry of one test's own, with a login; and before it, where a test wants that, a server of tokens.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Who may read and write: a person, and whoever shows the token of the emulated ECR.
const USERS: &str = "\
me:$2y$05$c.ILx9TjDgMPo2jylk/gzud0S6SQ2PvnwuR9KI2KDYeRYg247e1Bi
AWS:$2y$05$RVm/T7/VP8dlPCfUPokg2OHhyK148FcCHxkxLwOpWLOcaMdvo4q6m
";
/// `me:s3cret>~?`, as a login is sent and kept.
pub const LOGIN: &str = "bWU6czNjcmV0Pn4/";
pub const PASSWORD: &str = "s3cret>~?";

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OLD_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A registry that listens on a free port of this machine for as long as the test goes on.
pub struct Server {
    process: Child,
    /// `127.0.0.1:5000`
    pub host: String,
    pub folder: tempfile::TempDir,
}

impl Server {
    /// None where there is no registry to start; then the test is skipped.
    pub fn start() -> Option<Server> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("users"), USERS).unwrap();
        let config = json!({
            "version": "0.1",
            "log": { "level": "info", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": at("data") }, "delete": { "enabled": true } },
            "http": { "addr": "127.0.0.1:0" },
            "auth": { "htpasswd": { "realm": "the tests", "path": at("users") } },
        });
        // JSON is YAML.
        fs::write(at("config.yml"), config.to_string()).unwrap();
        let started = Command::new("docker-registry")
            .args(["serve".as_ref(), at("config.yml").as_os_str()])
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(_) => {
                println!("skipped: no docker-registry");
                return None;
            }
        };
        // It says where it listens once it does.
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let host = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the registry ended");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.chars().take_while(|c| !matches!(c, '"' | ',' | ' ' | '\n')).collect();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Some(Server { process, host, folder })
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {LOGIN}\r\nContent-Type: {kind}\r\nAccept: */*\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.host,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    /// Uploads a blob; returns its digest.
    pub fn blob(&self, repository: &str, bytes: &[u8]) -> String {
        let begun =
            self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "text/plain", b"");
        assert_eq!(begun.0, 202, "{}", begun.1);
        let lines = begun.1.lines().find(|line| line.to_lowercase().starts_with("location:"));
        let place = lines.unwrap().split_once(": ").unwrap().1.trim().to_owned();
        let place = place.trim_start_matches(&format!("http://{}", self.host)).to_owned();
        let digest = digest(bytes);
        let path = format!("{place}&digest={digest}");
        let ended = self.send("PUT", &path, "application/octet-stream", bytes);
        assert_eq!(ended.0, 201, "{}", ended.1);
        digest
    }

    /// Uploads a manifest under a tag or its digest; returns its digest.
    pub fn manifest(&self, repository: &str, at: &str, kind: &str, manifest: &Value) -> String {
        let body = manifest.to_string();
        let digest = digest(body.as_bytes());
        let at = if at.is_empty() { digest.as_str() } else { at };
        let path = format!("/v2/{repository}/manifests/{at}");
        let ended = self.send("PUT", &path, kind, body.as_bytes());
        assert_eq!(ended.0, 201, "{}", ended.1);
        digest
    }

    /// An image without layers: its manifest's and its configuration's digest.
    ///
    /// `at` is a tag, or empty for an image that only an index names.
    pub fn image(&self, repository: &str, at: &str, platform: &str, baked: Value) -> [String; 2] {
        self.image_of(repository, at, platform, baked, &[])
    }

    /// An image with these layers, tar archives.
    pub fn image_of(
        &self,
        repository: &str,
        at: &str,
        platform: &str,
        baked: Value,
        layers: &[&[u8]],
    ) -> [String; 2] {
        let mut parts = platform.split('/');
        let mut config = json!({
            "os": parts.next(), "architecture": parts.next(), "config": baked,
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>() },
        });
        if let Some(variant) = parts.next() {
            config["variant"] = json!(variant);
        }
        let config = config.to_string();
        let config_digest = self.blob(repository, config.as_bytes());
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self.blob(repository, layer), "size": layer.len() })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len() },
            "layers": layers,
        });
        [self.manifest(repository, at, MANIFEST, &manifest), config_digest]
    }

    /// An index of images that are there: platforms and manifests.
    pub fn index(&self, repository: &str, tag: &str, kind: &str, of: &[(&str, &str)]) -> String {
        let listed: Vec<Value> = of
            .iter()
            .map(|(platform, digest)| {
                let mut parts = platform.split('/');
                let mut platform = json!({ "os": parts.next(), "architecture": parts.next() });
                if let Some(variant) = parts.next() {
                    platform["variant"] = json!(variant);
                }
                let kind = if kind == INDEX { MANIFEST } else { "application/vnd.docker.distribution.manifest.v2+json" };
                json!({ "mediaType": kind, "digest": digest, "size": self.size(repository, digest), "platform": platform })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": listed });
        self.manifest(repository, tag, kind, &index)
    }

    fn size(&self, repository: &str, digest: &str) -> u64 {
        let (_, head) =
            self.send("HEAD", &format!("/v2/{repository}/manifests/{digest}"), "text/plain", b"");
        let length = head.lines().find(|line| line.to_lowercase().starts_with("content-length:"));
        length.unwrap().split_once(": ").unwrap().1.trim().parse().unwrap()
    }

    /// Takes an image away.
    pub fn delete(&self, repository: &str, manifest: &str) {
        let path = format!("/v2/{repository}/manifests/{manifest}");
        let ended = self.send("DELETE", &path, "text/plain", b"");
        assert_eq!(ended.0, 202, "{}", ended.1);
    }

    /// Writes the file of a login to this registry, as `docker login` does.
    pub fn log_in(&self, host: &str) -> std::path::PathBuf {
        let file = self.folder.path().join("config.json");
        let login = json!({ "auths": { host: { "auth": LOGIN } } });
        fs::write(&file, login.to_string()).unwrap();
        file
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Stands before a registry and lets those through who show a token of its own, as Docker Hub does.
pub struct TokenGate {
    pub host: String,
    /// The requests for tokens: their first lines, who asked, and what was sent along.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl TokenGate {
    pub fn before(server: &Server) -> TokenGate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (upstream, here, heard) = (server.host.clone(), host.clone(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _gone_away = pass(client, &upstream, &here, &heard);
            }
        });
        TokenGate { host, asked }
    }
}

fn pass(
    mut client: TcpStream,
    upstream: &str,
    here: &str,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut lines = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
        lines.push(line.trim().to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let first = lines.first().cloned().unwrap_or_default();
    let shown = lines.iter().find(|line| line.to_lowercase().starts_with("authorization:"));
    let shown = shown.map(|line| line[14..].trim().to_owned()).unwrap_or_default();
    if first.contains(" /token") {
        let body = String::from_utf8_lossy(&body).into_owned();
        let wrong = shown == "Basic d3Jvbmc6d3Jvbmc=";
        heard.lock().unwrap().push(format!("{first} | {shown} | {body}"));
        let (status, body) = match wrong {
            true => ("401 Unauthorized", r#"{"details":"incorrect username or password"}"#),
            false => ("200 OK", r#"{"access_token":"a-token","expires_in":60}"#),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        return client.write_all(answer.as_bytes());
    }
    if shown != "Bearer a-token" {
        let path = first.split(' ').nth(1).unwrap_or_default();
        let repository: Vec<&str> = path.trim_start_matches("/v2/").split('/').collect();
        let repository = repository[..repository.len().saturating_sub(2)].join("/");
        let challenge = format!(
            r#"Bearer realm="http://{here}/token",service="the tests",scope="repository:{repository}:pull""#
        );
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return client.write_all(answer.as_bytes());
    }
    let mut server = TcpStream::connect(upstream)?;
    let kept = lines.iter().filter(|line| {
        let lower = line.to_lowercase();
        !lower.starts_with("authorization:") && !lower.starts_with("connection:")
    });
    for line in kept {
        server.write_all(format!("{line}\r\n").as_bytes())?;
    }
    server.write_all(
        format!("Authorization: Basic {LOGIN}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)
}
