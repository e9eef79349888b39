//! Task `transfer` on images and networks from outside, and its tables.

use std::path::Path;
use std::process::Command;

use crate::find;

/// What the program answers in a folder.
fn answer(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{args:?}: {err}");
    out
}

/// The rows of a table, of which a model's name is the first column.
fn table(folder: &Path, name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(find(folder, name)).unwrap();
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

/// Images that an attack stage wrote, as floats and as PNG files, and a network in an ONNX file stand in the same table as
/// what the transfer makes and loads itself.
#[test]
fn images_and_networks_from_outside_are_judged_by_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = "data = { kind = \"digits\", train_limit = 2000, test_limit = 60, batch_size = 50, eval_batch_size = 25 }\n\
                attack = { kind = \"fgsm\", epsilon = 0.05 }\nseed = 1\n";
    let made = format!(
        "name = \"made\"\n{data}[[stage]]\nid = \"mlp\"\ntask = \"train\"\nmodel = {{ arch = \"mlp\", widths = [64] }}\n\
         optimizer = {{ lr = 0.1 }}\ntrain = {{ epochs = 3 }}\n\
         [[stage]]\nid = \"craft\"\ntask = \"attack\"\nmodel = {{ weights = \"@mlp\" }}\n"
    );
    std::fs::write(folder.join("made.toml"), made).unwrap();
    answer(folder, &["made.toml"]);
    answer(
        folder,
        &["weights", "export", "made", "net.onnx", "--stage", "mlp"],
    );
    let stages = folder.join("results/made/stages");
    let of = |name: &str| find(&stages, name).display().to_string();
    let (weights, floats) = (of("final.safetensors"), of("adversarial.safetensors"));
    let pngs = of("adversarial");
    let judged = format!(
        "name = \"judged\"\ntask = \"transfer\"\n{data}[linbp]\nlayers = [\"relu1\"]\n\
         [transfer]\nimages = \"right-for-all\"\nsurrogates = [\"dense\"]\n\
         adversarial = {{ floats = \"{floats}\", pngs = \"{pngs}\" }}\n\
         [transfer.models]\ndense = {{ arch = \"mlp\", widths = [64], weights = \"{weights}\" }}\nexported = {{ arch = \"onnx:net.onnx\" }}\n"
    );
    std::fs::write(folder.join("judged.toml"), &judged).unwrap();
    answer(folder, &["judged.toml"]);
    let results = folder.join("results/judged");
    let rows = table(&results, "transfer.csv");
    let names: Vec<String> = rows.iter().map(|row| row[..4].join(" ")).collect();
    assert_eq!(
        names,
        [
            "dense dense fgsm false",
            "dense exported fgsm false",
            "dense dense fgsm true",
            "dense exported fgsm true",
            "floats dense floats false",
            "floats exported floats false",
            "pngs dense pngs false",
            "pngs exported pngs false",
        ]
    );
    // Accuracies and success rates of what the stage made and of its own, which are the same images.
    assert_eq!(rows[4][4..11], rows[0][4..11]);
    assert_eq!([&*rows[0][11], &*rows[4][11]], ["true", "false"]);
    assert_eq!(rows[6][4], rows[0][5], "a PNG is rounded to 8 bits");
    // The network in the file is the same as that of the weights.
    for pair in rows.chunks(2) {
        assert_eq!(pair[0][4..11], pair[1][4..11]);
    }
    // Only what all have right is attacked: both denominators of success are one.
    assert_eq!(rows[0][9], rows[0][10]);
    assert_ne!(rows[0][9], rows[0][8]);

    // The table of images says the same.
    let examples = table(&results, "transfer_examples.csv");
    assert_eq!(examples.len(), rows.len() * 60);
    for row in &rows {
        let mine = || examples.iter().filter(|example| example[..4] == row[..4]);
        let attacked = mine().filter(|example| !example[7].is_empty());
        let attacked: Vec<&Vec<String>> = attacked.collect();
        assert_eq!(attacked.len().to_string(), row[10]);
        let successes = attacked.iter().filter(|example| example[8] == "true");
        let rate: f64 = row[6].parse().unwrap();
        assert_eq!(successes.count() as f64 / attacked.len() as f64, rate);
        let right = mine().filter(|example| {
            let answer = if example[7].is_empty() {
                &example[6]
            } else {
                &example[7]
            };
            *answer == example[5]
        });
        assert_eq!(right.count() as f64 / 60.0, row[4].parse::<f64>().unwrap());
    }
    let hash = |path: &str| {
        let bytes = std::fs::read(folder.join(path)).unwrap();
        blake3::hash(&bytes).to_hex().to_string()
    };
    assert_eq!(
        table(&results, "transfer_models.csv"),
        [
            ["dense", "mlp", "weights", &weights, &hash(&weights)],
            [
                "exported",
                "onnx:net.onnx",
                "network",
                "net.onnx",
                &hash("net.onnx")
            ],
        ]
        .map(|row| row.map(str::to_owned).to_vec())
    );

    let latex = answer(folder, &["report", "judged", "--format", "latex"]);
    assert_eq!(latex.matches("\\begin{tabular}").count(), 3, "{latex}");
    assert!(latex.contains("dense & fgsm & LinBP & "), "{latex}");
    let csv = answer(
        folder,
        &["report", "judged", "--format", "csv", "--transfer"],
    );
    assert_eq!(csv.lines().count(), 1 + rows.len(), "{csv}");
    let run = find(&results, "run.json");
    let run = run.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let compared = answer(folder, &["compare", &format!("judged/{run}")]);
    let lines: Vec<&str> = compared.lines().collect();
    assert!(
        lines[0].starts_with("SURROGATE  JUDGE") && lines[1].starts_with("dense      dense*"),
        "{compared}"
    );
    assert!(
        lines[1].contains("fgsm by BP") && lines[1].contains("fgsm by LinBP"),
        "{compared}"
    );
    let twice = answer(
        folder,
        &[
            "compare",
            &format!("judged/{run}"),
            &format!("judged/{run}"),
        ],
    );
    assert!(
        twice.lines().any(
            |line| line.starts_with("dense      exported  fgsm by LinBP")
                && line.split_whitespace().last() == Some("1.0000")
        ),
        "{twice}"
    );

    // An image that is not there is not attacked.
    let class = std::fs::read_dir(&pngs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let class = class
        .filter(|path| path.read_dir().unwrap().next().is_some())
        .min()
        .unwrap();
    let gone = class.read_dir().unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&gone).unwrap();
    let fewer = judged
        .replace("\"judged\"", "\"fewer\"")
        .replace("right-for-all", "right-for-surrogate");
    std::fs::write(folder.join("fewer.toml"), &fewer).unwrap();
    answer(folder, &["fewer.toml"]);
    let examples = table(&folder.join("results/fewer"), "transfer_examples.csv");
    let unattacked = examples
        .iter()
        .filter(|row| row[0] == "pngs" && row[7].is_empty());
    assert_eq!(unattacked.count(), 2, "the one image, for both judges");
}
