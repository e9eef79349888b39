//! Whether a file is the one that was published.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::catalog::{Archive, Content};
use crate::{Error, Result};

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The published file, or one with the same content that was compressed anew.
    Archive,
    /// The content of the published file, unpacked.
    Content,
    /// Another file, with this MD5.
    Other(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive => f.write_str("the published file"),
            Self::Content => f.write_str("the published file's content, unpacked"),
            Self::Other(md5) => write!(f, "MD5 {md5}"),
        }
    }
}

/// Compares a file with the archive's checksums.
pub(super) fn verify(path: &Path, archive: &Archive) -> Result<Verdict> {
    let found = of_file(path)?;
    if found == archive.md5 {
        return Ok(Verdict::Archive);
    }
    let Content::Gzip { md5, bytes } = &archive.content else {
        return Ok(Verdict::Other(found));
    };
    if found == *md5 {
        return Ok(Verdict::Content);
    }
    let file = File::open(path).map_err(Error::io("open", path))?;
    // Never more is unpacked than the content has; what cannot be unpacked is another file.
    let content = MultiGzDecoder::new(BufReader::new(file)).take(bytes + 1);
    match of_reader(content) {
        Ok(inside) if inside == *md5 => Ok(Verdict::Archive),
        _ => Ok(Verdict::Other(found)),
    }
}

fn of_file(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    of_reader(file).map_err(Error::io("read", path))
}

fn of_reader(mut reader: impl Read) -> std::io::Result<String> {
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        // RFC 1321, appendix A.5.
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ] {
            assert_eq!(of_reader(text.as_bytes()).unwrap(), expected);
        }
    }
}
