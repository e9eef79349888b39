//! `report.html` in a browser without a window. Skipped where there is none (Debian: chromium).

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::program::{run, simulation};

/// What a reader does on the page; it ends as what was seen.
const READER: &str = include_str!("reader.js");

fn browser() -> Option<&'static str> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()))
}

fn shown(browser: &str, page: &Path, home: &Path) -> String {
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1000,800",
        ])
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", home.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_page_sorts_filters_and_fits() {
    let Some(browser) = browser() else {
        writeln!(
            std::io::stderr(),
            "skipped: no chromium to open report.html in"
        )
        .unwrap();
        return;
    };
    let folder = simulation();
    let folder = folder.path();
    let (code, _, err) = run(folder, &["sim.toml", "--sweep", "simulate.steps=5,30,3"]);
    assert_eq!(code, 0, "{err}");
    let page = std::fs::read_to_string(folder.join("results/sim/report.html")).unwrap();
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
    let read = folder.join("read.html");
    std::fs::write(
        &read,
        page.replace("</body>", &format!("<script>{READER}</script></body>")),
    )
    .unwrap();
    let seen = shown(browser, &read, &folder.join("browser"));
    assert!(seen.contains("<p>3 5 30|30 5 3|5|true|true</p>"), "{seen}");
}
