//! What the settings of attacks come to, seen by what the attacks ask of a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};

use super::attack_settings::Making;
use super::{Attack, Entry, Originals, Schedule, Square, Start, Steps, Threat, Victim};
use crate::Result;
use crate::experiment::plan;
use crate::nn::{BackwardPlan, Module, Network, Tape, Var};
use crate::spec::Request;

const CLASSES: usize = 10;
const BALL: Threat = Threat::linf(0.1);

/// The attacks of a stage that attacks by `settings` and evaluates under `evaluations`: its own, then these.
fn entries(settings: &str, evaluations: &str) -> Vec<Entry> {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("a.toml");
    let text = format!(
        "task = \"adversarial-train\"\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\noptimizer.lr = 0.1\n\
         train.epochs = 1\nevaluate.attacks = [{evaluations}]\n[attack]\nepsilon = 0.1\n{settings}\n"
    );
    std::fs::write(&spec, text).unwrap();
    let plan = plan(&Request {
        spec,
        ..Request::default()
    });
    plan.unwrap_or_else(|error| panic!("{error}")).runs[0]
        .spec
        .stages[0]
        .task
        .attacks()
}

fn of(entry: &Entry) -> Vec<Box<dyn Attack>> {
    made(entry, CLASSES).unwrap()
}

fn made(entry: &Entry, classes: usize) -> Result<Vec<Box<dyn Attack>>> {
    entry.attacks(&Making {
        threat: BALL,
        classes,
        name: None,
        in_ensemble: false,
    })
}

/// Gives the pixels of an image as its logits, and counts how often it is asked.
struct Counting(Arc<AtomicUsize>);

impl Module for Counting {
    fn forward(&self, tape: &Tape, x: &Var) -> Result<Var> {
        self.0.fetch_add(1, Ordering::Relaxed);
        crate::nn::structure::flatten(tape, x)
    }
}

/// What an attack makes of one image, and how often it asks the model.
fn carry_out(attack: &dyn Attack) -> (Vec<f32>, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Counting(Arc::clone(&asked));
    let network = Network::build(0, DType::F32, &Device::Cpu, None, |_| {
        Ok(Box::new(counting))
    })
    .unwrap();
    // The first class has won by more than any perturbation takes away.
    let mut pixels = vec![0.2f32; CLASSES];
    pixels[0] = 0.9;
    let images = Tensor::from_vec(pixels, (1, 1, 2, 5), &Device::Cpu).unwrap();
    let originals = Originals::new(&images, &[0], &[0], Start::default());
    let target = Victim::new(&network, BackwardPlan::none());
    let found = attack.perturb(&target, originals).unwrap();
    let found = found.flatten_all().unwrap().to_vec1().unwrap();
    (found, asked.load(Ordering::Relaxed))
}

#[test]
fn named_attacks_take_what_fits_and_tables_nothing() {
    let settings = "kind = \"pgd\"\nstep_size = 0.02\nk = 7\nrandom_start = true\nrestarts = 3";
    let tables =
        "{ kind = \"apgd\", k = 20 }, { name = \"few\", kind = \"pgd\", k = 2, step_size = 0.02 }";
    let entries = entries(
        settings,
        &format!("\"i-fgsm\", \"fgsm\", {tables}, \"apgd-dlr\""),
    );
    // APGD looks at its start, too.
    for (entry, (name, asked, restarts)) in entries.iter().zip([
        ("pgd", 7, 3),
        ("i-fgsm", 7, 3),
        ("fgsm", 1, 3),
        ("apgd", 21, 1),
        ("few", 2, 1),
        ("apgd-dlr", 8, 3),
    ]) {
        let attack = of(entry).remove(0);
        assert_eq!((entry.name.as_str(), attack.restarts()), (name, restarts));
        assert_eq!(carry_out(attack.as_ref()).1, asked, "{name}");
    }
    let fgsm = carry_out(of(&entries[2])[0].as_ref()).0;
    assert_ne!(fgsm, carry_out(&Steps::fgsm(BALL)).0, "the start is random");
    let [ce, dlr] = [&entries[3], &entries[5]].map(|entry| format!("{:?}", entry.settings));
    assert!(
        ce.contains("CrossEntropy") && dlr.contains("Dlr"),
        "{ce} {dlr}"
    );
}

#[test]
fn what_is_not_written_is_what_each_attack_is_known_for() {
    let entries = entries("kind = \"pgd\"\nstep_size = 0.02\nk = 2", "\"i-fgsm\"");
    for (entry, published) in entries
        .iter()
        .zip([Steps::pgd(BALL, 0.02, 2), Steps::i_fgsm(BALL, 0.02, 2)])
    {
        let found = carry_out(of(entry)[0].as_ref()).0;
        assert_eq!(found, carry_out(&published).0, "{}", entry.name);
    }
}

#[test]
fn the_standard_ensemble_is_the_published_one() {
    let entries = entries("kind = \"fgsm\"", "\"auto-attack\"");
    let members = of(&entries[1]);
    let names: Vec<&str> = members.iter().map(|member| member.name()).collect();
    assert_eq!(names, ["apgd-ce", "apgd-t", "fab-t", "square"]);
    assert!(members.iter().all(|member| member.restarts() == 1));
    // APGD and its start, nine times with the list of the classes; FAB asks twice a step; Square and its start.
    let asked: Vec<usize> = members
        .iter()
        .map(|member| carry_out(member.as_ref()).1)
        .collect();
    assert_eq!(asked, [101, 1 + 9 * 101, 1 + 9 * 200, 5001]);
    let square = |schedule| {
        carry_out(&Square {
            threat: BALL,
            queries: 5000,
            restarts: 1,
            schedule,
        })
    };
    let found = carry_out(members[3].as_ref());
    assert_eq!(found, square(Schedule::Published));
}

#[test]
fn members_have_settings_of_their_own() {
    let list = "[{ kind = \"apgd\", k = 5, loss = \"dlr\" }, \"apgd-ce\", \"square\"]";
    let settings = format!("kind = \"fgsm\"\nk = 9\nn_queries = 4\nattacks = {list}");
    let entries = entries(&settings, "\"auto-attack\"");
    let members = of(&entries[1]);
    let asked = members
        .iter()
        .map(|member| (member.name(), carry_out(member.as_ref()).1));
    let expected = [("apgd-dlr", 6), ("apgd-ce", 10), ("square", 5)];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

#[test]
fn more_classes_than_there_are_are_refused() {
    for (settings, evaluations, classes, expected) in [
        (
            "kind = \"fgsm\"\ntarget = 10",
            "",
            10,
            "fgsm: target: expected the number of a class, below 10, found 10",
        ),
        (
            "kind = \"apgd-t\"\nn_target_classes = 10",
            "",
            10,
            "apgd-t: n_target_classes: expected at most 9, the wrong ones of 10 classes, found 10",
        ),
        (
            "kind = \"apgd-t\"",
            "",
            3,
            "apgd-t: takes a model of at least 4 classes, and the data has 3; choose another attack",
        ),
        (
            "kind = \"apgd\"\nloss = \"dlr\"",
            "",
            2,
            "apgd with loss \"dlr\": takes a model of at least 3 classes, and the data has 2; choose another attack",
        ),
        (
            "kind = \"fgsm\"",
            "\"auto-attack\"",
            3,
            "apgd-t: takes a model of at least 4 classes, and the data has 3; choose another attack",
        ),
    ] {
        let evaluations = match evaluations {
            "" => "\"none\"",
            some => some,
        };
        let entries = entries(settings, evaluations);
        let error = made(&entries[entries.len() - 1], classes).err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
    // What is not written asks for no more than there are.
    let entries = entries("kind = \"fgsm\"", "\"fab-t\"");
    assert!(made(&entries[1], 3).is_ok());
}
