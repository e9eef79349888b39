//! `[transfer]`: models that adversarial images are made on and judged by.

use std::collections::BTreeMap;

use figment::value::Value;

use super::ensemble_section::EnsembleSpec;
use super::evaluate_section::TWICE;
use crate::attacks::{AttackName, Entry, Shared, read_item};
use crate::choice::choices;
use crate::data::ImagesRef;
use crate::models::{ModelSpec, NO_GRADIENTS, WeightsRef};
use crate::spec::fields::{Fields, join, repeats};
use crate::spec::inner_section::{inner_identity, inner_shrink};
use crate::spec::range::Count;
use crate::spec::section::{Section, section};
use crate::spec::surroundings::{Table, peek};

choices! {
    /// Which of the test images are attacked.
    AttackedImages {
        /// Those that the model which they are made on classifies correctly.
        RightForSurrogate = "right-for-surrogate",
        /// Those that every model classifies correctly.
        RightForAll = "right-for-all",
    }
}

choices! {
    /// Which activations a choice of the search makes linear.
    Range {
        /// One, and all that follow it.
        From = "from",
        /// One alone.
        Single = "single",
    }
}

section! {
    /// How `linbp.layers = "search"` looks for the linear activations of each surrogate and attack.
    SearchSpec {
        /// Training images that the choices are tried on, drawn by the seed; default 100.
        images: usize [as Count, or 100] smoke 64,
        /// What is tried, from the output inwards: each activation with all that follow it, "from", or each alone, "single"; default
        /// "from".
        range: Range [or Range::From],
        /// How many activations, counted from the output; default all.
        depth: Option<usize> [optional as Count] smoke shallow,
        /// The models that judge the choices, by their names; where there are none but the surrogate, its own loss does; default all
        /// others.
        judges: Option<Vec<String>> [optional] smoke no_judges,
    }
}

fn shallow(depth: &mut Option<usize>) -> bool {
    let is_deep = depth.is_none_or(|depth| depth > 2);
    *depth = Some(depth.map_or(2, |depth| depth.min(2)));
    is_deep
}

/// Networks that are hardly trained may have no image right together.
fn no_judges(judges: &mut Option<Vec<String>>) -> bool {
    judges.replace(Vec::new()) != Some(Vec::new())
}

impl Default for SearchSpec {
    fn default() -> Self {
        Self {
            images: 100,
            range: Range::From,
            depth: None,
            judges: None,
        }
    }
}

section! {
    /// Models that adversarial images are made on and judged by, each by each.
    TransferSpec {
        /// The attacks, each a name, which takes what fits from `[attack]`, or a table with settings of its own; default the
        /// attack of `[attack]` alone.
        attacks: Vec<Entry> [by read_attacks, identity identity] smoke shrink,
        /// LinBP in the attacks: [false] without, [true] with, or both; default [false, true].
        linbp: Vec<bool> [or vec![false, true]],
        /// The models, each a table with the keys of `[model]` under its name: transfer.models.NAME.arch and so on; required.
        models: BTreeMap<String, ModelSpec> [by read_models, identity models_identity],
        /// Surrogates that are several models at once, each a list of models under a name of its own: images are made on the mean of
        /// their logits, or as { models = ["...", "..."], mean = "losses" } by the mean of their losses, which is that of their
        /// gradients (arXiv 1710.06081); default none.
        ensembles: BTreeMap<String, EnsembleSpec> [or BTreeMap::new()],
        /// The models and ensembles that images are made on, by their names; all models judge. `linbp.layers` need not fit the others. [] where
        /// only images of `adversarial` are judged; default all.
        surrogates: Option<Vec<String>> [optional],
        /// The test images that are attacked: "right-for-surrogate", those that the model which they are made on classifies
        /// correctly, or "right-for-all", those that every model does; default "right-for-surrogate".
        images: AttackedImages [or AttackedImages::RightForSurrogate],
        /// Whether the images are judged after rounding to 8 bits too, which doubles the cost of judging; default true.
        eight_bit: bool [or true],
        /// Adversarial images that were made before, judged like those that are made here, under a name each: those of an attack
        /// stage, "@id", a file as `data.adversarial` takes it, or a folder of `<class>/<name>.png`; default none.
        adversarial: BTreeMap<String, ImagesRef> [or BTreeMap::new()],
        /// How `linbp.layers = "search"` looks for layers: a table of `images`, `range`, `depth` and `judges`; default 100 images, each
        /// activation with all that follow it, judged by all other models.
        search: Option<SearchSpec> [by Fields::optional_section, identity inner_identity] smoke inner_shrink,
    }
    check(fields) {
        if let (Some(ensembles), Some(models)) = (&ensembles, &models) {
            for (name, EnsembleSpec { models: members, .. }) in ensembles {
                let names: Vec<&String> = models.keys().collect();
                if models.contains_key(name) {
                    fields.fault("ensembles", &format!("\"{name}\" is one of transfer.models; give the ensemble another name"));
                } else if members.len() < 2 || repeats(members) || members.iter().any(|member| !models.contains_key(member)) {
                    fields.fault("ensembles", &format!("{name}: expected two or more of transfer.models, each once: they are {names:?}"));
                }
            }
        }
        if let (Some(Some(list)), Some(models)) = (&surrogates, &models) {
            let is_ensemble = |name: &String| ensembles.as_ref().is_some_and(|ensembles| ensembles.contains_key(name));
            let stranger = list.iter().find(|name| !models.contains_key(*name) && !is_ensemble(name));
            // Where others made images, there need be no model to make some on.
            let is_empty = list.is_empty() && adversarial.as_ref().is_some_and(BTreeMap::is_empty);
            if stranger.is_some() || is_empty || repeats(list) {
                let names: Vec<&String> = models.keys().collect();
                fields.fault("surrogates", &format!("expected names of transfer.models, each once: they are {names:?}"));
            }
        }
        if let (Some(given), Some(models)) = (&adversarial, &models)
            && let Some(name) = given.keys().find(|name| {
                models.contains_key(*name) || ensembles.as_ref().is_some_and(|ensembles| ensembles.contains_key(*name))
            })
        {
            fields.fault("adversarial", &format!("\"{name}\" is a model or an ensemble; give these images another name"));
        }
        if let (Some(Some(search)), Some(models)) = (&search, &models)
            && let Some(name) = search.judges.iter().flatten().find(|name| !models.contains_key(*name))
        {
            let names: Vec<&String> = models.keys().collect();
            fields.fault("search", &format!("judges: expected names of transfer.models, which are {names:?}, found \"{name}\""));
        }
        let layers = fields.peek_at::<Value>("linbp", "layers");
        let of_attacks = layers.as_ref().and_then(|layers| match layers.as_dict() {
            Some(by_use) => by_use.get("attack"),
            None => Some(layers),
        });
        if of_attacks.is_none_or(|layers| layers.as_str() != Some("search")) {
            fields.idle("search", &mut search, None, "linbp.layers is not \"search\"");
        } else if search == Some(None) {
            search = Some(Some(SearchSpec::default()));
        }
        if let Some(list) = &linbp
            && (list.is_empty() || repeats(list))
        {
            fields.fault("linbp", "expected [false], [true] or [false, true]");
        } else if !attacks.as_ref().is_none_or(|list| list.iter().any(Entry::has_gradients)) {
            fields.idle("linbp", &mut linbp, vec![false], NO_GRADIENTS);
        }
    }
}

impl TransferSpec {
    /// Whether LinBP goes into an attack: as `linbp` says, and where it has no gradients it is made once, without.
    pub(super) fn rules(&self, attack: &Entry) -> &[bool] {
        match attack.has_gradients() {
            true => &self.linbp,
            false => &[false],
        }
    }
}

/// Reads the list of attacks.
fn read_attacks(fields: &mut Fields, key: &'static str) -> Option<Vec<Entry>> {
    let read = |fields: &mut Fields, path: String, item: &Value| {
        read_item(fields, path, item, Shared::Section, None)
    };
    let Some(list) = fields.optional_list(key, "a list of attacks", read)? else {
        // The section [attack] itself says what is wrong with its kind.
        let own = fields.peek_at::<Value>("attack", "kind");
        return match own.filter(|kind| kind.as_str().is_some_and(is_attack)) {
            Some(kind) => Some(vec![read(fields, String::new(), &kind)?]),
            None => None,
        };
    };
    let names: Vec<&str> = list.iter().map(|entry| entry.name.as_str()).collect();
    if list.is_empty() {
        fields.fault(key, "expected at least one attack");
    } else if repeats(&names) {
        fields.fault(key, TWICE);
    }
    Some(list)
}

fn is_attack(name: &str) -> bool {
    AttackName::find(name).is_some()
}

fn identity(list: &[Entry]) -> Result<toml::Value, toml::ser::Error> {
    let list = list.iter().map(Entry::identity);
    Ok(list.collect::<Result<Vec<_>, _>>()?.into())
}

fn shrink(list: &mut [Entry]) -> bool {
    list.iter_mut()
        .fold(false, |any, entry| any | entry.shrink())
}

fn models_identity(models: &BTreeMap<String, ModelSpec>) -> Result<toml::Value, toml::ser::Error> {
    let models = models
        .iter()
        .map(|(name, model)| Ok((name.clone(), model.identity()?.into())));
    Ok(models
        .collect::<Result<toml::Table, toml::ser::Error>>()?
        .into())
}

/// Reads every table under `models` as a section of its own.
fn read_models(fields: &mut Fields, key: &'static str) -> Option<BTreeMap<String, ModelSpec>> {
    let mut names: Vec<String> = fields.required_by(key, |value| {
        let tables = value.as_dict().filter(|dict| !dict.is_empty());
        let sound = tables.filter(|dict| dict.values().all(|model| model.as_dict().is_some()));
        let sound = sound.map(|dict| dict.keys().cloned().collect());
        sound.ok_or_else(|| "at least one table NAME = { arch = ..., weights = ... }".to_owned())
    })?;
    // A weaker layer may add models of its own.
    for table in &fields.tables {
        let models = table.dict.get(key).and_then(|models| models.as_dict());
        names.extend(models.into_iter().flatten().map(|(name, _)| name.clone()));
    }
    names.sort();
    names.dedup();
    let mut models = BTreeMap::new();
    let mut sound = true;
    for name in names {
        let location = format!("{key}.{name}");
        let tables = fields.tables.iter().filter_map(|table| {
            let model = table.dict.get(key)?.as_dict()?.get(&name)?.as_dict()?;
            Some(Table::all_of(join(&table.path, &location), model))
        });
        let mut tables: Vec<Table> = tables.collect();
        // As `[model]` does, it takes over what it does not say itself from the stage that trains it.
        let weights = peek(&tables, "weights").and_then(|weights| weights.deserialize().ok());
        if let Some(WeightsRef::Stage(id, _)) = weights {
            tables.extend(fields.around.model_of(&id));
        }
        let path = join(&fields.path, &location);
        let model = ModelSpec::read(fields.part(path, ModelSpec::KEYS, tables));
        match model {
            Some(model) => {
                models.insert(name, model);
            }
            None => sound = false,
        }
    }
    sound.then_some(models)
}
