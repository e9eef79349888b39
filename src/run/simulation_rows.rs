//! The rows of `simulation.csv` one after the other, faster than the general reader of tables and without a copy of all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::simulation::{Method, SimulationRow};
use super::table;
use crate::error::{Error, Result};

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// What `add` makes of the rows of the file at `path`, in their order, from an empty `T`; no file has no rows. A last
/// line without an end is left out. Errors are those of [`table::read`].
pub fn fold_simulation<T: Default>(
    path: &Path,
    mut add: impl FnMut(&mut T, &SimulationRow),
) -> Result<T> {
    let mut folded = T::default();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(folded),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let plain = plain_rows(file, |row| add(&mut folded, row)).map_err(Error::io("read", path))?;
    if !plain {
        // Something that the program does not write: the general reader knows whether it is a table all the same.
        folded = T::default();
        for row in table::read::<SimulationRow>(path)? {
            add(&mut folded, &row);
        }
    }
    Ok(folded)
}

/// Gives the rows to `add` as long as the lines look as the program writes them; whether all of them did.
fn plain_rows(mut file: impl Read, mut add: impl FnMut(&SimulationRow)) -> std::io::Result<bool> {
    let header = table::header::<SimulationRow>();
    let mut header_is_due = true;
    let mut buffer = vec![0; CHUNK];
    let mut held = 0;
    loop {
        match file.read(&mut buffer[held..]) {
            Ok(0) => return Ok(held < CHUNK),
            Ok(count) => held += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let mut whole = table::whole_lines(&buffer[..held]);
        let end = whole.len();
        if header_is_due && end > 0 {
            let Some(rest) = whole.strip_prefix(header.as_bytes()) else {
                return Ok(false);
            };
            whole = rest;
            header_is_due = false;
        }
        while !whole.is_empty() {
            let Some((row, rest)) = plain_row(whole) else {
                return Ok(false);
            };
            add(&row);
            whole = rest;
        }
        buffer.copy_within(end..held, 0);
        held -= end;
    }
}

/// The row of the first line of `text`, and what follows the line.
fn plain_row(text: &[u8]) -> Option<(SimulationRow, &[u8])> {
    let (repeat, text) = whole_number(text)?;
    let (step, text) = whole_number(text)?;
    let (method, text) = cell(text, b',')?;
    let method = match method {
        b"bp" => Method::Bp,
        b"linbp" => Method::Linbp,
        _ => return None,
    };
    let (l1_distance, text) = cell(text, b',')?;
    let (loss, text) = cell(text, b'\n')?;
    let row = SimulationRow {
        repeat,
        step,
        method,
        l1_distance: float(l1_distance)?,
        loss: match loss {
            b"" => None,
            loss => Some(float(loss)?),
        },
    };
    Some((row, text))
}

/// What stands before the first `end`, and what follows it.
fn cell(text: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let length = text.iter().position(|&byte| byte == end)?;
    Some((&text[..length], &text[length + 1..]))
}

fn whole_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = cell(text, b',')?;
    let mut number = 0_u64;
    for digit in digits {
        let digit = u64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    (!digits.is_empty()).then_some((number, rest))
}

fn float(digits: &[u8]) -> Option<f64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HEADER: &str = "repeat,step,method,l1_distance,loss\n";

    /// Both readers' rows or message.
    fn both(text: &str) -> [std::result::Result<Vec<SimulationRow>, String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("simulation.csv");
        fs::write(&path, text).unwrap();
        let folded = fold_simulation(&path, |rows: &mut Vec<_>, row| rows.push(row.clone()));
        [folded, table::read(&path)].map(|rows| {
            rows.map_err(|error| {
                let message = error.to_string();
                message.replace(&folder.path().display().to_string(), "")
            })
        })
    }

    #[test]
    fn rows_are_those_of_the_general_reader() {
        let mut long = HEADER.to_owned();
        for step in 0..20_000 {
            long += &format!("3,{step},linbp,0.{step}25,{step}e-7\n");
        }
        assert!(long.len() > 2 * CHUNK);
        for (text, rows) in [
            (String::new(), 0),
            (HEADER.to_owned(), 0),
            (long, 20_000),
            (format!("{HEADER}0,1,bp,1.5,\n0,1,linbp,-2,inf\n"), 2),
            (format!("{HEADER}0,1,bp,1.5,2.5\n0,1,linbp,3"), 1),
            (format!("{HEADER}0,1,bp,1.5,2.5\r\n0,2,\"bp\",1.5,2.5\n"), 2),
        ] {
            let [folded, read] = both(&text);
            assert_eq!(folded.as_ref().unwrap().len(), rows);
            assert_eq!(folded, read);
        }
    }

    #[test]
    fn what_is_no_row_is_refused_as_by_the_general_reader() {
        for text in [
            "repeat,step\n1,2\n".to_owned(),
            format!("{HEADER}0,1,bp,1.5,2.5\n0,x,bp,1.5,2.5\n"),
            format!("{HEADER}0,1,sgd,1.5,2.5\n"),
            format!("{HEADER}0,1,bp,1.5,2.5,3\n"),
            format!("{HEADER}99999999999999999999999,1,bp,1.5,2.5\n"),
        ] {
            let [folded, read] = both(&text);
            assert_eq!(folded, read);
            assert!(folded.is_err(), "{text}");
        }
    }

    #[test]
    fn no_file_has_no_rows() {
        let folder = tempfile::tempdir().unwrap();
        let rows = fold_simulation(&folder.path().join("none.csv"), |rows: &mut u64, _| {
            *rows += 1
        });
        assert_eq!(rows.unwrap(), 0);
    }
}
