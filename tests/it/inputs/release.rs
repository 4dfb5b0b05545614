//! Inputs that are assets of a release: found by name or pattern, with the digests that it tells.
//!
//! GitHub cannot be had in a test: a server of the test's own speaks as much of its API as is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::project::{Project, cities};

/// The assets of one release, by name.
type Assets = Arc<Mutex<Vec<(String, String)>>>;

struct GitHub {
    address: String,
    assets: Assets,
    asked: Arc<Mutex<Vec<String>>>,
}

impl GitHub {
    fn new(assets: &[(&str, &str)]) -> GitHub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let assets: Assets = Arc::new(Mutex::new(assets.iter().map(owned).collect()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let github = GitHub { address: address.clone(), assets: Arc::clone(&assets), asked };
        let log = Arc::clone(&github.asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that goes away is no failure of the test.
                let _gone = serve(client, &address, &assets, &log);
            }
        });
        github
    }

    fn project(&self, source: &str) -> Project {
        let project = cities().env("GITHUB_API_URL", &self.address);
        for city in ["A", "B"] {
            std::fs::remove_file(project.path(&format!("data/{city}.txt"))).unwrap();
        }
        let path = "path = \"data/{city}.txt\"";
        project.change(path, &format!("{path}\nsource = \"{source}\""));
        project
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(
    mut client: TcpStream,
    address: &str,
    assets: &Assets,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(path.clone());
    let assets = assets.lock().unwrap().clone();
    let releases = "/repos/CIPHER-Epi/jheem-simulations/releases";
    let body = if path == format!("{releases}/tags/v1.0.0") {
        json!({ "id": 7 }).to_string()
    } else if let Some(page) = path.strip_prefix(&format!("{releases}/7/assets?per_page=100&page="))
    {
        let page: usize = page.parse().unwrap();
        let all = assets.iter().enumerate().map(|(id, (name, text))| {
            let hex: String =
                Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
            json!({
                "id": id * 1000 + text.len(), "name": name, "size": text.len(), "digest": format!("sha256:{hex}"),
                "url": format!("{address}/api/{name}"), "browser_download_url": format!("{address}/download/{name}"),
            })
        });
        json!(all.skip((page - 1) * 100).take(100).collect::<Vec<_>>()).to_string()
    } else if let Some(name) = path.strip_prefix("/download/") {
        assets.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone()).unwrap()
    } else {
        return client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\nConnection: close\r\n\r\n{\"message\": \"Not Found\"}");
    };
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

const RELEASE: &str = "github://CIPHER-Epi/jheem-simulations@v1.0.0";

#[test]
fn a_release_tells_digests_so_that_nothing_is_read_to_pin_it() {
    // More than one page of assets, as the real releases have.
    let mut assets: Vec<(String, String)> =
        (0..150).map(|n| (format!("other_{n}.Rdata"), n.to_string())).collect();
    assets.push(("rw_final_A_noint.Rdata".into(), "1\n".into()));
    assets.push(("rw_final_B_noint.Rdata".into(), "2\n".into()));
    let borrowed: Vec<(&str, &str)> =
        assets.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let github = GitHub::new(&borrowed);
    let project = github.project(&format!("{RELEASE}/*_{{city}}_noint.Rdata"));
    project.jheem("update").success().says("new github://");
    let asked = github.asked();
    assert_eq!(asked.len(), 3, "the release and two pages, asked once: {asked:?}");
    assert!(project.read("Jheem.lock").contains("asset = \"rw_final_A_noint.Rdata\""));
    project.build("").success().targets("built=6");
    let read: Vec<String> =
        github.asked().into_iter().filter(|path| path.starts_with("/download/")).collect();
    assert_eq!(read.len(), 2);
    github.assets.lock().unwrap()[150].1 = "10\n".into();
    project.jheem("plan --remote").code(1).says("it was replaced");
    project.jheem("update").success().says("changed github://");
    project.build("").success().targets("built=3 fresh=3");
}

#[test]
fn a_pattern_that_stands_for_none_or_several_lists_what_there_is() {
    let github =
        GitHub::new(&[("A_base.Rdata", "1"), ("A_base.end.Rdata", "2"), ("B_base.Rdata", "3")]);
    let project = github.project(&format!("{RELEASE}/{{city}}_base*"));
    let ran = project.jheem("update").code(2);
    ran.says("stands for 2 assets").says("`A_base.Rdata`, `A_base.end.Rdata`");
    assert!(project.read("Jheem.lock").contains("B_base*"), "what is right is pinned");
    project.change("{city}_base*", "{city}_bas.Rdata");
    let ran = project.jheem("update").code(2);
    ran.says("no asset of the release `v1.0.0`").says("did you mean `A_base.Rdata`?");
    project.change("@v1.0.0", "@v9");
    project.jheem("update").code(3).says("the release `v9`").says("does not exist");
}

#[test]
fn assets_are_called_otherwise_than_files_by_a_map() {
    let github = GitHub::new(&[("state_AL_noint.Rdata", "1\n"), ("state_GA_noint.Rdata", "2\n")]);
    let project = github.project(&format!("{RELEASE}/state_{{city.state}}_noint.Rdata"));
    project.change(
        "values = [\"A\", \"B\"]",
        "values = [\"A\", \"B\"]\nlabel.state = { A = \"AL\", B = \"GA\" }",
    );
    project.jheem("update").success();
    project.build("").success().targets("built=6");
    assert!(project.read("plots/B/x.json").contains("\"value\": \"2\""));
}
