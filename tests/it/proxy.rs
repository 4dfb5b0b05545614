//! A proxy before a server: it counts what is asked, and answers amiss where a test wants it to.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is done to a request instead of passing it on.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answered with this status and body.
    Answer(u16, &'static str),
    /// The connection is cut before any answer; the request was not passed on.
    Cut,
    /// The request is passed on, and the answer cut off after so many bytes.
    CutAnswer(usize),
    /// The request is neither passed on nor answered, for as long as whoever asked waits.
    Silence,
}

/// A fault for the next so many requests whose first line or headers hold a text.
struct Planned {
    holds: &'static str,
    times: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    /// The first lines of requests, such as `PUT /bucket/key?x-id=PutObject`; with the operation of DynamoDB.
    asked: Vec<String>,
    /// The ranges that were asked for.
    ranges: Vec<String>,
    planned: Vec<Planned>,
}

/// Stands before a server for as long as the test goes on.
pub struct Proxy {
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub fn before(endpoint: &str) -> Proxy {
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, state) = (upstream.clone(), Arc::clone(&shared));
                // A client that goes away is no failure of the test.
                std::thread::spawn(move || serve(client, &upstream, &state).ok());
            }
        });
        Proxy { address, state }
    }

    /// The next requests that hold this text are answered so.
    pub fn fail(&self, holds: &'static str, times: usize, fault: Fault) {
        self.state.lock().unwrap().planned.push(Planned { holds, times, fault });
    }

    /// Waits until something was asked that holds this text.
    pub fn wait_for(&self, holds: &str) {
        while !self.state.lock().unwrap().asked.iter().any(|asked| asked.contains(holds)) {
            std::thread::yield_now();
        }
    }

    /// Nothing is answered amiss any more.
    pub fn mend(&self) {
        self.state.lock().unwrap().planned.clear();
    }

    /// The ranges that were asked for since this was called last.
    pub fn ranges(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().ranges)
    }

    /// What was asked since this was called last.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

/// Answers one request and closes, so that one connection is one request.
fn serve(mut client: TcpStream, upstream: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 64 * 1024];
    let head = loop {
        if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let header = |name: &str| {
        let line =
            text.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    if header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while request.len() < head + length {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let first = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
    let operation = header("x-amz-target").unwrap_or_default();
    let fault = {
        let mut state = state.lock().unwrap();
        state.ranges.extend(header("range"));
        state.asked.push(format!("{first} {operation}").trim_end().to_owned());
        let planned = state.planned.iter_mut().find(|p| p.times > 0 && text.contains(p.holds));
        planned.map(|planned| {
            planned.times -= 1;
            planned.fault.clone()
        })
    };
    match fault {
        Some(Fault::Cut) => return client.shutdown(Shutdown::Both),
        Some(Fault::Answer(status, body)) => {
            let kind =
                if operation.is_empty() { "application/xml" } else { "application/x-amz-json-1.0" };
            let body = if first.starts_with("HEAD") { "" } else { body };
            return client.write_all(
                format!("HTTP/1.1 {status} Amiss\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).as_bytes(),
            );
        }
        Some(Fault::Silence) => {
            // It ends when the other side does.
            client.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        Some(Fault::CutAnswer(_)) | None => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(&request[..head - 2])?;
    server.write_all(b"Connection: close\r\n\r\n")?;
    server.write_all(&request[head..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if let Some(Fault::CutAnswer(after)) = fault {
        answer.truncate(after);
    }
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}
