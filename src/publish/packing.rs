//! Packing with gzip, the same on every machine: no name, no time, one level.
//!
//! Knows nothing of what is packed or of where it goes.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Half the time of the best level, and a hundredth larger.
const LEVEL: Compression = Compression::new(6);

/// Packs a file, into another if one is given; returns the digest and the size of the packed bytes.
pub fn pack(from: &Path, to: Option<&Path>) -> Result<(Digest, u64)> {
    let read = |error: io::Error| Error::io("read", from, &error);
    let mut source = BufReader::new(File::open(from).map_err(read)?);
    let (sink, whither): (Box<dyn Write>, &Path) = match to {
        Some(to) => {
            let file = File::create(to).map_err(|error| Error::io("write", to, &error))?;
            (Box::new(file), to)
        }
        None => (Box::new(io::sink()), from),
    };
    let sink = Measured { sink, hasher: blake3::Hasher::new(), size: 0 };
    let mut packer = GzBuilder::new().mtime(0).operating_system(255).write(sink, LEVEL);
    let packed = io::copy(&mut source, &mut packer).and_then(|_| packer.finish());
    let packed = packed.map_err(|error| Error::io("pack", whither, &error))?;
    Ok((Digest::blake3(packed.hasher.finalize()), packed.size))
}

/// Tells what went through.
struct Measured {
    sink: Box<dyn Write>,
    hasher: blake3::Hasher,
    size: u64,
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_packed_is_the_same_every_time_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("plot.json"), folder.path().join("packed"));
        let text = "{\"data\": [1, 2, 3]}\n".repeat(1000);
        std::fs::write(&from, &text).unwrap();
        let packed = pack(&from, Some(&to)).unwrap();
        assert_eq!(pack(&from, None).unwrap(), packed);
        let bytes = std::fs::read(&to).unwrap();
        assert_eq!(packed, (Digest::of(&bytes), bytes.len() as u64));
        // RFC 1952: no name, no time, no system.
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, bytes[8], 255]);
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, text);
    }
}
