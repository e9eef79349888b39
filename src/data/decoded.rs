//! The decoded images of a split, in a file: what one process has decoded, all others map into their memory, which
//! they then share.
//!
//! The file's name is a hash of all that its pixels follow from, so that a file that is there is never out of date. Its
//! last bytes are a checksum: of a damaged one the images are decoded again, as of one that is missing.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rayon::prelude::*;

use super::image_files::ImageFiles;
use crate::{Error, Result, atomic};

/// Says how files become pixels. To be raised when one decodes to others than before, or a new program would go on with what
/// an older one decoded.
const DECODING: u32 = 1;

/// Bytes of pixels below which decoding takes less time than looking after a file.
const LEAST: usize = 8 << 20;

/// Images that were written to so shortly before they are decoded may be others than those whose content was looked at: their pixels
/// are not kept.
const SETTLED: Duration = Duration::from_secs(10);

/// Ends the name of a file of pixels.
const ENDING: &str = "pixels";

/// Where decoded images are kept, and the content of the files that they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    folder: PathBuf,
    content: String,
}

impl Decoded {
    /// Images are kept in `folder`; `content` is a hash of the names and contents of all files of the split.
    pub fn new(folder: PathBuf, content: &str) -> Self {
        Self {
            folder,
            content: content.to_owned(),
        }
    }

    /// The pixels of all images, decoded only where no process has done so before. `dir`: the folder of the set.
    ///
    /// # Errors
    /// The first image that cannot be decoded. A file of pixels that cannot be written costs time and nothing else.
    pub(super) fn pixels(&self, images: &ImageFiles, dir: &Path) -> Result<Bytes> {
        let Some(values) = images.values().filter(|values| *values >= LEAST) else {
            return Ok(images.decode_all()?.into());
        };
        let path = self.path(images, dir);
        if let Some(pixels) = mapped(&path, values) {
            return Ok(pixels);
        }
        // Where there are no locks, two processes may decode the same images, each to the same file.
        let _one_at_a_time = self.lock();
        if let Some(pixels) = mapped(&path, values) {
            return Ok(pixels);
        }
        let began = SystemTime::now();
        let pixels = images.decode_all()?;
        if !are_settled(&images.paths, began) {
            return Ok(pixels.into());
        }
        match write(&path, &pixels) {
            Ok(()) => tracing::info!(
                "{}: {} images are decoded, and lie in {} from now on",
                dir.display(),
                images.paths.len(),
                path.display()
            ),
            Err(error) => tracing::debug!("decoded images are not kept: {error}"),
        }
        Ok(mapped(&path, values).unwrap_or_else(|| pixels.into()))
    }

    fn path(&self, images: &ImageFiles, dir: &Path) -> PathBuf {
        let mut key = blake3::Hasher::new();
        key.update(&DECODING.to_le_bytes());
        key.update(self.content.as_bytes());
        for number in images.shape.into_iter().chain(images.resize) {
            key.update(&(number as u64).to_le_bytes());
        }
        for path in &images.paths {
            let name = path.strip_prefix(dir).unwrap_or(path);
            key.update(&[0]).update(name.as_os_str().as_encoded_bytes());
        }
        let key = key.finalize().to_hex();
        self.folder.join(format!("{}.{ENDING}", &key[..16]))
    }

    fn lock(&self) -> Option<File> {
        fs::create_dir_all(&self.folder).ok()?;
        let mut open = OpenOptions::new();
        let file = open.write(true).create(true).truncate(false);
        let file = file.open(self.folder.join(".lock")).ok()?;
        file.lock().ok()?;
        Some(file)
    }
}

/// The files of pixels in a folder of them, and what they take.
///
/// # Errors
/// A folder that cannot be read; one that is not there has none.
pub fn decoded_files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let entries = Error::if_there("read", folder, fs::read_dir(folder))?;
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten() {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            let about = fs::metadata(&path).map_err(Error::io("read", &path))?;
            found.push((path, about.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether no file was written to since shortly before `began`.
fn are_settled(paths: &[PathBuf], began: SystemTime) -> bool {
    paths.par_iter().all(|path| {
        let modified = fs::metadata(path).and_then(|about| about.modified());
        let before = modified.map(|modified| began.duration_since(modified));
        before.is_ok_and(|before| before.is_ok_and(|before| before > SETTLED))
    })
}

fn write(path: &Path, pixels: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        atomic::clean_abandoned(folder)?;
    }
    atomic::replace(path, |temporary| {
        File::create(temporary)
            .and_then(|mut file| {
                file.write_all(pixels)?;
                file.write_all(checksum(pixels).as_bytes())
            })
            .map_err(Error::io("write", path))
    })
}

/// The pixels in the file, if it has so many and is whole.
fn mapped(path: &Path, values: usize) -> Option<Bytes> {
    let file = File::open(path).ok()?;
    // SAFETY: no process of this program writes to such a file once it bears this name.
    let map = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    let whole = map.len() == values.checked_add(blake3::OUT_LEN)?
        && map[values..] == *checksum(&map[..values]).as_bytes();
    whole.then(|| Bytes::from_owner(map).slice(..values))
}

fn checksum(pixels: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update_rayon(pixels).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of noise that decode to just enough pixels, in a folder; a place for these; and what has been kept there.
    struct Case {
        folder: tempfile::TempDir,
    }

    /// Has a file look as if it were written an hour ago.
    fn age(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (file, factor) in [("1.png", 3), ("2.png", 5), ("3.png", 7)] {
                let noise = |x: u32, y: u32| image::Luma([(x * factor + y * y) as u8]);
                let path = folder.path().join(file);
                image::GrayImage::from_fn(2048, 2048, noise)
                    .save(&path)
                    .unwrap();
                age(&path);
            }
            Self { folder }
        }

        fn pixels(&self, content: &str, names: &[&str]) -> Result<Bytes> {
            let dir = self.folder.path();
            let images = ImageFiles {
                paths: names.iter().map(|name| dir.join(name)).collect(),
                shape: [1, 2048, 2048],
                resize: None,
            };
            Decoded::new(dir.join("kept"), content).pixels(&images, dir)
        }

        fn kept(&self) -> Vec<PathBuf> {
            let found = decoded_files(&self.folder.path().join("kept")).unwrap();
            found.into_iter().map(|(path, _)| path).collect()
        }
    }

    #[test]
    fn images_are_decoded_once_and_a_damaged_file_is_made_anew() {
        let case = Case::new();
        let names = ["1.png", "2.png"];
        let first = case.pixels("a", &names).unwrap();
        let [path] = &case.kept()[..] else {
            panic!("{:?}", case.kept());
        };
        let whole = fs::read(path).unwrap();
        assert_eq!(whole[..first.len()], first);
        // The images are not looked at any more.
        let image = fs::read(case.folder.path().join("1.png")).unwrap();
        fs::remove_file(case.folder.path().join("1.png")).unwrap();
        assert_eq!(case.pixels("a", &names).unwrap(), first);
        let mut flipped = whole.clone();
        flipped[77] ^= 1;
        let torn = whole[..whole.len() - 1].to_vec();
        for damaged in [flipped, torn, Vec::new()] {
            fs::remove_file(path).unwrap();
            fs::write(path, damaged).unwrap();
            assert!(case.pixels("a", &names).is_err());
        }
        fs::write(case.folder.path().join("1.png"), image).unwrap();
        age(&case.folder.path().join("1.png"));
        assert_eq!(case.pixels("a", &names).unwrap(), first);
        assert_eq!(fs::read(path).unwrap(), whole);
    }

    #[test]
    fn other_files_contents_and_orders_are_kept_apart() {
        let case = Case::new();
        let [one, two] = ["a", "b"].map(|content| case.pixels(content, &["1.png", "2.png"]));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(case.kept().len(), 2);
        let turned = case.pixels("a", &["2.png", "1.png"]).unwrap();
        let other = case.pixels("a", &["1.png", "3.png"]).unwrap();
        assert_ne!(turned, other);
        assert_eq!(case.kept().len(), 4);
    }

    #[test]
    fn images_that_were_just_written_are_not_kept() {
        let case = Case::new();
        let (one, two) = (
            case.folder.path().join("1.png"),
            case.folder.path().join("2.png"),
        );
        fs::copy(&two, &one).unwrap();
        let file = OpenOptions::new().write(true).open(&one).unwrap();
        file.set_modified(SystemTime::now()).unwrap();
        case.pixels("a", &["1.png", "2.png"]).unwrap();
        assert!(case.kept().is_empty());
        age(&one);
        case.pixels("a", &["1.png", "2.png"]).unwrap();
        assert_eq!(case.kept().len(), 1);
    }

    #[test]
    fn where_nothing_can_be_kept_the_images_are_decoded() {
        let case = Case::new();
        fs::write(case.folder.path().join("kept"), "a file").unwrap();
        assert_eq!(case.pixels("a", &["1.png", "2.png"]).unwrap().len(), LEAST);
    }
}
