//! How images lie in class folders: which folder is a split, which are its classes, which files are images.

use super::{DataKind, Split};
use crate::{Error, Result};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// An image that a class folder holds.
pub(super) struct ImageFile {
    pub path: PathBuf,
    /// Without the ending, unless another image of the class has the same name without it.
    pub name: String,
    pub label: u32,
}

/// Whether the folder has class folders: a `train` or `test` folder, or folders with images in them.
pub fn is_image_folder(dir: &Path) -> bool {
    if ["train", "test"]
        .iter()
        .any(|split| dir.join(split).is_dir())
    {
        return true;
    }
    let has_image = |folder: PathBuf| {
        fs::read_dir(folder)
            .is_ok_and(|entries| entries.flatten().any(|entry| is_image_name(&entry.path())))
    };
    fs::read_dir(dir).is_ok_and(|entries| {
        entries
            .flatten()
            .map(|entry| entry.path())
            .any(|path| path.is_dir() && has_image(path))
    })
}

/// The folder of a split: its own, or `dir` where that has class folders and no splits.
fn split_folder(dir: &Path, split: Split) -> Result<PathBuf> {
    let folder = dir.join(split.name());
    if folder.is_dir() {
        return Ok(folder);
    }
    let flat = !dir.join("train").is_dir() && !dir.join("test").is_dir();
    match split {
        Split::Test if flat => Ok(dir.to_path_buf()),
        Split::Train if flat => Err(Error::failed(format!(
            "{}: class folders without a train folder serve as a test split only; put training images into {}",
            dir.display(),
            folder.join("<class>").display(),
        ))),
        _ => Err(Error::failed(format!(
            "{}: no such folder; put the {} images into {}",
            folder.display(),
            split.name(),
            folder.join("<class>").display(),
        ))),
    }
}

/// The folders of a split.
pub(super) struct Folders {
    /// The split's own.
    pub path: PathBuf,
    /// The names of those in it.
    pub found: Vec<String>,
    /// The classes in the order of their labels: those that the kind of data fixes, else the names in alphabetical order.
    pub classes: Vec<String>,
}

/// Looks for the folders of a split.
///
/// # Errors
/// A split without class folders, a folder that is none of the classes that the kind of data fixes, or a class without one.
pub(super) fn folders(dir: &Path, split: Split, kind: &DataKind) -> Result<Folders> {
    let path = split_folder(dir, split)?;
    let found = class_folders(&path)?;
    if found.is_empty() {
        return Err(Error::failed(format!(
            "{}: no class folders; put the images of each class into a folder of the class's name there",
            path.display(),
        )));
    }
    let classes = class_names(dir, &path, &found, kind.class_names())?;
    Ok(Folders {
        path,
        found,
        classes,
    })
}

/// The names of the folders in `dir`, sorted; hidden ones do not count. An image beside them has no class.
fn class_folders(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or_else(|| {
                    Error::failed(format!(
                        "{}: a class folder's name must be UTF-8; rename it",
                        path.display()
                    ))
                })?;
            names.push(name.to_string());
        } else if is_image_name(&path) {
            return Err(Error::failed(format!(
                "{}: an image beside the class folders belongs to no class; move it into the folder of its class or \
                 remove it",
                path.display(),
            )));
        }
    }
    Ok(names)
}

/// The classes in the order of their labels, at least two.
///
/// A kind of data with classes of its own has images of each. Otherwise a test split takes its classes from the train
/// folder beside it: a class that the test split lacks must not shift the labels of the others.
fn class_names(
    dir: &Path,
    split_dir: &Path,
    folders: &[String],
    expected: Option<Vec<String>>,
) -> Result<Vec<String>> {
    let train = dir.join("train");
    let fixed = expected.is_some();
    let (classes, source) = match expected {
        Some(classes) => (classes, "the classes of this kind of data".to_string()),
        None if train.is_dir() && train != split_dir => (
            class_folders(&train)?,
            format!("the folders in {}", train.display()),
        ),
        None => (folders.to_vec(), String::new()),
    };
    if let Some(unknown) = folders.iter().find(|folder| !classes.contains(folder)) {
        return Err(Error::failed(format!(
            "{}: not one of {source} ({}); rename or remove that folder",
            split_dir.join(unknown).display(),
            abridged(&classes),
        )));
    }
    let mut missing = classes.clone();
    missing.retain(|class| !folders.contains(class));
    if fixed && !missing.is_empty() {
        return Err(Error::failed(format!(
            "{}: no folder of {}; this kind of data has the classes {}: put images of each there, or set data.kind = \
             \"image-folder\" for other classes",
            split_dir.display(),
            abridged(&missing),
            abridged(&classes),
        )));
    }
    match classes.as_slice() {
        [only] => Err(Error::failed(format!(
            "{}: the only class folder is {only}; a classifier needs two classes or more, each in a folder of its own",
            split_dir.display(),
        ))),
        _ => Ok(classes),
    }
}

fn abridged(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// The paths in `dir`, sorted by name; names with a leading dot and what file managers leave behind do not count.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && name != "Thumbs.db" && name != "desktop.ini" {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable_by(|one, other| one.file_name().cmp(&other.file_name()));
    Ok(paths)
}

fn is_image_name(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            ["png", "jpg", "jpeg"].contains(&extension.to_ascii_lowercase().as_str())
        })
}

/// Adds the images of one class, in the order of their names.
pub(super) fn list_images(folder: &Path, label: u32, files: &mut Vec<ImageFile>) -> Result<()> {
    let paths = entries(folder)?;
    if paths.is_empty() {
        return Err(Error::failed(format!(
            "{}: the class folder is empty; put the images of the class there or remove the folder",
            folder.display(),
        )));
    }
    let mut taken = HashSet::new();
    // Of tens of thousands by all threads.
    let are_files: Vec<bool> = paths.par_iter().map(|path| path.is_file()).collect();
    for (path, is_file) in paths.into_iter().zip(are_files) {
        if is_image_name(&path) && !is_file {
            return Err(Error::failed(format!(
                "{}: is no file, or a link that leads nowhere; remove it",
                path.display(),
            )));
        }
        if !is_image_name(&path) {
            return Err(Error::failed(format!(
                "{}: only PNG and JPEG files (.png, .jpg, .jpeg) belong into a class folder; convert or remove it",
                path.display(),
            )));
        }
        let text = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let stem = text(path.file_stem());
        // `a.png` beside `a.jpg`: the second keeps its extension, so that names stay unique within a class. It is not the
        // stem of an earlier file: that would be longer and so come later.
        let name = if taken.contains(&stem) {
            text(path.file_name())
        } else {
            stem
        };
        taken.insert(name.clone());
        files.push(ImageFile { path, name, label });
    }
    Ok(())
}

/// The class folders of a split with all that is in them. The classes of a test split are those of the training split
/// beside it.
pub(super) fn split_files(dir: &Path, split: Split) -> Vec<PathBuf> {
    let Ok(split_dir) = split_folder(dir, split) else {
        return Vec::new();
    };
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let names = class_folders(dir).unwrap_or_default();
        names.iter().map(|name| dir.join(name)).collect()
    };
    let mut paths = folders(&split_dir);
    let images = paths
        .iter()
        .flat_map(|class| entries(class).unwrap_or_default());
    let images: Vec<PathBuf> = images.collect();
    paths.extend(images);
    if split == Split::Test {
        paths.extend(folders(&dir.join("train")));
    }
    paths
}
