//! Downloads from a server of our own on this machine: good ones, broken ones, and those that are not what they claim.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runner::data::download::{Archive, Content, Event, Part, Placed, Published, get};

/// How the server answers for one path.
#[derive(Clone)]
enum Answer {
    /// The whole file, or the range that is asked for.
    Good(Vec<u8>),
    /// As `Good`, but the connection ends after so many bytes of each answer.
    Breaks(Vec<u8>, usize),
    /// The whole file, whatever range is asked for.
    NoRange(Vec<u8>),
    /// The whole file, cut after so many bytes, whatever range is asked for.
    NoRangeBreaks(Vec<u8>, usize),
    /// A range that was not asked for.
    WrongRange(Vec<u8>),
    /// Bytes without an end, and without saying how many.
    Endless,
    Status(&'static str),
    Redirect(String),
}

/// Its path, and where the range that it asks for begins.
type Request = (String, Option<u64>);

struct Server {
    base: String,
    /// Every request that came.
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn new(answers: BTreeMap<&'static str, Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away early is what some of the tests are about.
                let _ = serve(stream, &answers, &log);
            }
        });
        Self { base, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &BTreeMap<&'static str, Answer>,
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let mut range = None;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let line = line.to_lowercase();
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.trim().trim_end_matches('-').parse::<u64>().ok();
        }
    }
    log.lock().unwrap().push((path.clone(), range));
    let start = range.unwrap_or(0) as usize;
    let (head, body) = match answers.get(path.as_str()) {
        None => ("404 Not Found".to_string(), Vec::new()),
        Some(Answer::Status(status)) => (status.to_string(), Vec::new()),
        Some(Answer::Redirect(to)) => (format!("302 Found\r\nLocation: {to}"), Vec::new()),
        Some(Answer::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
        Some(Answer::Good(file) | Answer::Breaks(file, _)) if range.is_some() => {
            match file.get(start..).filter(|rest| !rest.is_empty()) {
                None => ("416 Range Not Satisfiable".to_string(), Vec::new()),
                Some(rest) => {
                    let range = format!("bytes {start}-{}/{}", file.len() - 1, file.len());
                    let head = format!("206 Partial Content\r\nContent-Range: {range}");
                    (head, rest.to_vec())
                }
            }
        }
        Some(Answer::WrongRange(file)) if range.is_some() => {
            let range = format!("bytes 0-{}/{}", file.len() - 1, file.len());
            let head = format!("206 Partial Content\r\nContent-Range: {range}");
            (head, file.clone())
        }
        Some(
            Answer::Good(file)
            | Answer::Breaks(file, _)
            | Answer::NoRange(file)
            | Answer::NoRangeBreaks(file, _)
            | Answer::WrongRange(file),
        ) => ("200 OK".to_string(), file.clone()),
    };
    let sent = match answers.get(path.as_str()) {
        Some(Answer::Breaks(_, most) | Answer::NoRangeBreaks(_, most)) => body.len().min(*most),
        _ => body.len(),
    };
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..sent])
}

fn md5(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Content that does not compress to nothing.
fn content() -> Vec<u8> {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    noise.take(40_000).collect()
}

/// A set of one gzipped file of that content.
fn set(urls: Vec<String>) -> Published {
    let file = gzip(&content(), 6);
    let archive = Archive {
        name: "digits.gz".into(),
        md5: md5(&file),
        bytes: file.len() as u64,
        content: Content::Gzip {
            md5: md5(&content()),
            bytes: content().len() as u64,
        },
        urls,
    };
    Published {
        name: "digits".into(),
        parts: vec![Part {
            forms: vec![archive],
        }],
    }
}

/// Fetches, and gives what failed on the way besides the result.
fn fetch(
    set: &Published,
    dir: &Path,
    from: Option<&Path>,
) -> (Result<Vec<Placed>, String>, Vec<String>) {
    let failures = RefCell::new(Vec::new());
    let placed = get(set, dir, from, &|event| {
        if let Event::Failure(line) = event {
            failures.borrow_mut().push(line.to_string());
        }
    });
    (
        placed.map_err(|error| error.to_string()),
        failures.into_inner(),
    )
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

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
    // A port where nobody listens.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut urls = vec![format!("http://{closed}/x")];
    urls.extend(["/absent", "/gone", "/wrong", "/endless", "/moved"].map(|path| server.url(path)));
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/on/the/way");
    let (placed, failures) = fetch(&set(urls), &dir, None);
    assert_eq!(placed, Ok(vec![Placed::Fetched(dir.join("digits.gz"))]));
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

    // The second call finds the file and asks nobody.
    let before = server.requests().len();
    let (placed, _) = fetch(&set(Vec::new()), &dir, None);
    assert_eq!(placed, Ok(vec![Placed::There(dir.join("digits.gz"))]));
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

    // The content alone, or compressed by somebody else, is as good.
    for (name, bytes) in [("digits", content()), ("digits.gz", gzip(&content(), 1))] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), bytes).unwrap();
        let (placed, _) = fetch(&set(Vec::new()), dir.path(), None);
        assert_eq!(placed, Ok(vec![Placed::There(dir.path().join(name))]));
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
    let expected = Placed::Taken {
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
    assert_eq!(placed, Ok(vec![Placed::Fetched(dir.path().join("two"))]));
    assert_eq!(names(dir.path()), ["two"], "the archive does not stay");
    assert_eq!(names(&dir.path().join("two")), ["a.bin", "b.bin"]);
    assert_eq!(fs::read(dir.path().join("two/b.bin")).unwrap(), b);
    let (placed, _) = fetch(&set, dir.path(), None);
    assert_eq!(placed, Ok(vec![Placed::There(dir.path().join("two"))]));

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
            with(&[
                ("../evil", b"x"),
                ("/tmp/evil", b"x"),
                ("two/../../evil", b"x"),
            ]),
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
                assert!(names(&dir).is_empty(), "{:?}", names(&dir));
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
            Ok(_) => assert_eq!(names(&dir.join("two")), ["a.bin", "b.bin"]),
            Err(message) => {
                assert!(message.contains("cannot be unpacked"), "{message}");
                refused += 1;
            }
        }
        assert_eq!(names(root.path()), ["data", "two.tar.gz"]);
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(refused > 200, "only {refused} of 400 refused");
}

fn runner(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_command_says_what_failed_and_what_to_do() {
    let server = Server::new(BTreeMap::from([(
        "/mirror/train-images-idx3-ubyte.gz",
        Answer::Good(b"not MNIST".to_vec()),
    )]));
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_str().unwrap();
    let mirror = server.url("/mirror/");
    let (code, out, err) = runner(&["data", "get", "mnist", "--dir", to, "--mirror", &mirror]);
    assert_eq!((code, out.as_str()), (1, ""));
    for words in [
        "fetching: http://127.0.0.1",
        "wrong checksum: MD5 ",
        "error: train-images-idx3-ubyte.gz: no mirror has it:",
        "with --from FILE, or name a mirror with --mirror URL",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    assert!(names(dir.path()).is_empty());
    let (code, _, err) = runner(&["data", "get", "imagenet"]);
    assert_eq!(code, 2);
    assert!(err.contains("possible values: mnist, cifar10"), "{err}");
}

/// Real files where a developer has them: MNIST in the form that some mirrors and other tools leave it.
#[test]
fn real_files_are_recognised() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    if !from.is_dir() {
        // Past the capture of the test harness: a skipped test must be seen.
        writeln!(std::io::stderr(), "skipped: no real data in ../shared/data").unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = runner(&[
        "data",
        "get",
        "mnist",
        "--from",
        from.to_str().unwrap(),
        "--dir",
        dir.path().to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.matches(": verified, from ").count(), 4, "{out}");
    assert_eq!(names(dir.path()).len(), 4);
    let spec = dir.path().join("a.toml");
    let text = format!(
        "task = \"train\"\ndata = {{ kind = \"mnist\", dir = \"{}\" }}\nmodel.arch = \"mlp\"\noptimizer.lr = 0.1\n\
         train.epochs = 1\n",
        dir.path().display()
    );
    fs::write(&spec, text).unwrap();
    let (code, out, err) = runner(&["data", "info", spec.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains(
            "train: 60000 images of 1x28x28 (channels x height x width); 0 5923, 1 6742, 2 5958, "
        ),
        "{out}"
    );
    assert!(
        out.contains("test: 10000 images of 1x28x28 (channels x height x width); 0 980, 1 1135, "),
        "{out}"
    );
    assert!(
        out.contains("train pixels in [0, 1], by channel: mean [0.1307], std [0.3081]"),
        "{out}"
    );
}
