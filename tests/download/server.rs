//! A server on this machine that answers as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the server answers for one path.
#[derive(Clone)]
pub enum Answer {
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
pub type Request = (String, Option<u64>);

pub struct Server {
    base: String,
    /// Every request that came.
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn new(answers: BTreeMap<&'static str, Answer>) -> Self {
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

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn requests(&self) -> Vec<Request> {
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
