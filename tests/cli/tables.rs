//! The tables of all runs of a name, as the program writes them after a sweep and again on demand.

use std::path::Path;

use crate::program::run;

const SPEC: &str = r#"
name = "curve"
task = "attack"
data = { kind = "digits", test_limit = 20, eval_batch_size = 20 }
model = { arch = "mlp", widths = [8] }
attack = { kind = "pgd", epsilon = 0.1, step_size = 0.05 }
"#;

fn table(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let path = folder.join("results/curve").join(name);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .unwrap();
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| row.iter().map(str::to_owned).collect())
        .collect()
}

/// The values of a column.
fn column<'a>(table: &'a [Vec<String>], name: &str) -> Vec<&'a str> {
    let found = table[0].iter().position(|column| column == name);
    let at = found.unwrap_or_else(|| panic!("no column {name} in {:?}", table[0]));
    table[1..].iter().map(|row| row[at].as_str()).collect()
}

#[test]
fn seeds_become_means_and_deviations() {
    let folder = tempfile::tempdir().unwrap();
    let text = SPEC.replace("kind = \"pgd\"", "kind = \"pgd\", k = 1")
        + "linbp = { layers = [\"relu1\"] }\n";
    std::fs::write(folder.path().join("curve.toml"), text).unwrap();
    let sweep = [
        "curve.toml",
        "--sweep",
        "linbp.attack=false,true",
        "--sweep",
        "seed=0,1,2",
    ];
    let (code, out, err) = run(folder.path(), &sweep);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("results/curve/report.html"), "{out}");
    let summary = table(folder.path(), "summary.csv");
    let metric = "test_pgd_accuracy";
    let pairs = column(&summary, "linbp.attack")
        .into_iter()
        .zip(column(&summary, metric));
    let of_bp = pairs.filter(|(linear, _)| *linear == "false");
    let of_bp: Vec<f64> = of_bp.map(|(_, value)| value.parse().unwrap()).collect();
    assert_eq!(of_bp.len(), 3);
    let mean = of_bp.iter().sum::<f64>() / 3.0;
    let format = |format| run(folder.path(), &["report", "curve", "--format", format]);
    let (code, csv, _) = format("csv");
    assert_eq!(code, 0);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0][at("linbp.attack")], &rows[0][at("runs")]),
        ("false", "3")
    );
    let found: f64 = rows[0][at("test_pgd_accuracy_mean")].parse().unwrap();
    assert!((found - mean).abs() < 1e-12, "{found} {mean}");
    let (_, markdown, _) = format("md");
    assert!(
        markdown.contains("| BP | 3 | ") && markdown.contains("| LinBP | 3 | "),
        "{markdown}"
    );
    let figures = folder.path().join("results/curve/figures");
    assert!(
        figures
            .join(format!("sweep-linbp.attack-{metric}.svg"))
            .is_file()
    );
    assert!(!figures.join(format!("sweep-seed-{metric}.svg")).exists());
    let compare = |words: &[&str]| run(folder.path(), &[&["compare"], words].concat());
    let (code, out, err) = compare(&["curve", "--over", "linbp.attack"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with("curve: linbp.attack, LinBP against BP\n"),
        "{out}"
    );
    let line = out
        .lines()
        .find(|line| line.starts_with("test pgd accuracy (%)"));
    let cells: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(cells[4], format!("{:.2}", 100.0 * mean), "{out}");
    assert_eq!(cells[cells.len() - 2], "3", "{out}");
    let latex = compare(&["curve", "--over", "linbp.attack", "--format", "latex"]).1;
    assert!(
        latex.starts_with("% curve: linbp.attack, LinBP against BP\n\\begin{tabular}{lrrrrr}\n"),
        "{latex}"
    );
    let (code, _, err) = compare(&["curve", "--over", "linbp.attak"]);
    assert!(
        code == 2 && err.contains("did you mean \"linbp.attack\"?"),
        "{err}"
    );
    let runs = [
        "curve/linbp.attack=false,seed=0",
        "curve/linbp.attack=true,seed=0",
    ];
    let (code, out, err) = compare(&runs);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("linbp.attack  false") && out.contains("McNemar"),
        "{out}"
    );
    let (code, _, err) = compare(&["curve/linbp.attack", runs[1]]);
    assert!(code == 2 && err.contains("6 runs are called so"), "{err}");
    let chosen = [
        "report",
        "curve",
        "--format",
        "md",
        "--metrics",
        "success_rate",
    ];
    let (code, out, _) = run(folder.path(), &chosen);
    assert!(
        code == 0 && out.starts_with("| linbp.attack | runs | success rate (%) |\n"),
        "{out}"
    );
    let (code, _, err) = run(
        folder.path(),
        &["report", "curve", "--metrics", "sucess_rate"],
    );
    assert!(
        code == 1 && err.contains("did you mean \"success_rate\"?"),
        "{err}"
    );
    let (code, _, err) = run(folder.path(), &["report", "curve", "--over", "attack.k"]);
    assert!(
        code == 1 && err.contains("attack.k: the runs do not differ in this setting"),
        "{err}"
    );
    let (code, out, _) = run(
        folder.path(),
        &["report", "curve", "--over", "linbp.attack"],
    );
    assert!(code == 0 && out.contains("sweep-linbp.attack-"), "{out}");
    let (code, _, err) = run(folder.path(), &["report", "curve", "--format", "pdf"]);
    assert!(code == 2 && err.contains("md, latex, csv"), "{err}");
}

#[test]
fn runs_are_sorted_by_number_in_every_table() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("curve.toml"), SPEC).unwrap();
    let sweep = [
        "curve.toml",
        "--sweep",
        "attack.epsilon=16/255,0.0313,1/255",
        "--sweep",
        "attack.k=10,2,1",
    ];
    let (code, out, err) = run(folder.path(), &sweep);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("results/curve/summary.csv\nresults/curve/results.csv\n"),
        "{out}"
    );

    let k = ["1", "2", "10"];
    let summary = table(folder.path(), "summary.csv");
    assert_eq!(column(&summary, "attack.k"), k.repeat(3));
    let epsilons: Vec<f64> = column(&summary, "attack.epsilon")
        .iter()
        .map(|epsilon| epsilon.parse().unwrap())
        .collect();
    assert!(epsilons.is_sorted(), "{epsilons:?}");
    assert_eq!(epsilons.first(), Some(&(1.0 / 255.0)));

    // One row without an attack, one under it, one under it after rounding.
    let results = table(folder.path(), "results.csv");
    let attacks = column(&results, "attack");
    assert_eq!(attacks, ["none", "pgd", "pgd"].repeat(9));
    let rounding = column(&results, "rounding");
    assert_eq!(rounding, ["none", "none", "8bit"].repeat(9));
    let order = column(&results, "attack.k");
    let expected: Vec<&str> = k.iter().flat_map(|k| [*k; 3]).collect();
    assert_eq!(order, expected.repeat(3));

    let (code, out, _) = run(folder.path(), &["list", "curve", "--wide"]);
    assert_eq!(code, 0);
    let starts = ["1_255", "0.0313", "16_255"]
        .into_iter()
        .flat_map(|epsilon| k.map(|k| format!("attack.epsilon={epsilon},attack.k={k}-")));
    for (line, start) in out.lines().skip(1).zip(starts) {
        assert!(line.contains(&start), "{start}\n{out}");
    }

    // The files of the runs alone give the tables again.
    let text = |name: &str| {
        let path = folder.path().join("results/curve").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let before = ["summary.csv", "results.csv"].map(text);
    std::fs::remove_file(folder.path().join("results/curve/results.csv")).unwrap();
    assert_eq!(run(folder.path(), &["report", "curve"]).0, 0);
    assert_eq!(["summary.csv", "results.csv"].map(text), before);
}

#[test]
fn a_run_that_failed_has_its_reason_in_the_summary() {
    let folder = tempfile::tempdir().unwrap();
    let spec = "name = \"curve\"\ntask = \"train\"\n\
                data = { kind = \"digits\", train_limit = 40, test_limit = 10, batch_size = 20 }\n\
                model = { arch = \"mlp\", widths = [8] }\ntrain = { epochs = 2 }\n";
    std::fs::write(folder.path().join("curve.toml"), spec).unwrap();
    let sweep = ["curve.toml", "--sweep", "optimizer.lr=1e30,0.1"];
    let (code, _, err) = run(folder.path(), &sweep);
    assert_eq!(code, 1, "{err}");
    let summary = table(folder.path(), "summary.csv");
    assert_eq!(column(&summary, "state"), ["finished", "failed"]);
    assert_eq!(column(&summary, "epoch"), ["2", "0"]);
    let errors = column(&summary, "error");
    assert_eq!(errors[0], "");
    assert!(errors[1].contains("the loss is"), "{errors:?}");
    let results = table(folder.path(), "results.csv");
    let finals = column(&results, "final");
    let epochs = column(&results, "epoch");
    let last: Vec<bool> = epochs.iter().map(|epoch| *epoch == "2").collect();
    let said: Vec<bool> = finals.iter().map(|text| *text == "true").collect();
    assert_eq!(said[..4], last[..4], "{results:?}");
}
