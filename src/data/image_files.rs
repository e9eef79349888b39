//! Images in files that are decoded when they are asked for: a split that is too large to lie in memory.

use std::path::PathBuf;

use rayon::prelude::*;

use super::image_file;
use crate::Result;

/// Files with an image each, and the form in which they are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFiles {
    pub(super) paths: Vec<PathBuf>,
    /// Channels, height, width.
    pub(super) shape: [usize; 3],
    /// Length that the shorter side is scaled to first, where it is.
    pub(super) resize: Option<usize>,
}

impl ImageFiles {
    /// The number of values of all images.
    pub(super) fn values(&self) -> Option<usize> {
        let image = self.shape.iter().product::<usize>();
        image.checked_mul(self.paths.len())
    }

    /// The files at `indices`, in that order.
    pub(super) fn select(&self, indices: &[usize]) -> Self {
        Self {
            paths: indices.iter().map(|&i| self.paths[i].clone()).collect(),
            ..self.clone()
        }
    }

    /// Decodes image `index` into `out`, channel by channel.
    ///
    /// # Errors
    /// A file that is no image, is damaged or has another size.
    pub(super) fn decode(&self, index: usize, out: &mut [u8]) -> Result<()> {
        let [channels, height, width] = self.shape;
        image_file::decode(
            &self.paths[index],
            [height, width],
            self.resize,
            channels,
            out,
        )
    }

    /// The pixels of all images, decoded by all threads.
    ///
    /// # Errors
    /// The first fault in the order of the files, whatever thread comes first.
    pub(super) fn decode_all(&self) -> Result<Vec<u8>> {
        let size = self.shape.iter().product::<usize>();
        let mut pixels = vec![0; size * self.paths.len()];
        let images = pixels.par_chunks_mut(size.max(1)).enumerate();
        let fault = images.find_map_first(|(index, out)| self.decode(index, out).err());
        fault.map_or(Ok(pixels), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::data::augment::{HorizontalFlip, RandomCrop};
    use crate::data::image_folder::read;
    use crate::data::{
        Augmentation, Dataset, Description, DeviceDataset, IMAGE_FOLDER, Loader, Pixels, Source,
        Split,
    };

    /// Eleven images of noise in two classes, as PNG and JPEG, of 12x9 to 22x9 pixels.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..11u32 {
            let (class, ending) = (
                ["a", "b"][index as usize % 2],
                ["png", "jpg"][index as usize % 3 / 2],
            );
            let noise = |x: u32, y: u32| ((x * 37 + y * 91 + x * y * 13) * (index + 1)) as u8;
            let picture = image::RgbImage::from_fn(12 + index, 9, |x, y| {
                image::Rgb([noise(x, y), noise(y, x), index as u8])
            });
            for split in ["train", "test"] {
                let path = folder.path().join(split).join(class);
                fs::create_dir_all(&path).unwrap();
                picture
                    .save(path.join(format!("{index}.{ending}")))
                    .unwrap();
            }
        }
        folder
    }

    fn source() -> Source {
        Source {
            image_size: Some([7, 8]),
            resize: Some(8),
            ..Source::new(&IMAGE_FOLDER, None)
        }
    }

    /// The set in memory and the one in files.
    fn both(folder: &Path, limit: Option<usize>) -> [Dataset; 2] {
        let source = Source { limit, ..source() };
        let sets = [usize::MAX, 0].map(|most| read(folder, Split::Train, &source, most).unwrap());
        assert!(matches!(sets[0].pixels, Pixels::U8(_)));
        assert!(matches!(sets[1].pixels, Pixels::Files(_)));
        sets
    }

    fn batches(set: &Dataset, epoch: u64) -> Vec<(Vec<usize>, Vec<f32>)> {
        let placed = DeviceDataset::on_cpu(Arc::new(set.clone()));
        let augment = [
            Augmentation::RandomCrop(RandomCrop { padding: 4 }),
            Augmentation::HorizontalFlip(HorizontalFlip {}),
        ];
        let loader = Loader::train(&placed, 4, &augment, 5, epoch, 1).unwrap();
        let evaluation = Loader::eval(&placed, 3).unwrap();
        let flat = |batch: Result<crate::data::Batch>| {
            let batch = batch.unwrap();
            let pixels = batch.images.flatten_all().unwrap().to_vec1().unwrap();
            (batch.indices, pixels)
        };
        loader.chain(evaluation).map(flat).collect()
    }

    #[test]
    fn batches_are_those_of_a_set_in_memory() {
        let folder = folder();
        for limit in [None, Some(5)] {
            let [memory, files] = both(folder.path(), limit);
            assert_eq!(
                (&memory.names, &memory.labels),
                (&files.names, &files.labels)
            );
            assert_eq!(memory.pixels.len(), files.pixels.len());
            for epoch in 0..2 {
                assert_eq!(batches(&memory, epoch), batches(&files, epoch));
            }
            assert_eq!(
                Description::of(&memory).unwrap(),
                Description::of(&files).unwrap()
            );
            let some = [3, 0, 3];
            assert_eq!(
                batches(&memory.select(&some), 0),
                batches(&files.select(&some), 0)
            );
        }
    }

    #[test]
    fn a_damaged_file_ends_the_pass_and_is_named() {
        let folder = folder();
        let path = folder.path().join("train/b/3.png");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(read(folder.path(), Split::Train, &source(), usize::MAX).is_err());
        let set = read(folder.path(), Split::Train, &source(), 0).unwrap();
        assert!(Description::of(&set).is_err());
        let loader = Loader::eval(&DeviceDataset::on_cpu(Arc::new(set)), 4).unwrap();
        let found: Vec<_> = loader.collect();
        // Six images of the first class come before those of the second.
        assert_eq!(found.len(), 2);
        assert!(found[0].is_ok());
        let fault = found[1].as_ref().unwrap_err().to_string();
        assert!(
            fault.starts_with(&format!("{}: cannot be read", path.display())),
            "{fault}"
        );
        assert_eq!(fault.lines().count(), 1);
    }
}
