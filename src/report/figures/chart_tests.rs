use super::*;

fn chart(series: Vec<Series>) -> Chart {
    Chart {
        title: "a < b".to_owned(),
        x_label: "epoch".to_owned(),
        y_label: "accuracy (%)".to_owned(),
        x_ticks: Ticks::Whole,
        y_bounds: (0.0, 100.0),
        series,
        markers: true,
    }
}

fn series(name: &str, points: &[(f64, f64)]) -> Series {
    Series {
        name: name.to_owned(),
        points: points.to_vec(),
        ..Series::default()
    }
}

#[test]
fn what_scatters_has_a_band_or_a_whisker_within_the_bounds() {
    let mut lines = vec![series("a", &[(1.0, 99.0), (2.0, 50.0)])];
    lines[0].deviations = vec![5.0, 10.0];
    let banded = chart(lines.clone());
    assert_eq!(
        banded.spreads(&lines[0]),
        [(1.0, 94.0, 100.0), (2.0, 40.0, 60.0)]
    );
    assert!(banded.ranges().unwrap().y.0 < 40.0);
    let svg = banded.svg().unwrap().unwrap();
    assert!(svg.contains("<polygon") && svg.contains("<polyline"));
    lines[0].apart = true;
    let ticks = vec![(1.0, "BP".to_owned()), (2.0, "LinBP".to_owned())];
    let apart = Chart {
        x_ticks: Ticks::At(ticks),
        ..chart(lines)
    };
    let svg = apart.svg().unwrap().unwrap();
    assert!(!svg.contains("<polygon"));
    for tick in ["BP", "LinBP"] {
        assert!(svg.lines().any(|line| line == tick), "{tick}");
    }
}

#[test]
fn labels_legend_and_lines_are_drawn_and_text_is_escaped() {
    let lines = vec![
        series("train", &[(1.0, 10.0), (2.0, 20.0), (3.0, f64::NAN)]),
        series("<script>", &[(1.0, 30.0)]),
    ];
    let svg = chart(lines).svg().unwrap().unwrap();
    for text in [
        "a &lt; b",
        "epoch",
        "accuracy (%)",
        "train",
        "&lt;script&gt;",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("<script>") && !svg.contains("NaN"));
    assert!(svg.contains("<polyline"));
    assert!(svg.starts_with("<svg width=\"664\" height=\"380\" viewBox=\"0 0 1328 760\""));
}

#[test]
fn both_of_two_epochs_have_a_tick() {
    let line = vec![series("train", &[(1.0, 10.0), (2.0, 20.0)])];
    let svg = chart(line).svg().unwrap().unwrap();
    for tick in ["1", "2"] {
        assert!(svg.lines().any(|line| line == tick), "{tick}");
    }
}

#[test]
fn nothing_to_draw_is_no_chart() {
    assert!(chart(vec![]).svg().unwrap().is_none());
    let nothing = vec![series("a", &[(1.0, f64::NAN)])];
    assert!(chart(nothing).svg().unwrap().is_none());
}

#[test]
fn axes_stay_within_their_bounds_and_are_never_empty() {
    let flat = chart(vec![series("a", &[(4.0, 100.0)])]).ranges().unwrap();
    assert_eq!(flat.x, (3.5, 4.5));
    assert_eq!(flat.y.1, 100.0);
    assert!(flat.y.0 < 100.0);
}
