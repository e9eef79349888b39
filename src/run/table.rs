//! CSV files with fixed columns, appended a whole line at a time.
//!
//! An empty cell means missing, floats are written so that reading gives the same number again. A process killed
//! while it appends leaves at most one line without an end, which is cut off when the file is opened again.

use std::borrow::Borrow;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use crate::atomic;
use crate::error::{Error, Result};

/// A line of a table, whose columns are its fields in their order.
pub trait Row: Serialize + DeserializeOwned + Default {}

impl<R: Serialize + DeserializeOwned + Default> Row for R {}

/// The names of the columns of a table whose lines are of this type.
pub fn columns<R: Serialize + Default>() -> Vec<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.serialize(R::default());
    written.expect("the fields of a row are numbers, words or nothing");
    let line = writer.into_inner().expect("memory can be written to");
    // Names of fields need no quotes. A reader takes longer to make than most tables to read.
    let names = String::from_utf8(line).expect("names of fields are text");
    let names = names.lines().next().unwrap_or_default();
    names.split(',').map(str::to_owned).collect()
}

/// The lines of `rows`, without a header; `path` is the file that they are for.
pub(super) fn lines<R: Row>(
    path: &Path,
    rows: impl IntoIterator<Item = impl Borrow<R>>,
) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    for row in rows {
        writer
            .serialize(row.borrow())
            .map_err(|e| malformed(path, &e))?;
    }
    writer
        .into_inner()
        .map_err(|error| malformed(path, error.error()))
}

/// The header of `R` as a line.
fn header<R: Row>() -> String {
    columns::<R>().join(",") + "\n"
}

fn malformed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!(
        "{}: {error}; correct the file, or start again with --fresh",
        path.display()
    ))
}

/// Writes a table as a whole, replacing the one that stands.
pub fn write<R: Row>(path: &Path, rows: &[R]) -> Result<()> {
    let mut bytes = header::<R>().into_bytes();
    bytes.extend(lines::<R>(path, rows)?);
    atomic::write(path, &bytes)
}

/// The rows of a table; none if there is no such file. A last line without an end is left out.
pub fn read<R: Row>(path: &Path) -> Result<Vec<R>> {
    read_lacking(path, 0)
}

/// The same where tables of early versions lack the last columns, so many at most, whose fields are then optional.
pub(super) fn read_lacking<R: Row>(path: &Path, lacking: usize) -> Result<Vec<R>> {
    // Thousands of runs have no such table: a reader takes longer to make than a table of theirs to read.
    let Some(bytes) = Error::if_there("read", path, fs::read(path))? else {
        return Ok(Vec::new());
    };
    let bytes = whole_lines(&bytes);
    let columns = if lacking > 0 {
        columns::<R>()
    } else {
        Vec::new()
    };
    let early = (1..=lacking).map(|lacking| columns[..columns.len() - lacking].join(",") + "\n");
    if !early
        .into_iter()
        .any(|header| bytes.starts_with(header.as_bytes()))
    {
        check_header::<R>(path, bytes)?;
    }
    parse(path, bytes)
}

/// What `add` makes of the rows of a table in their order, from an empty `T`, without all of them in memory; otherwise as
/// [`read`].
pub fn fold<R: Row, T: Default>(path: &Path, mut add: impl FnMut(&mut T, R)) -> Result<T> {
    let mut folded = T::default();
    let Some(file) = Error::if_there("read", path, File::open(path))? else {
        return Ok(folded);
    };
    let whole = whole_length(&file).map_err(Error::io("read", path))?;
    let mut reader = BufReader::new(file.take(whole));
    check_header::<R>(path, reader.fill_buf().map_err(Error::io("read", path))?)?;
    for row in csv::ReaderBuilder::new()
        .from_reader(reader)
        .into_deserialize()
    {
        add(
            &mut folded,
            row.map_err(|error: csv::Error| malformed(path, &error))?,
        );
    }
    Ok(folded)
}

/// The bytes of the part of a file that ends with a line's end; leaves the file at its beginning.
fn whole_length(mut file: &File) -> std::io::Result<u64> {
    const BLOCK: u64 = 1 << 12;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.take(end - start).read_to_end(&mut block)?;
        if let length @ 1.. = whole_lines(&block).len() {
            end = start + length as u64;
            break;
        }
        end = start;
    }
    file.rewind()?;
    Ok(end)
}

fn parse<R: Row>(path: &Path, bytes: &[u8]) -> Result<Vec<R>> {
    csv::ReaderBuilder::new()
        .from_reader(bytes)
        .into_deserialize()
        .collect::<Result<_, csv::Error>>()
        .map_err(|error| malformed(path, &error))
}

/// The part of a file that ends with a line's end.
pub fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    &bytes[..end.map_or(0, |end| end + 1)]
}

/// The whole lines in the last `most` bytes of a file, the first of which may lack its beginning; nothing of a file that cannot
/// be read.
pub(super) fn last_lines(path: &Path, most: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut end = Vec::new();
        file.take(most).read_to_end(&mut end)?;
        Ok(end)
    };
    String::from_utf8_lossy(whole_lines(&read().unwrap_or_default())).into_owned()
}

fn check_header<R: Row>(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() || bytes.starts_with(header::<R>().as_bytes()) {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{}: the columns are not {}: the file was edited or written by another version; \
         start again with --fresh",
        path.display(),
        columns::<R>().join(",")
    )))
}

fn open_at_end(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(Error::io("open", path))
}

/// A table open at its end.
#[derive(Debug)]
pub struct Appender<R> {
    path: PathBuf,
    /// `None` until there is a first row: a table without rows is no file.
    file: Option<File>,
    row: PhantomData<fn(R)>,
}

impl<R: Row> Appender<R> {
    /// Opens the table at `path`, cutting off a last line without an end; the first row makes it if there is none.
    /// `keep` sees the bytes of the whole lines, header included, and says how many of them stay.
    pub fn open(path: &Path, keep: impl FnOnce(&[u8]) -> Result<usize>) -> Result<Self> {
        let found = Error::if_there("read", path, fs::read(path))?.unwrap_or_default();
        let whole = whole_lines(&found);
        check_header::<R>(path, whole)?;
        let kept = keep(whole)?.max(header::<R>().len());
        let mut file = None;
        if !whole.is_empty() {
            let opened = open_at_end(path)?;
            if kept < found.len() {
                opened
                    .set_len(kept as u64)
                    .and_then(|()| opened.sync_all())
                    .map_err(Error::io("repair", path))?;
            }
            file = Some(opened);
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            row: PhantomData,
        })
    }

    /// Opens the table at `path` and gives the rows that stand in it.
    pub fn open_with_rows(path: &Path) -> Result<(Self, Vec<R>)> {
        let mut rows = Vec::new();
        let appender = Self::open(path, |whole| {
            rows = parse(path, whole)?;
            Ok(whole.len())
        })?;
        Ok((appender, rows))
    }

    /// Appends one row and waits until it is on the disk.
    pub fn append(&mut self, row: &R) -> Result<()> {
        let bytes = lines::<R>(&self.path, std::slice::from_ref(row))?;
        self.append_lines(&bytes)
    }

    /// Appends rows and waits until they are on the disk.
    pub fn append_rows(&mut self, rows: impl IntoIterator<Item = R>) -> Result<()> {
        let bytes = lines::<R>(&self.path, rows)?;
        self.append_lines(&bytes)
    }

    /// Appends lines that the caller formatted, and waits until they are on the disk.
    pub fn append_lines(&mut self, bytes: &[u8]) -> Result<()> {
        self.append_parts([bytes])
    }

    /// Appends parts of whole lines, one after the other, and waits until all are on the disk.
    pub fn append_parts<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                atomic::write(&self.path, header::<R>().as_bytes())?;
                none.insert(open_at_end(&self.path)?)
            }
        };
        for bytes in parts {
            debug_assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
            file.write_all(bytes)
                .map_err(Error::io("append to", &self.path))?;
        }
        file.sync_data().map_err(Error::io("append to", &self.path))
    }

    /// Where the table stands.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        value: Option<f64>,
    }

    fn sample(name: &str, value: Option<f64>) -> Sample {
        Sample {
            name: name.into(),
            value,
        }
    }

    #[test]
    fn text_is_exact_and_floats_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let rows = [
            sample("a", Some(0.1 + 0.2)),
            sample("with, comma\nand line", None),
            sample("tiny", Some(5e-324)),
            sample("one", Some(1.0)),
        ];
        write(&path, &rows).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "name,value\na,0.30000000000000004\n\"with, comma\nand line\",\ntiny,5e-324\none,1.0\n"
        );
        assert_eq!(read::<Sample>(&path).unwrap(), rows);
    }

    #[test]
    fn rows_one_by_one_are_those_of_the_whole_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let fold = || fold(&path, |rows: &mut Vec<Sample>, row| rows.push(row));
        assert_eq!(fold().unwrap(), [], "no file has no rows");
        let long: String = (0..2000).map(|i| format!("row {i},{i}.5\n")).collect();
        for text in [
            "".to_owned(),
            "name,value\n".to_owned(),
            format!("name,value\n{long}"),
            format!("name,value\n{long}torn{}", "x".repeat(10_000)),
            "nam".to_owned(),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(fold().unwrap(), read::<Sample>(&path).unwrap());
        }
        for text in ["name\na\n", "name,value\na,b\n", "name,value\na,1,2\n"] {
            fs::write(&path, text).unwrap();
            let [folded, read] = [fold(), read(&path)].map(|rows| rows.unwrap_err().to_string());
            assert_eq!(folded, read);
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_earlier_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, "name,value\na,1.0\nb,2.").unwrap();
        assert_eq!(read::<Sample>(&path).unwrap(), [sample("a", Some(1.0))]);
        let (mut table, rows) = Appender::<Sample>::open_with_rows(&path).unwrap();
        assert_eq!(rows, [sample("a", Some(1.0))]);
        table.append(&sample("c", Some(3.0))).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "name,value\na,1.0\nc,3.0\n"
        );
    }

    #[test]
    fn a_table_without_rows_is_no_file_and_a_torn_header_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let (mut table, _) = Appender::<Sample>::open_with_rows(&path).unwrap();
        assert!(!path.exists());
        table.append(&sample("a", None)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "name,value\na,\n");
        fs::write(&path, "name,va").unwrap();
        let (mut table, _) = Appender::<Sample>::open_with_rows(&path).unwrap();
        table.append(&sample("b", None)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "name,value\nb,\n");
    }

    #[test]
    fn other_columns_and_wrong_cells_are_refused_with_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for (text, expected) in [
            ("name,other\na,1\n", "the columns are not name,value"),
            ("name,value\na,x\n", "--fresh"),
            ("name,value\na,1,2\n", "--fresh"),
        ] {
            fs::write(&path, text).unwrap();
            let message = read::<Sample>(&path).unwrap_err().to_string();
            assert!(message.contains("t.csv: "), "{message}");
            assert!(message.contains(expected), "{message}");
            assert_eq!(
                Appender::<Sample>::open_with_rows(&path)
                    .unwrap_err()
                    .to_string(),
                message
            );
        }
    }
}
