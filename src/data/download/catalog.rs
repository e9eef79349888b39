//! What can be fetched of a data set: its files, published checksums, and where they lie.

/// A data set that is published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The name in a spec's `data.kind`.
    pub name: String,
    /// What has to be fetched.
    pub parts: Vec<Part>,
}

/// A piece of a data set. Any one of its forms is enough; they are tried in order.
#[derive(Clone, Debug)]
pub struct Part {
    pub forms: Vec<Archive>,
}

/// A file as it is published.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The file's name.
    pub name: String,
    /// MD5 of the file.
    pub md5: String,
    /// Bytes of the file; what is much longer is not this file.
    pub bytes: u64,
    /// What is in it, and what is left of it.
    pub content: Content,
    /// Where to fetch it, in this order.
    pub urls: Vec<String>,
}

/// What an archive holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// One file, which stays as it is.
    Plain,
    /// One gzipped file, which stays gzipped. A copy that was compressed anew is known by its content.
    Gzip {
        /// MD5 of the content.
        md5: String,
        /// Bytes of the content.
        bytes: u64,
    },
    /// A gzipped tar archive, of which these files are unpacked into `folder`.
    TarGz {
        /// The folder inside the archive, and under the data's own.
        folder: String,
        /// Names in that folder, and bytes.
        members: Vec<(String, u64)>,
    },
}

impl Archive {
    /// A file that is fetched from each mirror by its name.
    pub fn new(
        name: &str,
        md5: &str,
        bytes: u64,
        content: Content,
        mirrors: &[impl AsRef<str>],
    ) -> Self {
        Self {
            urls: urls(mirrors, name),
            name: name.to_owned(),
            md5: md5.to_owned(),
            bytes,
            content,
        }
    }
}

impl Published {
    /// The same set from one place alone: every file is fetched from `base` and its name.
    pub fn from_mirrors(mut self, bases: &[String]) -> Self {
        for form in self.parts.iter_mut().flat_map(|part| &mut part.forms) {
            form.urls = urls(bases, &form.name);
        }
        self
    }
}

fn urls(bases: &[impl AsRef<str>], name: &str) -> Vec<String> {
    bases
        .iter()
        .map(|base| format!("{}/{name}", base.as_ref().trim_end_matches('/')))
        .collect()
}
