//! Cuts a stream of bytes into lines, in bounded memory.
//!
//! Knows nothing of where the bytes come from.

/// No line is kept beyond this many bytes; what is beyond is counted and dropped.
pub const LONGEST: usize = 1 << 20;

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
    dropped: usize,
}

impl Lines {
    /// Takes the next bytes and hands over every line that they finish, without its line end.
    ///
    /// Bytes that are not UTF-8 are shown as U+FFFD: a log may hold anything.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            self.flush(&mut line);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Hands over what is left when the stream has ended without a line end.
    pub fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            self.flush(&mut line);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST - self.pending.len();
        let kept = bytes.len().min(room);
        self.pending.extend_from_slice(&bytes[..kept]);
        self.dropped += bytes.len() - kept;
    }

    fn flush(&mut self, line: &mut impl FnMut(&str)) {
        if self.dropped == 0 && self.pending.last() == Some(&b'\r') {
            self.pending.pop();
        }
        let text = String::from_utf8_lossy(&self.pending);
        match self.dropped {
            0 => line(&text),
            dropped => line(&format!("{text} [{dropped} more bytes cut]")),
        }
        // One very long line must not hold its memory for the rest of the run.
        if self.pending.capacity() > LONGEST / 8 {
            self.pending = Vec::new();
        }
        self.pending.clear();
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line.to_owned()));
        }
        lines.finish(|line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_put_together_from_any_pieces() {
        assert_eq!(cut(&[b"one\ntw", b"o\r\n", b"\nend"]), ["one", "two", "", "end"]);
        assert_eq!(cut(&[b"ends\n"]), ["ends"]);
        assert_eq!(cut(&[]), [""; 0]);
    }

    #[test]
    fn a_character_split_between_two_pieces_is_whole_and_rubbish_is_marked() {
        assert_eq!(cut(&["é".as_bytes().split_at(1).0, "é".as_bytes().split_at(1).1]), ["é"]);
        assert_eq!(cut(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1 << 16];
        for _ in 0..64 {
            lines.push(&piece, |_| panic!("no line has ended yet"));
        }
        assert_eq!(lines.pending.len(), LONGEST);
        let mut found = Vec::new();
        lines.push(b"\nnext\n", |line| found.push(line.to_owned()));
        assert_eq!(found.len(), 2);
        assert!(found[0].ends_with("x [3145728 more bytes cut]"), "{}", &found[0][LONGEST..]);
        assert_eq!(found[1], "next");
        assert!(lines.pending.capacity() < LONGEST);
    }
}
