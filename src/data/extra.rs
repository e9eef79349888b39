//! Images beside the training set, of which every batch has a share: the generated ones that robust training profits from
//! (Gowal et al., arXiv 2110.09468; Wang et al., arXiv 2302.04638). Their files have up to a hundred gigabytes and are read
//! where they lie, image by image, as batches need them.
//!
//! A file is numpy's npz, stored and not compressed: `image`, uint8 `(N, H, W, C)` or, in grey, `(N, H, W)`, and `label`, N
//! integers. Both arrays lie in it as they are, so that an image is found by its number.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use zip::{CompressionMethod, ZipArchive};

use super::npy::{Header, Number};
use crate::rng::{Purpose, stream};
use crate::{Error, Result};

/// Bytes of labels that are looked at together.
const STRETCH: usize = 1 << 16;

/// The images of a file, and their share of a batch.
#[derive(Debug)]
pub struct Extra {
    path: PathBuf,
    file: Mutex<File>,
    images: Member,
    labels: Member,
    len: usize,
    /// Channels, height, width.
    shape: [usize; 3],
    fraction: f64,
}

/// An array in the file.
#[derive(Clone, Debug)]
struct Member {
    /// Where its numbers begin in the file.
    start: u64,
    header: Header,
}

impl Extra {
    /// The images of the file at `path`, each of shape (C, H, W) and of one of so many classes, as `fraction` of each batch.
    ///
    /// # Errors
    /// A file that is no such archive, is compressed, or holds other types, shapes or labels.
    pub fn open(path: &Path, shape: [usize; 3], classes: usize, fraction: f64) -> Result<Self> {
        let fault = |found: String| {
            Error::failed(format!(
                "{}: {found}; data.extra takes what numpy.savez(file, image=..., label=...) writes of uint8 images (N, H, W, C) \
                 and integers",
                path.display(),
            ))
        };
        let file = File::open(path).map_err(Error::io("open", path))?;
        let about = file.metadata().map_err(Error::io("read", path))?;
        if !about.is_file() {
            return Err(fault("is no plain file".to_owned()));
        }
        let [images, labels] = members(&file, about.len()).map_err(fault)?;
        let len = count(&images.header, shape).map_err(fault)?;
        let is_integer = !matches!(labels.header.number, Number::Float(_));
        if labels.header.shape != [len] || !is_integer {
            return Err(fault(format!(
                "`label` is {} {:?}, {len} integers were expected",
                labels.header.number.name(),
                labels.header.shape
            )));
        }
        let extra = Self {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            images,
            labels,
            len,
            shape,
            fraction,
        };
        extra.check_labels(classes)?;
        Ok(extra)
    }

    /// The number of images, at least one.
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many of the images of a batch of so many come from here.
    pub fn of_batch(&self, size: usize) -> usize {
        (size as f64 * self.fraction) as usize
    }

    /// The images of a batch of so many: each drawn from all of them, whatever was drawn before.
    pub fn draw(&self, size: usize, seed: u64, epoch: u64, batch: u64) -> Vec<usize> {
        let mut rng = stream(seed, Purpose::Extra, epoch, batch, 0);
        let draws = (0..self.of_batch(size)).map(|_| rng.random_range(0..self.len as u64) as usize);
        draws.collect()
    }

    /// The label of an image, by its number.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn label(&self, index: usize) -> Result<u32> {
        let size = self.labels.header.number.size();
        let mut bytes = [0; 8];
        self.read(&self.labels, (index * size) as u64, &mut bytes[..size])?;
        // Labels are small and were checked: what the type is beyond its size makes no difference.
        Ok(u64::from_le_bytes(bytes) as u32)
    }

    /// Writes an image, by its number, as intensities in [0, 1] into `out`, (C, H, W).
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn image_f32(&self, index: usize, out: &mut [f32]) -> Result<()> {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let mut bytes = vec![0; channels * plane];
        self.read(&self.images, index as u64 * bytes.len() as u64, &mut bytes)?;
        for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
            for (to, from) in out
                .iter_mut()
                .zip(bytes[channel..].iter().step_by(channels))
            {
                *to = f32::from(*from) / 255.0;
            }
        }
        Ok(())
    }

    fn read(&self, member: &Member, at: u64, out: &mut [u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(member.start + at));
        read.and_then(|_| file.read_exact(out))
            .map_err(Error::io("read", &self.path))
    }

    /// Looks at every label once.
    fn check_labels(&self, classes: usize) -> Result<()> {
        let number = self.labels.header.number;
        let size = number.size();
        let mut bytes = vec![0; STRETCH];
        for first in (0..self.len).step_by(STRETCH / size) {
            let count = (STRETCH / size).min(self.len - first);
            let bytes = &mut bytes[..count * size];
            self.read(&self.labels, (first * size) as u64, bytes)?;
            for (index, bytes) in bytes.chunks_exact(size).enumerate() {
                let mut wide = [0; 8];
                wide[..size].copy_from_slice(bytes);
                let value = u64::from_le_bytes(wide);
                if value >= classes as u64 {
                    // In a signed type the highest bit says that it is below 0.
                    let shift = 64 - 8 * size as u32;
                    let value = match number {
                        Number::Signed(_) => i128::from((value << shift) as i64 >> shift),
                        _ => i128::from(value),
                    };
                    return Err(Error::failed(format!(
                        "{}: label {value} of image {} is not one of the {classes} classes of data.kind",
                        self.path.display(),
                        first + index
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The two arrays of a file of `length` bytes.
fn members(file: &File, length: u64) -> Result<[Member; 2], String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("cannot be read as an npz file ({error})");
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable(&error))?;
    let mut member = |name: &str| -> Result<Member, String> {
        let file = format!("{name}.npy");
        if zip.index_for_name(&file).is_none() {
            let mut names: Vec<String> = zip
                .file_names()
                .flatten()
                .map(|name| name.escape_debug().to_string())
                .collect();
            names.sort_unstable();
            names.truncate(8);
            return Err(format!(
                "has no array `{name}`, it holds [{}]",
                names.join(", ")
            ));
        }
        let mut entry = zip.by_name(&file).map_err(|error| unreadable(&error))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!(
                "the array `{name}` is compressed, as numpy.savez_compressed does it"
            ));
        }
        let (size, stored) = (entry.size(), entry.compressed_size());
        let start = entry
            .data_start()
            .ok_or_else(|| format!("the array `{name}` lies nowhere"))?;
        let whole = start.checked_add(size).is_some_and(|end| end <= length);
        let header = Header::read(&mut entry).map_err(|why| format!("array `{name}`: {why}"))?;
        let bytes = header
            .bytes()
            .and_then(|bytes| bytes.checked_add(header.length as u64));
        if !whole || size != stored || bytes != Some(size) {
            return Err(format!(
                "array `{name}`: its shape {:?} does not fit its {size} bytes",
                header.shape
            ));
        }
        Ok(Member {
            start: start + header.length as u64,
            header,
        })
    };
    Ok([member("image")?, member("label")?])
}

/// The number of images of shape (C, H, W) that an array holds.
fn count(header: &Header, [channels, height, width]: [usize; 3]) -> Result<usize, String> {
    let found = match *header.shape.as_slice() {
        [count, h, w, c] if [c, h, w] == [channels, height, width] => Some(count),
        [count, h, w] if [1, h, w] == [channels, height, width] => Some(count),
        _ => None,
    };
    let is_bytes = header.number == Number::Unsigned(1);
    found.filter(|&count| count > 0 && is_bytes).ok_or_else(|| {
        format!(
            "`image` is {} {:?}, at least one image, U8 [N, {height}, {width}, {channels}], was expected",
            header.number.name(),
            header.shape
        )
    })
}

#[cfg(test)]
#[path = "extra_tests.rs"]
mod tests;
