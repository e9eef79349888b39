//! Archives of several files, hostile ones among them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runner::data::download::{Archive, Content, Event, Installed, Part, Published, get};

use crate::server::{Answer, Server};
use crate::sets::{fetch, gzip, md5, names};

/// A tar archive of entries as they are, hostile paths and all.
fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_old();
        // `set_path` refuses what a hostile archive would hold.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A set of one tar archive with two files; the second form is another archive with the same files.
fn packed(archive: &[u8], urls: Vec<String>) -> Published {
    let form = |name: &str, folder: &str, bytes: &[u8], urls| Archive {
        name: name.into(),
        md5: md5(bytes),
        bytes: bytes.len() as u64,
        content: Content::TarGz {
            folder: folder.into(),
            members: vec![("a.bin".into(), 5000), ("b.bin".into(), 3)],
        },
        urls,
    };
    Published {
        name: "packed".into(),
        parts: vec![Part {
            forms: vec![
                form("one.tar.gz", "one", b"no mirror has it", Vec::new()),
                form("two.tar.gz", "two", archive, urls),
            ],
        }],
    }
}

#[test]
fn archives_are_unpacked_as_a_whole() {
    let (a, b) = (vec![1u8; 5000], b"abc");
    let good = gzip(
        &tar(&[("two/readme", b"x"), ("two/a.bin", &a), ("two/b.bin", b)]),
        6,
    );
    let server = Server::new(BTreeMap::from([("/two", Answer::Good(good.clone()))]));
    let dir = tempfile::tempdir().unwrap();
    let set = packed(&good, vec![server.url("/two")]);
    let (placed, _) = fetch(&set, dir.path(), None);
    assert_eq!(placed, Ok(vec![Installed::Fetched(dir.path().join("two"))]));
    assert_eq!(names(dir.path()), ["two"], "the archive does not stay");
    assert_eq!(names(&dir.path().join("two")), ["a.bin", "b.bin"]);
    assert_eq!(fs::read(dir.path().join("two/b.bin")).unwrap(), b);
    let (placed, _) = fetch(&set, dir.path(), None);
    assert_eq!(placed, Ok(vec![Installed::There(dir.path().join("two"))]));

    fs::remove_file(dir.path().join("two/b.bin")).unwrap();
    let (placed, _) = fetch(&set, dir.path(), None);
    let message = placed.unwrap_err();
    assert!(
        message.contains("two: is there without a b.bin of 3 bytes"),
        "{message}"
    );

    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("two.tar.gz"), &good).unwrap();
    let to = tempfile::tempdir().unwrap();
    let (placed, _) = fetch(&set, to.path(), Some(from.path()));
    assert!(placed.is_ok(), "{placed:?}");
    assert_eq!(names(from.path()), ["two.tar.gz"]);
    assert_eq!(names(to.path()), ["two"]);
}

#[test]
fn what_a_killed_process_left_is_used_up() {
    let a = vec![1u8; 5000];
    let good = gzip(&tar(&[("two/a.bin", &a), ("two/b.bin", b"abc")]), 6);
    let (from, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("two.tar.gz"), &good).unwrap();
    // As far as unpacking got: the lock is free again.
    let left = dir.path().join(".two.unpacking");
    fs::create_dir(&left).unwrap();
    for (name, bytes) in [(".lock", &b""[..]), ("a.bin", &a[..9]), ("c.bin", b"x")] {
        fs::write(left.join(name), bytes).unwrap();
    }
    let set = packed(&good, Vec::new());
    let (placed, _) = fetch(&set, dir.path(), Some(from.path()));
    assert!(placed.is_ok(), "{placed:?}");
    assert_eq!(names(dir.path()), ["two"]);
    assert_eq!(names(&dir.path().join("two")), ["a.bin", "b.bin"]);
    assert_eq!(fs::read(dir.path().join("two/a.bin")).unwrap(), a);
}

#[test]
fn nobody_else_fetches_or_unpacks_while_one_process_unpacks() {
    let a = vec![1u8; 5000];
    let good = gzip(&tar(&[("two/a.bin", &a), ("two/b.bin", b"abc")]), 6);
    let server = Server::new(BTreeMap::from([("/two", Answer::Good(good.clone()))]));
    let dir = tempfile::tempdir().unwrap();
    let set = packed(&good, vec![server.url("/two")]);
    let other = RefCell::new(None);
    let placed = get(&set, dir.path(), None, &|event| {
        if let Event::Unpacking(_) = event {
            *other.borrow_mut() = Some(fetch(&set, dir.path(), None).0);
        }
    });
    assert!(placed.is_ok(), "{placed:?}");
    let message = other.take().expect("it was unpacked").unwrap_err();
    assert!(
        message.contains("another process is fetching this file"),
        "{message}"
    );

    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join(".two.unpacking");
    fs::create_dir(&temporary).unwrap();
    let lock = fs::File::create(temporary.join(".lock")).unwrap();
    lock.lock().unwrap();
    let archive = dir.path().join("two.tar.gz");
    fs::write(&archive, &good).unwrap();
    let (placed, _) = fetch(&set, dir.path(), Some(&archive));
    let message = placed.unwrap_err();
    assert!(
        message.contains("another process is unpacking this archive"),
        "{message}"
    );
    assert!(temporary.exists());
}

#[test]
fn hostile_archives_write_nothing() {
    let a = vec![1u8; 5000];
    let whole: &[(&str, &[u8])] = &[("two/a.bin", &a), ("two/b.bin", b"abc")];
    let with = |more: &[(&str, &[u8])]| gzip(&tar(&[more, whole].concat()), 6);
    let bomb = vec![0u8; 40 << 20];
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_path("two/a.bin").unwrap();
    link.set_link_name("/etc/passwd").unwrap();
    link.set_size(0);
    link.set_cksum();
    let link = [&link.as_bytes()[..], &tar(&[("two/b.bin", b"abc")])].concat();
    let cut = gzip(&tar(whole), 6);
    for (archive, expected) in [
        (
            with(&[("../evil", b"x"), ("/evil", b"x"), ("two/../../evil", b"x")]),
            None,
        ),
        (with(&[("two/a.bin", &a)]), Some("two/a.bin comes twice")),
        (
            with(&[("two/b.bin", b"longer")]),
            Some("two/b.bin has 6 bytes, 3 were expected"),
        ),
        (gzip(&tar(&whole[..1]), 6), Some("two/b.bin is missing")),
        (gzip(&link, 6), Some("two/a.bin is no plain file")),
        // What it holds besides is not unpacked without end.
        (with(&[("two/bomb", &bomb)]), Some("cannot be unpacked")),
        (cut[..cut.len() / 2].to_vec(), Some("it is damaged")),
        (b"no gzip".to_vec(), Some("it is damaged")),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (from, dir) = (root.path().join("two.tar.gz"), root.path().join("data/set"));
        fs::write(&from, &archive).unwrap();
        let (placed, _) = fetch(&packed(&archive, Vec::new()), &dir, Some(&from));
        match expected {
            None => assert!(placed.is_ok(), "{placed:?}"),
            Some(words) => {
                let message = placed.unwrap_err();
                assert!(message.contains(words), "{words}: {message}");
                assert_eq!(names(root.path()), ["two.tar.gz"], "no folder is left");
                continue;
            }
        }
        assert_eq!(names(root.path()), ["data", "two.tar.gz"]);
    }
}

#[test]
fn damaged_archives_are_unpacked_or_refused() {
    let a = vec![1u8; 5000];
    let whole = tar(&[("two/a.bin", &a), ("two/b.bin", b"abc")]);
    let root = tempfile::tempdir().unwrap();
    let (from, dir) = (root.path().join("two.tar.gz"), root.path().join("data"));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut refused = 0;
    for round in 0..400 {
        let mut damaged = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            // The headers, where the structure is.
            let at = [0, 5632][rng.random_range(0..2)] + rng.random_range(0..512);
            damaged[at] = rng.random();
        }
        let mut archive = gzip(&damaged, 1);
        if round % 4 == 0 {
            let at = rng.random_range(0..archive.len());
            archive[at] ^= 1 << rng.random_range(0..8);
        }
        fs::write(&from, &archive).unwrap();
        let (placed, _) = fetch(&packed(&archive, Vec::new()), &dir, Some(&from));
        match placed {
            Ok(_) => {
                assert_eq!(names(&dir.join("two")), ["a.bin", "b.bin"]);
                assert_eq!(names(root.path()), ["data", "two.tar.gz"]);
                fs::remove_dir_all(&dir).unwrap();
            }
            Err(message) => {
                assert!(message.contains("cannot be unpacked"), "{message}");
                assert_eq!(names(root.path()), ["two.tar.gz"], "no folder is left");
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "only {refused} of 400 refused");
}
