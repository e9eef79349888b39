//! Adversarial images side by side, with what they were and what the model takes them for.

use std::fmt::Write;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::data_uri;
use crate::error::{Error, Result};
use crate::run::{ExampleOutcome, ExampleRow, adversarial_images};
use crate::weights::load_safetensors;

const COLUMNS: usize = 6;
const MAX_IMAGES: usize = 18;
/// Images that are shown with their originals and changes.
const MAX_TRIPLES: usize = 8;
/// Side of an image, in pixels of the figure.
const SIDE: usize = 84;
const GAP: usize = 14;
const CAPTION: usize = 34;
const MARGIN: usize = 20;
const TITLE: usize = 40;

/// One image with its caption.
struct Shown {
    /// Where the image before the attack was kept: that one, and the change, magnified.
    before: Option<[String; 2]>,
    adversarial: String,
    /// What it is and what it is taken for.
    lines: [String; 2],
    broken: bool,
}

/// The grid of the attack in the folder `stage`; `None` where there is none. Images that the attack changed
/// successfully come first.
pub fn svg(title: &str, stage: &Path, rows: &[ExampleRow]) -> Result<Option<String>> {
    let path = adversarial_images(stage);
    if !path.exists() {
        return Ok(None);
    }
    let (found, _) = load_safetensors(&path, &Device::Cpu)?;
    let wrong = |what: &str| Error::failed(format!("{}: {what}", path.display()));
    let images = found
        .get("images")
        .ok_or_else(|| wrong("has no tensor named images"))?;
    if images.dtype() != DType::F32 || images.rank() != 4 {
        return Err(wrong("images are not f32 (N,C,H,W)"));
    }
    let originals = found
        .get("originals")
        .filter(|originals| originals.shape() == images.shape());
    let attacked = |row: &&ExampleRow| row.adversarial_prediction.is_some();
    let mut chosen: Vec<&ExampleRow> = rows.iter().filter(attacked).collect();
    chosen.sort_by_key(|row| row.outcome);
    chosen.truncate(match originals {
        Some(_) => MAX_TRIPLES,
        None => MAX_IMAGES,
    });
    let mut shown = Vec::new();
    // The largest change among those that are shown is the full range.
    let largest = chosen.iter().filter_map(|row| row.linf).fold(0.0, f64::max);
    let factor = if largest > 0.0 { 0.5 / largest } else { 1.0 };
    for row in chosen {
        let Some(adversarial) = picture(images, row.index)? else {
            continue;
        };
        let answer = row.adversarial_prediction_name.as_deref();
        let of = |class: &str, confidence: Option<f64>| match confidence {
            None => class.to_owned(),
            Some(share) => format!("{class} ({:.0} %)", 100.0 * share),
        };
        shown.push(Shown {
            before: match originals {
                Some(originals) => {
                    let change = (images.get(row.index)? - originals.get(row.index)?)?;
                    let change = change.affine(factor, 0.5)?.unsqueeze(0)?;
                    let pictures = [picture(originals, row.index)?, picture(&change, 0)?];
                    let [original, change] = pictures;
                    original
                        .zip(change)
                        .map(|(original, change)| [original, change])
                }
                None => None,
            },
            adversarial,
            lines: [
                // Attacked images are those that were right before.
                of(&row.label_name, row.clean_confidence),
                format!(
                    "\u{2192} {}",
                    of(answer.unwrap_or_default(), row.adversarial_confidence)
                ),
            ],
            broken: row.outcome == ExampleOutcome::Broken,
        });
    }
    Ok((!shown.is_empty()).then(|| draw(title, &shown, factor)))
}

/// Image `index` as a data URI; `None` where there is no such image or it cannot be drawn.
fn picture(images: &Tensor, index: usize) -> Result<Option<String>> {
    let (count, channels, height, width) = images.dims4()?;
    if index >= count {
        return Ok(None);
    }
    let pixels = images.get(index)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(data_uri::png(&pixels, [channels, height, width]))
}

fn draw(title: &str, shown: &[Shown], factor: f64) -> String {
    let triples = shown.iter().any(|image| image.before.is_some());
    let image_width = if triples { 3 * SIDE + 8 } else { SIDE };
    let columns = shown.len().min(if triples { COLUMNS / 3 } else { COLUMNS });
    let rows = shown.len().div_ceil(columns);
    let width = (2 * MARGIN + columns * (image_width + GAP) - GAP).max(360);
    let height = MARGIN + TITLE + rows * (SIDE + CAPTION + GAP) + MARGIN - GAP;
    let mut svg = String::new();
    let mut add = |text: std::fmt::Arguments| {
        // Writing to a String cannot fail.
        let _ = svg.write_fmt(text);
    };
    add(format_args!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" fill=\"#232323\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"{}\" font-size=\"15\">{}: adversarial images</text>\n\
         <text x=\"{MARGIN}\" y=\"{}\" font-size=\"12\">{}</text>\n",
        MARGIN + 8,
        escaped(title),
        MARGIN + 26,
        match triples {
            true => format!("original, change {factor:.0} times as large, adversarial image"),
            false => String::new(),
        }
    ));
    for (index, image) in shown.iter().enumerate() {
        let x = MARGIN + index % columns * (image_width + GAP);
        let y = MARGIN + TITLE + index / columns * (SIDE + CAPTION + GAP);
        let pictures = image.before.iter().flatten().chain([&image.adversarial]);
        for (place, picture) in pictures.enumerate() {
            add(format_args!(
                "<image x=\"{}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" \
                 style=\"image-rendering: pixelated\" href=\"{picture}\"/>\n",
                x + place * (SIDE + 4)
            ));
        }
        let color = if image.broken { "#b84e00" } else { "#232323" };
        for (line, (text, color)) in image.lines.iter().zip(["#232323", color]).enumerate() {
            add(format_args!(
                "<text x=\"{x}\" y=\"{}\" font-size=\"12\" fill=\"{color}\">{}</text>\n",
                y + SIDE + 14 + line * 15,
                escaped(text)
            ));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text that means itself inside SVG.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            letter if letter.is_control() => safe.push('?'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Tensors, save_safetensors};
    use std::collections::HashMap;

    fn attack(folder: &Path, with_originals: bool) -> Vec<ExampleRow> {
        let images = Tensor::rand(0f32, 1.0, (3, 3, 8, 8), &Device::Cpu).unwrap();
        let mut stored = Tensors::from([("images".to_owned(), images.clone())]);
        if with_originals {
            stored.insert("originals".to_owned(), images);
        }
        save_safetensors(&adversarial_images(folder), &stored, HashMap::new()).unwrap();
        let row = |index, label_name: &str, prediction: Option<&str>, outcome| ExampleRow {
            index,
            label_name: label_name.to_owned(),
            adversarial_prediction: prediction.map(|_| 0),
            adversarial_prediction_name: prediction.map(str::to_owned),
            outcome,
            linf: Some(0.025),
            ..ExampleRow::default()
        };
        let rows = [
            row(0, "a<b", Some("a<b"), ExampleOutcome::Withstood),
            row(1, "cat", None, ExampleOutcome::Misclassified),
            row(2, "dog", Some("a<b"), ExampleOutcome::Broken),
        ];
        rows.to_vec()
    }

    #[test]
    fn attacked_images_are_shown_broken_ones_first_with_their_classes() {
        let folder = tempfile::tempdir().unwrap();
        let rows = attack(folder.path(), false);
        let svg = svg("exp", folder.path(), &rows).unwrap().unwrap();
        assert_eq!(svg.matches("<image").count(), 2);
        let broken = svg.find(">dog</text>").unwrap();
        let withstood = svg.find(">a&lt;b</text>").unwrap();
        assert!(broken < withstood);
        assert_eq!(svg.matches(">\u{2192} a&lt;b</text>").count(), 2);
    }

    #[test]
    fn originals_are_shown_where_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = attack(folder.path(), true);
        rows[2].clean_confidence = Some(0.993);
        rows[2].adversarial_confidence = Some(0.5);
        let svg = svg("exp", folder.path(), &rows).unwrap().unwrap();
        assert_eq!(svg.matches("<image").count(), 6);
        assert!(svg.contains("original, change 20 times as large, adversarial image"));
        for text in [">dog (99 %)<", ">\u{2192} a&lt;b (50 %)<", ">a&lt;b<"] {
            assert!(svg.contains(text), "{svg}");
        }
    }

    #[test]
    fn no_attack_no_grid_and_strange_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(svg("exp", folder.path(), &[]).unwrap().is_none());
        let tensor = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let stored = Tensors::from([("images".to_owned(), tensor)]);
        save_safetensors(&adversarial_images(folder.path()), &stored, HashMap::new()).unwrap();
        let message = svg("exp", folder.path(), &[]).unwrap_err().to_string();
        assert!(
            message.contains("images are not f32 (N,C,H,W)"),
            "{message}"
        );
    }
}
