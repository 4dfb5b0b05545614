//! What a registry asks for before it answers: the header `WWW-Authenticate`, read.

/// How a registry wants to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// By name and password in every request.
    Basic,
    /// By a token that is had elsewhere.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// The first challenge of a header that is known here; tokens before passwords.
    pub fn parse(header: &str) -> Option<Challenge> {
        let mut basic = None;
        for (scheme, parameters) in schemes(header) {
            let parameter = |name: &str| {
                let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameter("realm")
            {
                let (service, scope) = (parameter("service"), parameter("scope"));
                return Some(Challenge::Bearer { realm, service, scope });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
        basic
    }
}

/// `Bearer realm="…",service="…", Basic realm="…"` in pieces.
fn schemes(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for piece in pieces(header) {
        let (name, value) = match piece.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
            None => (piece.trim(), None),
        };
        // `Bearer realm` begins a scheme, `service` goes on with it.
        let (scheme, key) = match name.split_once(' ') {
            Some((scheme, key)) => (Some(scheme), key.trim()),
            None if value.is_none() => (Some(name), ""),
            None => (None, name),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_owned(), Vec::new()));
        }
        if let (Some((_, parameters)), Some(value)) = (found.last_mut(), value) {
            parameters.push((key.to_owned(), value));
        }
    }
    found
}

/// A header cut at its commas, but for those in quotes.
fn pieces(header: &str) -> Vec<String> {
    let (mut pieces, mut piece, mut quoted, mut escaped) =
        (Vec::new(), String::new(), false, false);
    for c in header.chars() {
        match c {
            ',' if !quoted => pieces.push(std::mem::take(&mut piece)),
            _ => {
                quoted ^= c == '"' && !escaped;
                escaped = c == '\\' && quoted && !escaped;
                piece.push(c);
            }
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_say_in_many_ways_what_they_ask_for() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
            Some(Challenge::Bearer { realm: realm.to_owned(), service, scope })
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull,push""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/debian:pull,push"),
                ),
            ),
            (r#"bearer realm="https://a/t" , service=x"#, bearer("https://a/t", Some("x"), None)),
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            (r#"Basic realm="a, b", Bearer realm="https://a""#, bearer("https://a", None, None)),
            ("Basic", Some(Challenge::Basic)),
            (r#"Bearer service="x""#, None),
            (r#"Digest realm="x""#, None),
            (r#"Bearer realm="a\"b""#, bearer("a\"b", None, None)),
            ("", None),
            ("=,\"", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }
}
