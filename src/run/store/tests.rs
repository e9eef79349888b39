use candle_core::Tensor;
use serde_json::json;

use super::*;
use crate::weights::Tensors;

fn checkpoint(epoch: u64, best: Option<Best>) -> Checkpoint {
    let weight = Tensor::new(&[epoch as f32], &Device::Cpu).unwrap();
    Checkpoint {
        stamp: stamp(epoch),
        best,
        tensors: Tensors::from([("weight".to_owned(), weight)]),
        state: json!({ "epoch": epoch }),
    }
}

fn stamp(epoch: u64) -> Stamp {
    Stamp {
        step: 10 * epoch,
        epoch,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A store of two that has seen these scores, one per epoch, and its folder.
fn store_with(scores: &[Option<f64>]) -> (tempfile::TempDir, CheckpointStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path().join("checkpoints"), 2);
    let mut best = None;
    for (epoch, score) in (1..).zip(scores) {
        if let Some(score) = score {
            best = Best::of(best, stamp(epoch), *score);
        }
        store.save(&checkpoint(epoch, best)).unwrap();
    }
    (folder, store)
}

fn epoch(checkpoint: &Checkpoint) -> u64 {
    checkpoint.state["epoch"].as_u64().unwrap()
}

fn last(store: &CheckpointStore) -> Result<Option<u64>> {
    store.resume(&Device::Cpu, |checkpoint| Ok(epoch(checkpoint)))
}

fn best(store: &CheckpointStore) -> Option<u64> {
    let best = store.best(&Device::Cpu).unwrap();
    best.as_ref().map(epoch)
}

fn damage(store: &CheckpointStore, epoch: u64) {
    let path = store.path(stamp(epoch));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn the_newest_two_and_the_best_stay_and_are_named() {
    let (_folder, store) = store_with(&[Some(0.1), Some(0.9), Some(0.9), Some(0.2), None]);
    assert_eq!(
        names(&store.folder),
        [
            "best",
            "e0002-s00000020.safetensors",
            "e0004-s00000040.safetensors",
            "e0005-s00000050.safetensors",
            "last"
        ]
    );
    assert_eq!(last(&store).unwrap(), Some(5));
    assert_eq!(best(&store), Some(2));
}

#[test]
fn an_empty_store_has_nothing() {
    let (_folder, store) = store_with(&[]);
    assert_eq!(last(&store).unwrap(), None);
    assert_eq!(best(&store), None);
}

#[test]
fn pointers_follow_from_the_newest_whole_checkpoint() {
    let (_folder, store) = store_with(&[Some(0.1), Some(0.9), Some(0.2)]);
    let pointer = |name: &str| store.folder.join(name);
    for (name, text) in [
        (LAST, "../../etc/passwd\n"),
        (LAST, "e0002-s00000020.safetensors\n"),
        (BEST, "e0003-s00000030.safetensors\n"),
        (BEST, ""),
    ] {
        fs::write(pointer(name), text).unwrap();
        assert_eq!(last(&store).unwrap(), Some(3));
        assert_eq!(best(&store), Some(2));
    }
    fs::remove_file(pointer(LAST)).unwrap();
    fs::remove_file(pointer(BEST)).unwrap();
    assert_eq!(last(&store).unwrap(), Some(3));
    assert_eq!(best(&store), Some(2));
    let text = fs::read_to_string(pointer(LAST)).unwrap();
    assert_eq!(text, "e0003-s00000030.safetensors\n");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_with_its_best() {
    let (_folder, store) = store_with(&[Some(0.1), Some(0.2), Some(0.9)]);
    assert_eq!(best(&store), Some(3));
    damage(&store, 3);
    assert_eq!(last(&store).unwrap(), Some(2));
    assert_eq!(best(&store), Some(2));
    // The next ones push out older ones, not each other, though the damaged one is newer.
    let partway = Checkpoint {
        stamp: Stamp { step: 25, epoch: 2 },
        ..checkpoint(2, Best::of(None, stamp(2), 0.2))
    };
    store.save(&partway).unwrap();
    assert!(store.path(partway.stamp).exists() && store.path(stamp(2)).exists());
}

#[test]
fn what_an_older_kept_checkpoint_calls_the_best_stays() {
    let (_folder, store) = store_with(&[Some(0.5), Some(0.1), Some(0.9)]);
    assert!(store.path(stamp(1)).exists());
    damage(&store, 3);
    assert_eq!(last(&store).unwrap(), Some(2));
    assert_eq!(best(&store), Some(1));
}

#[test]
fn a_checkpoint_that_does_not_fit_is_passed_over() {
    let (_folder, store) = store_with(&[Some(0.5), Some(0.1)]);
    let taken = store.resume(&Device::Cpu, |checkpoint| match epoch(checkpoint) {
        2 => Err(Error::failed("belongs to another spec")),
        epoch => Ok(epoch),
    });
    assert_eq!(taken.unwrap(), Some(1));
    let none = store.resume(&Device::Cpu, |_| -> Result<()> {
        Err(Error::failed("belongs to another spec"))
    });
    let message = none.unwrap_err().to_string();
    assert!(
        message.contains("e0002-s00000020.safetensors: belongs to another spec; no older"),
        "{message}"
    );
    fs::copy(store.path(stamp(1)), store.path(stamp(9))).unwrap();
    assert_eq!(last(&store).unwrap(), Some(2));
}

#[test]
fn with_no_whole_checkpoint_left_the_error_names_the_file_and_the_remedy() {
    let (_folder, store) = store_with(&[None]);
    damage(&store, 1);
    let message = last(&store).unwrap_err().to_string();
    assert!(
        message.contains("e0001-s00000010.safetensors: damaged"),
        "{message}"
    );
    assert!(message.contains("start with --fresh"), "{message}");
}

#[test]
fn saving_a_step_again_replaces_it_and_keeps_the_best() {
    let (_folder, store) = store_with(&[Some(0.5), Some(0.6)]);
    let best_so_far = Best::of(None, stamp(2), 0.6);
    store.save(&checkpoint(2, best_so_far)).unwrap();
    assert_eq!(last(&store).unwrap(), Some(2));
    assert_eq!(best(&store), Some(2));
    assert_eq!(names(&store.folder).len(), 4);
}

#[test]
fn a_folder_that_is_gone_is_not_made_again() {
    let (folder, store) = store_with(&[None]);
    fs::remove_dir_all(folder.path()).unwrap();
    let message = store.save(&checkpoint(2, None)).unwrap_err().to_string();
    assert!(message.contains("was removed in the meantime"), "{message}");
    assert!(!folder.path().exists());
}
