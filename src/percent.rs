//! Paths in URLs: one encoding for all who need one. Knows nothing of what the paths lead to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// All but what RFC 3986 calls unreserved, and the slashes between parts.
const PATH: AsciiSet =
    NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A path, a key or a part of one as it stands in a URL.
pub fn path(plain: impl AsRef<[u8]>) -> String {
    percent_encode(plain.as_ref(), &PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_encoded_and_slashes_stay() {
        assert_eq!(path("C.1_2-3~/age+sex a=50%.json"), "C.1_2-3~/age%2Bsex%20a%3D50%25.json");
        assert_eq!(path("São/é*?#"), "S%C3%A3o/%C3%A9%2A%3F%23");
        assert_eq!(path([0xff, b'a']), "%FFa");
    }
}
