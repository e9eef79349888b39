//! Single files from mirrors that work, break off, or send something else; and from the user's own disk.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use runner::data::download::Installed;

use crate::server::{Answer, Server};
use crate::sets::{content, fetch, gzip, names, set};

#[test]
fn the_first_mirror_that_has_the_file_is_taken() {
    let file = gzip(&content(), 6);
    let mut wrong = file.clone();
    wrong[1000] ^= 1;
    let server = Server::new(BTreeMap::from([
        ("/gone", Answer::Status("503 Service Unavailable")),
        ("/wrong", Answer::Good(wrong)),
        ("/endless", Answer::Endless),
        ("/moved", Answer::Redirect("/good".into())),
        ("/good", Answer::Good(file.clone())),
    ]));
    // A port without a listener.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut urls = vec![format!("http://{closed}/x")];
    urls.extend(["/absent", "/gone", "/wrong", "/endless", "/moved"].map(|path| server.url(path)));
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/on/the/way");
    let (placed, failures) = fetch(&set(urls), &dir, None);
    assert_eq!(placed, Ok(vec![Installed::Fetched(dir.join("digits.gz"))]));
    assert_eq!(fs::read(dir.join("digits.gz")).unwrap(), file);
    assert_eq!(names(&dir), ["digits.gz"], "nothing else stays");
    let last: Vec<&str> = failures
        .iter()
        .filter(|line| !line.ends_with("trying again"))
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(last.len(), 5, "{failures:?}");
    assert_eq!(last[1..3], ["404 Not Found", "503 Service Unavailable"]);
    assert!(last[3].starts_with("wrong checksum: MD5 "), "{failures:?}");
    assert!(last[4].starts_with("it is far longer than"), "{failures:?}");

    // The second call finds the file and asks no server.
    let before = server.requests().len();
    let (placed, _) = fetch(&set(Vec::new()), &dir, None);
    assert_eq!(placed, Ok(vec![Installed::There(dir.join("digits.gz"))]));
    assert_eq!(server.requests().len(), before);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let file = gzip(&content(), 6);
    let third = file.len() / 3;
    let server = Server::new(BTreeMap::from([
        ("/breaks", Answer::Breaks(file.clone(), third)),
        ("/once", Answer::NoRangeBreaks(file.clone(), third)),
        ("/good", Answer::Good(file.clone())),
    ]));
    // Each answer brings a third: ranges are asked for until the file is whole.
    let dir = tempfile::tempdir().unwrap();
    let (placed, _) = fetch(&set(vec![server.url("/breaks")]), dir.path(), None);
    assert!(placed.is_ok(), "{placed:?}");
    assert_eq!(fs::read(dir.path().join("digits.gz")).unwrap(), file);
    let ranges: Vec<Option<u64>> = server
        .requests()
        .into_iter()
        .map(|(_, range)| range)
        .collect();
    let third = third as u64;
    assert_eq!(
        ranges,
        [None, Some(third), Some(2 * third), Some(3 * third)][..ranges.len()]
    );
    assert!(ranges.len() >= 3);

    // A process that ended in between: what it has left is used by the next.
    let dir = tempfile::tempdir().unwrap();
    let (placed, _) = fetch(&set(vec![server.url("/once")]), dir.path(), None);
    let message = placed.unwrap_err();
    assert!(
        message.contains(&format!("broke off after {third} ")),
        "{message}"
    );
    assert_eq!(names(dir.path()), ["digits.gz.part"]);
    let before = server.requests().len();
    let (placed, _) = fetch(&set(vec![server.url("/good")]), dir.path(), None);
    assert!(placed.is_ok(), "{placed:?}");
    assert_eq!(
        server.requests()[before..],
        [("/good".to_string(), Some(third))]
    );
    assert_eq!(names(dir.path()), ["digits.gz"]);
}

#[test]
fn what_an_earlier_download_left_is_not_trusted() {
    let file = gzip(&content(), 6);
    let server = Server::new(BTreeMap::from([
        ("/good", Answer::Good(file.clone())),
        ("/no-range", Answer::NoRange(file.clone())),
        ("/wrong-range", Answer::WrongRange(file.clone())),
    ]));
    let url = |path: &str| vec![server.url(path)];
    for (left, path) in [
        // Of another file, shorter and longer than this one.
        (vec![7; 1000], "/good"),
        (vec![7; file.len()], "/good"),
        (vec![7; file.len() + 1000], "/good"),
        // Of this file, and a server that knows no ranges.
        (file[..1000].to_vec(), "/no-range"),
        // Whole, when the process was killed before it was placed.
        (file.clone(), "/absent"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("digits.gz.part"), &left).unwrap();
        let (placed, failures) = fetch(&set(url(path)), dir.path(), None);
        assert!(placed.is_ok(), "{path}: {placed:?} {failures:?}");
        assert_eq!(fs::read(dir.path().join("digits.gz")).unwrap(), file);
        assert_eq!(names(dir.path()), ["digits.gz"]);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("digits.gz.part"), &file[..1000]).unwrap();
    let (placed, _) = fetch(&set(url("/wrong-range")), dir.path(), None);
    assert!(
        placed
            .unwrap_err()
            .contains("another range than was asked for")
    );
}

#[test]
fn another_file_of_the_name_is_left_alone() {
    let server = Server::new(BTreeMap::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("digits.gz");
    fs::write(&path, "letters").unwrap();
    let (placed, _) = fetch(&set(vec![server.url("/x")]), dir.path(), None);
    let message = placed.unwrap_err();
    assert!(
        message.contains("is there and is another file (MD5 "),
        "{message}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"letters");
    assert!(server.requests().is_empty());

    // The content alone, or compressed otherwise, is as good.
    for (name, bytes) in [("digits", content()), ("digits.gz", gzip(&content(), 1))] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), bytes).unwrap();
        let (placed, _) = fetch(&set(Vec::new()), dir.path(), None);
        assert_eq!(placed, Ok(vec![Installed::There(dir.path().join(name))]));
    }
}

#[test]
fn two_processes_do_not_write_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let part = fs::File::create(dir.path().join("digits.gz.part")).unwrap();
    part.lock().unwrap();
    let (placed, _) = fetch(&set(vec!["http://127.0.0.1:1/x".into()]), dir.path(), None);
    let message = placed.unwrap_err();
    assert!(
        message.contains("another process is fetching this file"),
        "{message}"
    );
}

#[test]
fn files_that_are_there_are_taken() {
    let file = gzip(&content(), 6);
    let from = tempfile::tempdir().unwrap();
    let (to, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (placed, _) = fetch(&set(Vec::new()), to.path(), Some(from.path()));
    let message = placed.unwrap_err();
    assert!(
        message.ends_with("nothing of digits; expected digits.gz"),
        "{message}"
    );

    let source = from.path().join("digits.gz");
    fs::write(&source, &file).unwrap();
    let (placed, _) = fetch(&set(Vec::new()), to.path(), Some(from.path()));
    let target = to.path().join("digits.gz");
    let expected = Installed::Taken {
        from: source.clone(),
        to: target.clone(),
    };
    assert_eq!(placed, Ok(vec![expected]));
    assert_eq!(fs::read(target).unwrap(), file);
    assert_eq!(fs::read(&source).unwrap(), file, "the user's file stays");

    // A file may have any name.
    let renamed = from.path().join("download (1)");
    fs::write(&renamed, content()).unwrap();
    let (placed, _) = fetch(&set(Vec::new()), other.path(), Some(&renamed));
    assert!(placed.is_ok(), "{placed:?}");
    assert_eq!(names(other.path()), ["digits"]);

    fs::write(&source, "no archive").unwrap();
    let empty = tempfile::tempdir().unwrap();
    let (placed, _) = fetch(&set(Vec::new()), empty.path(), Some(from.path()));
    let message = placed.unwrap_err();
    assert!(
        message.contains("digits.gz: wrong checksum: MD5 "),
        "{message}"
    );
    let (placed, _) = fetch(
        &set(Vec::new()),
        empty.path(),
        Some(&from.path().join("no")),
    );
    assert!(placed.unwrap_err().ends_with("no: no such file or folder"));
    assert!(names(empty.path()).is_empty());
}
