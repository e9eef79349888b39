//! Figures for places that take no SVG: PNG, and PDF in which lines and letters stay outlines.

use std::path::{Path, PathBuf};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, WriteOptions};

use crate::{Error, Result, atomic};

/// What a figure is written as, beside SVG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rendering {
    /// For slides: three pixels to each of the figure's own, and a white ground
    Png,
    /// For LaTeX
    Pdf,
}

/// Pixels of a PNG a unit of the figure.
const PIXELS: f32 = 3.0;
/// The one font, so that figures look the same on every machine.
const FONT: &str = "Noto Sans";

/// Writes the figure at `svg` once more beside itself; gives the path.
///
/// # Errors
/// A figure that cannot be read or written.
pub fn render(svg: &Path, rendering: Rendering) -> Result<PathBuf> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::failed(format!("{}: cannot be drawn: {why}", svg.display()))
    };
    let text = std::fs::read_to_string(svg).map_err(Error::io("read", svg))?;
    let mut options = Options {
        font_family: FONT.to_owned(),
        ..Options::default()
    };
    let fonts = options.fontdb_mut();
    fonts.load_font_data(notosans::REGULAR_TTF.to_vec());
    fonts.set_sans_serif_family(FONT);
    let tree = Tree::from_str(&text, &options).map_err(|error| failed(&error))?;
    let (ending, bytes) = match rendering {
        Rendering::Png => {
            let size = tree.size().to_int_size().scale_by(PIXELS);
            let pixels = size.and_then(|size| Pixmap::new(size.width(), size.height()));
            let mut pixels = pixels.ok_or_else(|| failed(&"its size"))?;
            let scale = Transform::from_scale(PIXELS, PIXELS);
            resvg::render(&tree, scale, &mut pixels.as_mut());
            ("png", pixels.encode_png().map_err(|error| failed(&error))?)
        }
        Rendering::Pdf => {
            // Letters as outlines: what embeds fonts takes longer to compile than this program.
            let outlines = tree.to_string(&WriteOptions::default());
            let outlines = Tree::from_str(&outlines, &options).map_err(|error| failed(&error))?;
            let conversion = svg2pdf::ConversionOptions::default();
            let page = svg2pdf::PageOptions::default();
            let pdf = svg2pdf::to_pdf(&outlines, conversion, page);
            ("pdf", pdf.map_err(|error| failed(&error))?)
        }
    };
    let path = svg.with_extension(ending);
    atomic::write(&path, &bytes)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_letters_and_images_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let svg = folder.path().join("a.svg");
        let picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVQI12P4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC";
        let text = |letters: &str| {
            format!(
                "<svg width=\"40\" height=\"20\" xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\"><rect width=\"40\" \
                 height=\"20\" fill=\"#ffffff\"/><text x=\"2\" y=\"15\" font-size=\"12\">{letters}</text><image x=\"30\" y=\"5\" \
                 width=\"10\" height=\"10\" href=\"{picture}\"/></svg>"
            )
        };
        let drawn = |letters: &str, rendering| {
            std::fs::write(&svg, text(letters)).unwrap();
            std::fs::read(render(&svg, rendering).unwrap()).unwrap()
        };
        let of = |letters: &str| {
            let png = image::load_from_memory(&drawn(letters, Rendering::Png)).unwrap();
            png.into_rgb8()
        };
        let (empty, full) = (of(""), of("\u{2192}\u{b1}"));
        assert_eq!((full.width(), full.height()), (120, 60));
        assert_eq!(empty.get_pixel(10, 30).0, [255; 3]);
        assert_eq!(empty.get_pixel(105, 30).0, [255, 0, 0]);
        assert_ne!(empty, full);
        let [empty, full] = ["", "a"].map(|letters| drawn(letters, Rendering::Pdf));
        assert!(full.starts_with(b"%PDF-"));
        assert!(full.windows(6).any(|part| part == b"/Image"));
        assert!(full.len() > empty.len() + 50);
        std::fs::write(&svg, "<svg").unwrap();
        let error = render(&svg, Rendering::Pdf).unwrap_err().to_string();
        assert!(error.contains("a.svg: cannot be drawn"), "{error}");
    }
}
