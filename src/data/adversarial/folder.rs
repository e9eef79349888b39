//! Images that another tool made, as PNG files in class folders that are named like the images that they were made of.

use crate::data::image_files::ImageFiles;
use crate::data::{Dataset, Pixels};
use crate::run::files::image_file;
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The images in `folder` that were made of `originals`, as `<class>/<name>.png`, and of which ones by their positions. Other
/// files there are of no interest.
///
/// # Errors
/// None is there. A file that is damaged or of another size is found when it is decoded.
pub fn read_adversarial_folder(
    folder: &Path,
    originals: &Dataset,
) -> Result<(Dataset, Vec<usize>)> {
    let file = |position: usize| {
        let class = &originals.classes[originals.labels[position] as usize];
        folder
            .join(class)
            .join(image_file(&originals.names[position]))
    };
    let all = (0..originals.len()).map(|position| (file(position), position));
    let (paths, positions): (Vec<PathBuf>, Vec<usize>) =
        all.filter(|(path, _)| path.is_file()).unzip();
    if positions.is_empty() {
        return Err(Error::failed(format!(
            "{}: none of the {} test images has a file there; expected <class>/<name>.png, the first as {}",
            folder.display(),
            originals.len(),
            file(0).display(),
        )));
    }
    let set = Dataset {
        shape: originals.shape,
        labels: positions.iter().map(|&i| originals.labels[i]).collect(),
        names: positions
            .iter()
            .map(|&i| originals.names[i].clone())
            .collect(),
        classes: originals.classes.clone(),
        pixels: Pixels::Files(ImageFiles {
            paths,
            shape: originals.shape,
            resize: None,
        }),
    };
    Ok((set, positions))
}

/// The PNG files in the class folders of a folder.
///
/// # Errors
/// A folder that cannot be read.
pub fn adversarial_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder).map_err(Error::io("read", folder))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths
            .collect::<std::io::Result<_>>()
            .map_err(Error::io("read", folder))
    };
    let mut found = Vec::new();
    for class in entries(folder)?.iter().filter(|path| path.is_dir()) {
        let files = entries(class)?.into_iter();
        found.extend(files.filter(|path| {
            path.extension().is_some_and(|ending| ending == "png") && path.is_file()
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::png::encode;

    #[test]
    fn images_belong_to_the_originals_that_they_are_named_like() {
        let folder = tempfile::tempdir().unwrap();
        let originals = Dataset {
            shape: [1, 1, 2],
            pixels: Pixels::F32(vec![0.0; 6]),
            labels: vec![1, 0, 1],
            names: ["x", "y", "z"].map(str::to_owned).to_vec(),
            classes: ["cat", "dog"].map(str::to_owned).to_vec(),
        };
        let message = |found: Result<(Dataset, Vec<usize>)>| {
            let message = found.unwrap_err().to_string();
            message.replace(&format!("{}/", folder.path().display()), "")
        };
        let read = || read_adversarial_folder(folder.path(), &originals);
        assert!(
            message(read()).ends_with(
                ": none of the 3 test images has a file there; expected <class>/<name>.png, the first as dog/x.png"
            )
        );
        for (path, level) in [("dog/z.png", 1.0), ("cat/y.png", 0.4), ("cat/x.png", 0.0)] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, encode(&[level, 0.0], [1, 1, 2]).unwrap()).unwrap();
        }
        fs::write(folder.path().join("cat/notes.txt"), "no image").unwrap();
        let (set, positions) = read().unwrap();
        assert_eq!((positions, set.labels.clone()), (vec![1, 2], vec![0, 1]));
        let Pixels::Files(files) = &set.pixels else {
            panic!("decoded when they are asked for")
        };
        assert_eq!(files.decode_all().unwrap(), [102, 0, 255, 0]);
        assert_eq!(adversarial_files(folder.path()).unwrap().len(), 3);
        fs::write(folder.path().join("dog/z.png"), "no image").unwrap();
        let (set, _) = read().unwrap();
        let Pixels::Files(files) = set.pixels else {
            panic!("decoded when they are asked for")
        };
        let error = files.decode_all().unwrap_err().to_string();
        assert!(
            error.contains("dog/z.png: cannot be read as a PNG"),
            "{error}"
        );
    }
}
