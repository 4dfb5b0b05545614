//! Images at registries: what names stand for, asked of a real registry with a login.
//!
//! `scripts/test` installs one; without it these tests are skipped, and say so.

mod images;
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jheem::aws::Aws;
use jheem::error::Error;
use jheem::registry::logins::Logins;
use jheem::registry::{Pinned, Registries, Resolved};
use serde_json::json;

use super::proxy::{Fault, Proxy};
use server::{INDEX, OLD_INDEX, PASSWORD, Server, TokenGate};

fn registries(config: &Path) -> Registries {
    Registries::new(Aws::new(), Logins::of_file(config))
}

fn pinned(image: &[String; 2]) -> Pinned {
    let [manifest, config] = image;
    Pinned { manifest: manifest.parse().unwrap(), config: config.parse().unwrap() }
}

fn platforms(resolved: &Resolved) -> Vec<(&str, Pinned)> {
    resolved.platforms.iter().map(|(platform, pinned)| (platform.as_str(), *pinned)).collect()
}

/// The error as it is shown, which holds no secret.
#[track_caller]
fn told(error: &Error) -> String {
    let shown = error.render(false);
    for secret in [PASSWORD, server::LOGIN, "a-token", "the-identity"] {
        assert!(!shown.contains(secret), "a secret is said aloud: {shown}");
    }
    assert!(!error.hints.is_empty(), "what to do is not said: {shown}");
    shown
}

#[test]
fn a_tag_is_resolved_to_the_digests_of_its_image_and_nothing_is_pulled() {
    let Some(server) = Server::start() else { return };
    let image = server.image("me/model", "1.0", "linux/amd64", json!({}));
    let proxy = Proxy::before(&format!("http://{}", server.host));
    let host = proxy.address.trim_start_matches("http://");
    let registries = registries(&server.log_in(host));
    let name = format!("{host}/me/model:1.0");
    let resolved = registries.resolve(&[&name], Some("linux/amd64")).unwrap();
    assert_eq!(platforms(&resolved), [("linux/amd64", pinned(&image))]);
    assert_eq!((resolved.tag.to_string(), resolved.name), (image[0].clone(), name.clone()));
    assert_eq!(registries.tag(&name).unwrap().to_string(), image[0]);
    let by_digest = format!("{host}/me/model@{}", image[0]);
    let resolved = registries.resolve(&[&by_digest], None).unwrap();
    assert_eq!(platforms(&resolved), [("linux/amd64", pinned(&image))]);
    let asked = proxy.asked();
    assert!(asked.iter().any(|line| line.starts_with("HEAD ")), "{asked:?}");
    let blobs: Vec<&String> = asked.iter().filter(|line| line.contains("/blobs/")).collect();
    assert!(
        blobs.iter().all(|line| line.contains(&image[1])),
        "only configurations are read: {blobs:?}"
    );
}

#[test]
fn an_index_gives_the_image_of_each_platform() {
    let Some(server) = Server::start() else { return };
    let registries = registries(&server.log_in(&server.host));
    let amd = server.image("me/model", "", "linux/amd64", json!({}));
    let arm = server.image("me/model", "", "linux/arm64/v8", json!({ "User": "1" }));
    let v6 = server.image("me/model", "", "linux/arm/v6", json!({}));
    let of = [
        ("linux/amd64", amd[0].as_str()),
        ("linux/arm64/v8", arm[0].as_str()),
        ("linux/arm/v6", v6[0].as_str()),
    ];
    let index = server.index("me/model", "both", INDEX, &of);
    let name = format!("{}/me/model:both", server.host);
    for (asked, image) in [("linux/amd64", &amd), ("linux/arm64", &arm), ("linux/arm/v6", &v6)] {
        let resolved = registries.resolve(&[&name], Some(asked)).unwrap();
        assert_eq!(platforms(&resolved), [(asked, pinned(image))]);
        assert_eq!(resolved.tag.to_string(), index);
    }
    let all = registries.resolve(&[&name], None).unwrap();
    let expected = [
        ("linux/amd64", pinned(&amd)),
        ("linux/arm/v6", pinned(&v6)),
        ("linux/arm64", pinned(&arm)),
    ];
    assert_eq!(platforms(&all), expected);

    let error = registries.resolve(&[&name], Some("linux/s390x")).unwrap_err();
    let shown = told(&error);
    assert!(shown.contains("is not made for `linux/s390x`"), "{shown}");
    assert!(shown.contains("made for `linux/amd64`, `linux/arm64`, `linux/arm/v6`"), "{shown}");
    server.image("me/model", "one", "linux/arm64", json!({}));
    let one = format!("{}/me/model:one", server.host);
    let shown = told(&registries.resolve(&[&one], Some("linux/amd64")).unwrap_err());
    assert!(shown.contains("it is made for `linux/arm64`"), "{shown}");
}

#[test]
fn the_index_of_docker_means_the_same_as_that_of_oci() {
    let Some(server) = Server::start() else { return };
    let registries = registries(&server.log_in(&server.host));
    let amd = server.image("model", "", "linux/amd64", json!({}));
    server.index("model", "old", OLD_INDEX, &[("linux/amd64", &amd[0])]);
    let name = format!("{}/model:old", server.host);
    let resolved = registries.resolve(&[&name], Some("linux/amd64")).unwrap();
    assert_eq!(platforms(&resolved), [("linux/amd64", pinned(&amd))]);
}

#[test]
fn what_is_baked_into_an_image_is_read_without_it() {
    let Some(server) = Server::start() else { return };
    let registries = registries(&server.log_in(&server.host));
    let baked = json!({
        "Env": ["PATH=/bin", "MODEL_ID=ryan-white-msa", "SIMSET_RELEASE=ryan-white-msa-v1.0.0"],
        "Labels": { "org.opencontainers.image.revision": "abc" },
    });
    let [_, config] = server.image("model", "1", "linux/amd64", baked);
    let name = format!("{}/model:1", server.host);
    let config = registries.config(&[&name], config.parse().unwrap()).unwrap();
    assert_eq!(config.env["SIMSET_RELEASE"], "ryan-white-msa-v1.0.0");
    assert_eq!(config.labels["org.opencontainers.image.revision"], "abc");
}

#[test]
fn a_name_that_is_not_there_is_told_with_what_there_is() {
    let Some(server) = Server::start() else { return };
    let registries = registries(&server.log_in(&server.host));
    for tag in ["1.0.0", "1.1.0", "latest"] {
        server.image("me/model", tag, "linux/amd64", json!({}));
    }
    let ask = |name: &str| {
        let name = format!("{}/{name}", server.host);
        told(&registries.resolve(&[&name], None).unwrap_err())
    };
    let shown = ask("me/model:1.0.1");
    assert!(shown.contains(&format!("there is no `{}/me/model:1.0.1`", server.host)), "{shown}");
    assert!(shown.contains("did you mean `1.0.0`?"), "{shown}");
    let shown = ask("me/model:development");
    assert!(shown.contains("it has `latest`, `1.1.0`, `1.0.0`"), "{shown}");
    let shown = ask("me/modle:1.0.0");
    assert!(shown.contains("has no repository `me/modle`"), "{shown}");
    let shown = ask(&format!("me/model@sha256:{}", "ab".repeat(32)));
    assert!(shown.contains("run `jheem update` to pin what the tag names now"), "{shown}");
}

#[test]
fn a_digest_that_the_registry_no_longer_has_is_noticed() {
    let Some(server) = Server::start() else { return };
    let registries = registries(&server.log_in(&server.host));
    let [manifest, _] = server.image("model", "1", "linux/amd64", json!({}));
    let name = format!("{}/model:1", server.host);
    let digest = manifest.parse().unwrap();
    assert!(registries.has(&name, digest).unwrap());
    server.delete("model", &manifest);
    assert!(!registries.has(&name, digest).unwrap());
}

#[test]
fn who_is_not_logged_in_is_told_how_to_log_in() {
    let Some(server) = Server::start() else { return };
    server.image("model", "1", "linux/amd64", json!({}));
    let name = format!("{}/model:1", server.host);
    let nobody = registries(&server.folder.path().join("none.json"));
    let shown = told(&nobody.resolve(&[&name], None).unwrap_err());
    assert!(shown.contains(&format!("run `docker login {}`: nobody", server.host)), "{shown}");
    let file = server.folder.path().join("wrong.json");
    let login = json!({ "auths": { &server.host: { "username": "me", "password": "wrong" } } });
    fs::write(&file, login.to_string()).unwrap();
    let shown = told(&registries(&file).resolve(&[&name], None).unwrap_err());
    assert!(shown.contains(&format!("run `docker login {}` again", server.host)), "{shown}");
}

#[test]
fn a_login_may_be_kept_by_a_helper() {
    let Some(server) = Server::start() else { return };
    let image = server.image("model", "1", "linux/amd64", json!({}));
    let name = format!("{}/model:1", server.host);
    let helper = server.folder.path().join("docker-credential-kept");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = {} ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
         echo '{{\"ServerURL\": \"x\", \"Username\": \"me\", \"Secret\": \"{PASSWORD}\"}}'\n",
        server.host
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let file = server.folder.path().join("helpers.json");
    for config in
        [json!({ "credsStore": "kept" }), json!({ "credHelpers": { &server.host: "kept" } })]
    {
        fs::write(&file, config.to_string()).unwrap();
        let logins = Logins::of_file(&file).looking_in(server.folder.path());
        let resolved = Registries::new(Aws::new(), logins).resolve(&[&name], None).unwrap();
        assert_eq!(platforms(&resolved), [("linux/amd64", pinned(&image))]);
    }
    fs::write(&file, json!({ "credsStore": "gone" }).to_string()).unwrap();
    let shown = told(&registries(&file).resolve(&[&name], None).unwrap_err());
    assert!(shown.contains("`docker-credential-gone` did not give the login"), "{shown}");
}

#[test]
fn a_registry_with_tokens_is_asked_with_a_token_for_each_repository() {
    let Some(server) = Server::start() else { return };
    let image = server.image("me/model", "1", "linux/amd64", json!({}));
    let gate = TokenGate::before(&server);
    let name = format!("{}/me/model:1", gate.host);
    let asked = || std::mem::take(&mut *gate.asked.lock().unwrap());
    let query = "service=the%20tests&scope=repository%3Ame%2Fmodel%3Apull";

    let nobody = registries(&server.folder.path().join("none.json"));
    let resolved = nobody.resolve(&[&name], None).unwrap();
    assert_eq!(platforms(&resolved), [("linux/amd64", pinned(&image))]);
    assert_eq!(asked(), [format!("GET /token?{query} HTTP/1.1 |  | ")], "one token serves all");

    registries(&server.log_in(&gate.host)).resolve(&[&name], None).unwrap();
    assert_eq!(asked(), [format!("GET /token?{query} HTTP/1.1 | Basic {} | ", server::LOGIN)]);

    let file = server.folder.path().join("identity.json");
    let login = json!({ "auths": { &gate.host: { "identitytoken": "the-identity" } } });
    fs::write(&file, login.to_string()).unwrap();
    registries(&file).resolve(&[&name], None).unwrap();
    let form =
        format!("grant_type=refresh_token&client_id=jheem&refresh_token=the-identity&{query}");
    assert_eq!(asked(), [format!("POST /token HTTP/1.1 |  | {form}")]);

    let login = json!({ "auths": { &gate.host: { "username": "wrong", "password": "wrong" } } });
    fs::write(&file, login.to_string()).unwrap();
    let shown = told(&registries(&file).resolve(&[&name], None).unwrap_err());
    assert!(shown.contains("says: incorrect username or password"), "{shown}");
}

#[test]
fn a_registry_of_amazon_takes_the_token_of_the_account() {
    let Ok(endpoint) = std::env::var("JHEEM_TEST_AWS") else {
        println!("skipped: no AWS servers");
        return;
    };
    let Some(server) = Server::start() else { return };
    let image = server.image("jheem-ryan-white-model", "latest", "linux/amd64", json!({}));
    let port = server.host.rsplit(':').next().unwrap();
    let name =
        format!("849611540600.dkr.ecr.us-east-1.localhost:{port}/jheem-ryan-white-model:latest");
    // Credentials come from the environment, so the binary is asked.
    let project = super::project::Project::new().jheemfile(&format!(
        "[project]\nname = \"x\"\n[runner.model]\nimage = \"{name}\"\nplatform = \"linux/amd64\"\ndirs = {{ \"/out\" = \"out\" }}\n\
         [plot.p]\nrunner = \"model\"\ncommand = []\n[plot.p.output.o]\npath = \"out/p.json\"\n"
    ));
    let project = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests"),
        ("AWS_REGION", "eu-west-1"),
        ("DOCKER_CONFIG", "/nonexistent"),
    ]
    .iter()
    .fold(project, |project, (name, value)| project.env(name, value));
    project.jheem("update").success().says(&image[1]);
}

#[test]
fn mirrors_are_asked_in_their_order() {
    let (Some(first), Some(second)) = (Server::start(), Server::start()) else { return };
    let image = second.image("mirror/model", "1", "linux/amd64", json!({}));
    let file = first.folder.path().join("config.json");
    let auth = json!({ "auth": server::LOGIN });
    let login = json!({ "auths": { &first.host: auth, &second.host: auth } });
    fs::write(&file, login.to_string()).unwrap();
    let registries = registries(&file);
    let name = format!("{}/model:1", first.host);
    let mirror = format!("{}/mirror/model:1", second.host);
    let resolved = registries.resolve(&[&name, &mirror], None).unwrap();
    assert_eq!(
        (resolved.name.as_str(), platforms(&resolved)),
        (mirror.as_str(), vec![("linux/amd64", pinned(&image))])
    );
    assert_eq!(resolved.passed_over.len(), 1);

    let other = first.image("model", "1", "linux/amd64", json!({ "User": "2" }));
    let resolved = registries.resolve(&[&name, &mirror], None).unwrap();
    assert_eq!(
        (resolved.name.as_str(), platforms(&resolved)),
        (name.as_str(), vec![("linux/amd64", pinned(&other))])
    );
    drop((first, second));
    let nowhere = "nosuchhost.invalid/model:1";
    let shown = told(&registries.resolve(&[&name, &mirror, nowhere], None).unwrap_err());
    assert!(shown.contains(&format!("neither `{name}` nor a mirror of it can be had")), "{shown}");
}

#[test]
fn what_a_registry_refuses_or_garbles_is_told() {
    let Some(server) = Server::start() else { return };
    let [manifest, _] = server.image("model", "1", "linux/amd64", json!({}));
    let proxy = Proxy::before(&format!("http://{}", server.host));
    let host = proxy.address.trim_start_matches("http://");
    let registries = registries(&server.log_in(host));
    let name = format!("{host}/model:1");
    let other = "nosuchhost.invalid/model:1";
    let limit = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
    proxy.fail("/manifests/1", 99, Fault::Answer(429, limit));
    // With a mirror behind it nobody waits for it.
    let shown = told(&registries.resolve(&[&name, other], None).unwrap_err());
    assert!(shown.contains(&format!("`{host}` limits requests")), "{shown}");
    assert!(shown.contains("You have reached your pull rate limit."), "{shown}");
    let by_digest = format!("{host}/model@{manifest}");
    proxy.fail(
        &*Box::leak(format!("/manifests/{manifest}").into_boxed_str()),
        1,
        Fault::Answer(200, "{}"),
    );
    let shown = told(&registries.resolve(&[&by_digest], None).unwrap_err());
    assert!(shown.contains("is damaged"), "{shown}");
    let shown = told(&registries.resolve(&["nosuchhost.invalid/model:1"], None).unwrap_err());
    assert!(shown.contains("nosuchhost.invalid"), "{shown}");
}
