//! What a file of weights says of its network, and what has to be asked for where it does not.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::registry::Arch;
use super::sequential::Layer;
use super::stem::Stem;
use crate::{Error, Result};

/// What a file of weights says of its network: what names and shapes of tensors leave open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub arch: String,
    /// Where the architecture has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<Stem>,
    /// What stood in for its ReLUs, [`Self::OWN`] for nothing; none: the file does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<String>,
    /// Those of a sequential network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
}

impl Origin {
    /// The activations of the architecture itself.
    pub const OWN: &str = "own";
    /// The key in the metadata of a file of weights.
    const KEY: &str = "model";
    /// The key in the metadata of a checkpoint, whose state has the origin under [`Self::KEY`].
    const CHECKPOINT: &str = "checkpoint";

    /// The origin of a network of `arch` with `stem` (none: the default one where the architecture has two) and `activation`
    /// for its ReLUs (none: its own).
    ///
    /// # Errors
    /// An architecture that is not known.
    pub fn new(arch: &str, stem: Option<Stem>, activation: Option<&str>) -> Result<Self> {
        let default = Arch::find(arch)?.stems.first().copied();
        Ok(Self {
            arch: arch.to_owned(),
            stem: default.map(|default| stem.unwrap_or(default)),
            activation: Some(activation.unwrap_or(Self::OWN).to_owned()),
            layers: None,
        })
    }

    /// The same with the layers of a sequential network.
    pub fn with_layers(self, layers: Option<Vec<Layer>>) -> Self {
        Self { layers, ..self }
    }

    /// What the metadata of a file says; nothing where another program wrote it.
    pub fn read(metadata: &HashMap<String, String>) -> Option<Self> {
        if let Some(text) = metadata.get(Self::KEY) {
            return serde_json::from_str(text).ok();
        }
        let checkpoint: Value = serde_json::from_str(metadata.get(Self::CHECKPOINT)?).ok()?;
        serde_json::from_value(checkpoint.get("state")?.get(Self::KEY)?.clone()).ok()
    }

    /// The metadata of a file of weights, one entry: the order of several is not fixed and the file's bytes with it.
    pub fn metadata(&self) -> HashMap<String, String> {
        HashMap::from([(Self::KEY.to_owned(), json!(self).to_string())])
    }

    /// Adds the origin to the state that a checkpoint keeps.
    pub fn note_in(&self, state: &mut Value) {
        state[Self::KEY] = json!(self);
    }
}

/// The stem of a network of `arch` whose weights come from a file: the one that the spec names under `key`, else the one that
/// the file names.
///
/// # Errors
/// Neither names one and the architecture has several; they name different ones; the file is of another architecture.
pub fn stem_of_weights(
    arch: &str,
    key: &str,
    written: Option<Stem>,
    origin: Option<&Origin>,
) -> Result<Option<Stem>> {
    if let Some(origin) = origin.filter(|origin| origin.arch != arch) {
        return Err(Error::failed(format!(
            "these are the weights of {}, and {key}.arch is \"{arch}\"",
            origin.arch
        )));
    }
    let stems = Arch::find(arch)?.stems;
    let Some(first) = stems.first() else {
        return Ok(None);
    };
    // A file of this program that does not say is older than the choice.
    match (written, origin.map(|origin| origin.stem.unwrap_or(*first))) {
        (Some(written), Some(stored)) if written != stored => Err(Error::failed(format!(
            "these weights were trained with the stem \"{stored}\", and {key}.stem is \"{written}\""
        ))),
        (None, None) => {
            let choices = stems
                .iter()
                .map(|stem| format!("\"{stem}\" ({})", stem.about()));
            Err(Error::failed(format!(
                "{arch} has stems whose weights look alike, and the file does not say which it was trained with; set \
                 {key}.stem to {}",
                choices.collect::<Vec<_>>().join(" or to ")
            )))
        }
        (written, stored) => Ok(written.or(stored)),
    }
}

/// Whether weights that say which layers they were trained with fit the layers that the spec names under `key`.
///
/// # Errors
/// The first layer that is another.
pub fn check_layers(key: &str, written: Option<&[Layer]>, origin: Option<&Origin>) -> Result<()> {
    let (Some(written), Some(stored)) = (written, origin.and_then(|origin| origin.layers.as_ref()))
    else {
        return Ok(());
    };
    let agree = |at: usize| match (written.get(at), stored.get(at)) {
        (Some(here), Some(there)) => {
            Layer::agree(std::slice::from_ref(here), std::slice::from_ref(there))
        }
        _ => false,
    };
    let Some(at) = (0..written.len().max(stored.len())).find(|&at| !agree(at)) else {
        return Ok(());
    };
    let words = |layers: &[Layer]| layers.get(at).map_or("nothing".into(), Layer::to_string);
    Err(Error::failed(format!(
        "these weights were trained with other layers: {key}.layers[{at}] was {} and is {} here",
        words(stored),
        words(written)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_do_not_say_their_stem_are_asked_about() {
        let ask = |arch, written, origin: Option<Origin>| {
            stem_of_weights(arch, "model", written, origin.as_ref())
                .map_err(|error| error.to_string())
        };
        for arch in ["resnet18", "resnext50_32x4d", "densenet121"] {
            let fault = ask(arch, None, None).unwrap_err();
            for part in [
                "model.stem",
                "\"3x3-maxpool\"",
                "\"3x3\"",
                "huyvnphan",
                "kuangliu",
            ] {
                assert!(fault.contains(part), "{fault}");
            }
            for stem in [Stem::Pooled, Stem::Plain] {
                assert_eq!(ask(arch, Some(stem), None), Ok(Some(stem)));
                let own = Origin::new(arch, Some(stem), None).unwrap();
                assert_eq!(ask(arch, None, Some(own)), Ok(Some(stem)));
            }
        }
        let own = Origin::new("resnet18", None, None).unwrap();
        assert_eq!(own.stem, Some(Stem::Pooled));
        let fault = ask("resnet18", Some(Stem::Plain), Some(own.clone())).unwrap_err();
        assert!(
            fault.contains("trained with the stem \"3x3-maxpool\""),
            "{fault}"
        );
        let fault = ask("resnet34", None, Some(own)).unwrap_err();
        assert_eq!(
            fault,
            "these are the weights of resnet18, and model.arch is \"resnet34\""
        );
        assert_eq!(ask("vgg11", None, None), Ok(None));

        let fault = ask("mobilenet_v2", None, None).unwrap_err();
        assert!(
            fault.contains("\"3x3\" (") && fault.contains("\"3x3-stride2\" ("),
            "{fault}"
        );
        let mut own = Origin::new("mobilenet_v2", Some(Stem::Strided), None).unwrap();
        assert_eq!(
            ask("mobilenet_v2", None, Some(own.clone())),
            Ok(Some(Stem::Strided))
        );
        // Before there was a choice.
        own.stem = None;
        assert_eq!(ask("mobilenet_v2", None, Some(own)), Ok(Some(Stem::Plain)));
    }

    #[test]
    fn weights_of_other_layers_are_refused() {
        let layers = |text: &str| serde_json::from_str::<Vec<Layer>>(text).unwrap();
        let own = layers(r#"["max-pool 2","dropout 0.5","flatten","linear 10"]"#);
        let origin = Origin::new("sequential", None, None).unwrap();
        let origin = origin.with_layers(Some(own.clone()));
        let origin = Origin::read(&origin.metadata()).unwrap();
        let ask = |layers: &[Layer]| {
            let asked = check_layers("model", Some(layers), Some(&origin));
            asked.err().map(|error| error.to_string())
        };
        assert_eq!(ask(&own), None);
        assert_eq!(
            ask(&layers(
                r#"["max-pool 2","dropout 0","flatten","linear 10"]"#
            )),
            None
        );
        for (text, expected) in [
            (
                r#"["avg-pool 2","flatten","linear 10"]"#,
                "[0] was max-pool 2 and is avg-pool 2 here",
            ),
            (
                r#"["max-pool 2","dropout 0.5","flatten"]"#,
                "[3] was linear 10 and is nothing here",
            ),
        ] {
            let fault = ask(&layers(text)).unwrap();
            assert!(fault.ends_with(expected), "{fault}");
        }
        assert!(check_layers("model", Some(&own), None).is_ok());
    }

    #[test]
    fn files_of_ours_say_where_they_come_from() {
        let own = Origin::new("densenet121", Some(Stem::Plain), Some("silu")).unwrap();
        assert_eq!(Origin::read(&own.metadata()), Some(own.clone()));
        let mut state = json!({ "epoch": 3 });
        own.note_in(&mut state);
        let checkpoint = json!({ "state": state }).to_string();
        let metadata = HashMap::from([("checkpoint".to_owned(), checkpoint)]);
        assert_eq!(Origin::read(&metadata), Some(own));
        for (key, text) in [("format", "pt"), ("model", "{"), ("checkpoint", "[]")] {
            let metadata = HashMap::from([(key.to_owned(), text.to_owned())]);
            assert_eq!(Origin::read(&metadata), None);
        }
    }
}
