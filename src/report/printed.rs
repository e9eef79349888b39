//! Tables as text: for a terminal, for Markdown, for LaTeX.

use crate::aligned::aligned_rows;

/// How a table is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Printing {
    /// Columns of a terminal
    Text,
    /// A table of Markdown
    #[value(name = "md")]
    Markdown,
    /// A `tabular` of LaTeX with the rules of booktabs
    Latex,
}

/// A table of words. The first columns are text, the others numbers.
#[derive(Debug)]
pub struct Printed {
    pub header: Vec<String>,
    /// How many columns are text.
    pub text_columns: usize,
    /// The cells, each with whether it is the best of its column, which is set in bold.
    pub rows: Vec<Vec<(String, bool)>>,
}

impl Printed {
    /// A table in which no cell is better than others.
    pub fn plain<const N: usize>(
        header: [&str; N],
        text_columns: usize,
        rows: impl Iterator<Item = [String; N]>,
    ) -> Self {
        let plain = |row: [String; N]| row.map(|cell| (cell, false)).to_vec();
        Self {
            header: header.map(str::to_owned).to_vec(),
            text_columns,
            rows: rows.map(plain).collect(),
        }
    }

    /// The table, as lines that end with a line's end.
    pub fn print(&self, printing: Printing) -> String {
        match printing {
            Printing::Text => self.text(),
            Printing::Markdown => self.markdown(),
            Printing::Latex => self.latex(),
        }
    }

    fn text(&self) -> String {
        let cells = |row: &Vec<(String, bool)>| row.iter().map(|(cell, _)| cell.clone()).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        aligned_rows(&[std::slice::from_ref(&self.header), rows.as_slice()].concat())
    }

    fn markdown(&self) -> String {
        let escaped = |text: &str| text.replace('|', "\\|");
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.header.iter().map(|name| escaped(name)).collect());
        text += &format!("|{}\n", "---|".repeat(self.header.len()));
        for row in &self.rows {
            let bold = |(cell, best): &(String, bool)| match best {
                true => format!("**{}**", escaped(cell)),
                false => escaped(cell),
            };
            text += &line(row.iter().map(bold).collect());
        }
        text
    }

    fn latex(&self) -> String {
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let numbers = self.header.len() - self.text_columns;
        let columns = "l".repeat(self.text_columns) + &"r".repeat(numbers);
        let mut text = format!("\\begin{{tabular}}{{{columns}}}\n\\toprule\n");
        text += &line(self.header.iter().map(|name| in_latex(name)).collect());
        text += "\\midrule\n";
        for row in &self.rows {
            let bold = |(cell, best): &(String, bool)| match best {
                true => format!("\\textbf{{{}}}", in_latex(cell)),
                false => in_latex(cell),
            };
            text += &line(row.iter().map(bold).collect());
        }
        text + "\\bottomrule\n\\end{tabular}\n"
    }
}

/// Words that stand beside a table: as they are, or as a comment of LaTeX.
pub fn remark(words: &str, printing: Printing) -> String {
    match printing {
        Printing::Text => format!("{words}\n"),
        Printing::Markdown => format!("{words}\n\n"),
        Printing::Latex => format!("% {words}\n"),
    }
}

fn in_latex(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '±' => escaped += "$\\pm$",
            letter => escaped.push(letter),
        }
    }
    escaped
}
