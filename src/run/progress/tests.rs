//! Tests of the module around them.

use super::*;

fn lines_of(mode: Mode, show: impl FnOnce(&Progress)) -> String {
    let progress = Progress::with(mode, Sink::Memory(Vec::new()));
    show(&progress);
    match &*progress.sink.lock().unwrap() {
        Sink::Memory(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Sink::Stderr => unreachable!("the sink is memory"),
    }
}

fn train(progress: &Progress) {
    let progress = progress.labelled("k=5");
    progress.stage("main", 2);
    progress.epoch(1, 4);
    // Long ago, so that the next batch shows.
    progress.work().shown = Instant::now() - LINE_INTERVAL;
    progress.work().phase_began = Instant::now() - LINE_INTERVAL;
    progress.batch(1, Some(2.5), 128);
    progress.batch(2, Some(2.25), 128);
    progress.line("epoch 1: loss 2.3\u{1b}[31m");
}

#[test]
fn plain_lines_are_few_and_clean() {
    let text = lines_of(Mode::Lines, train);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], "k=5: main: 2 epochs");
    let batch = "k=5: main: epoch 1/2, batch 1/4, loss 2.5000, ";
    assert!(lines[1].starts_with(batch), "{text}");
    assert!(lines[1].contains("examples/s"), "{text}");
    assert_eq!(lines[2], "k=5: main: epoch 1: loss 2.3?[31m");
    assert!(!text.contains('\u{1b}') && !text.contains('\r'));
}

#[test]
fn phases_have_their_own_time_left_and_epochs_keep_theirs() {
    let progress = Progress::with(Mode::Lines, Sink::Memory(Vec::new()));
    progress.stage("main", 10);
    progress.epoch(1, 2);
    progress.batch(1, None, 1);
    let baseline = progress.work().baseline;
    assert_eq!(baseline.map(|(share, _)| share), Some(0.05));
    progress.phase("test", 4, 0);
    progress.work().shown = Instant::now() - LINE_INTERVAL;
    progress.work().phase_began = Instant::now() - Duration::from_secs(60);
    progress.batch(3, None, 1);
    progress.epoch(2, 2);
    progress.batch(1, None, 1);
    assert_eq!(progress.work().baseline, baseline);
    let sink = progress.sink.lock().unwrap();
    let Sink::Memory(bytes) = &*sink else {
        unreachable!("the sink is memory")
    };
    let text = String::from_utf8_lossy(bytes);
    assert!(text.contains("epoch 1/10 test, batch 3/4, "), "{text}");
    assert!(text.contains(", 20s left"), "{text}");
}

/// A terminal that notes what is written to it.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<String>>);

impl indicatif::TermLike for Notes {
    fn width(&self) -> u16 {
        120
    }
    fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> std::io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> std::io::Result<()> {
        self.write_str("\n")
    }
    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_bar_has_the_count_of_another_phase() {
    let notes = Notes::default();
    let mut progress = Progress::with(Mode::Bars, Sink::Memory(Vec::new()));
    let terminal = ProgressDrawTarget::term_like_with_hz(Box::new(notes.clone()), 255);
    progress.bars = MultiProgress::with_draw_target(terminal);
    progress.stage("main", 2);
    let long_ago = Instant::now() - BAR_INTERVAL;
    let pause = || std::thread::sleep(Duration::from_millis(20));
    progress.epoch(1, 305);
    progress.work().shown = long_ago;
    pause();
    progress.batch(305, None, 1);
    pause();
    progress.phase("evaluating", 4, 1);
    progress.finish();
    let text = notes.0.lock().unwrap().clone();
    for part in ["0/305", "305/305", "1/4"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["305/4", "0/4"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
}

#[test]
fn quiet_shows_nothing() {
    assert_eq!(lines_of(Mode::Quiet, train), "");
}
