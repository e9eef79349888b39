//! The layers of a spec, weakest first: defaults (in the sections), files it extends, the spec, the environment, the
//! command line, and the values of a sweep's point.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::document::Document;
use super::location::{Locate, Location};
use super::outcome::Outcome;
use super::overrides;
use super::points;

const SPEC: &str = "spec";
const EXTENDS: &str = "extends";
const ENVIRONMENT: &str = "environment";
const COMMAND_LINE: &str = "command line";
pub(crate) const SWEEP: &str = "sweep";

/// What the user asks for: a spec and the settings over it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The spec's file.
    pub spec: PathBuf,
    /// `KEY=VALUE` of the command line.
    pub overrides: Vec<String>,
    /// `KEY=V1,V2` of `--sweep`.
    pub sweeps: Vec<String>,
    /// A table of points, a column for each key, over the lists of the spec's own sweep.
    pub points: Option<PathBuf>,
    /// Environment variables; those that are no settings are ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// Shrink the experiment to seconds.
    pub smoke: bool,
}

/// All layers but the values of a sweep's point.
pub(crate) struct Layers {
    figment: Figment,
    /// Weakest first.
    documents: Vec<Document>,
    /// Dotted key -> the variable that sets it.
    variables: BTreeMap<String, String>,
    /// The ids of the stages in order.
    pub stages: Vec<String>,
    /// Whether there are stages beside these, whose ids are faulty.
    pub refused_stages: bool,
    /// The swept keys in order.
    pub swept: Vec<String>,
    /// The keys that the command line and the environment set.
    pub overridden: Vec<String>,
    /// The keys of `--sweep` and of a table of points.
    pub swept_by_hand: Vec<String>,
    /// The keys of a table of points, which advance together.
    pub together: Vec<String>,
}

impl Layers {
    /// Reads all layers. Nothing where the spec cannot be read at all; every fault is noted.
    pub fn read(request: &Request, outcome: &mut Outcome) -> Option<Self> {
        let path = &request.spec;
        match Document::read(path, SPEC, outcome) {
            Ok(document) => Self::over(document?, request, outcome),
            Err(message) => {
                outcome.fault(&in_words(&path.display().to_string()), "", &message);
                None
            }
        }
    }

    /// The layers over a spec that was read before, which takes the place of the request's file.
    pub fn over(spec: Document, request: &Request, outcome: &mut Outcome) -> Option<Self> {
        let documents = read_chain(spec, outcome)?;
        let mut figment = Figment::new();
        let (mut stages, mut swept) = (Vec::new(), Vec::new());
        for (number, document) in documents.iter().enumerate() {
            let words = if number + 1 == documents.len() {
                SPEC
            } else {
                EXTENDS
            };
            let metadata = Metadata::from(words, Source::File(document.path.clone()));
            figment = figment.merge(Layer::new(metadata, document.dict.clone()));
            extend(&mut stages, document.stages.iter());
            extend(&mut swept, document.swept.iter());
        }

        let (mut dict, mut variables) = (Dict::new(), BTreeMap::new());
        let mut overridden = Vec::new();
        let found = overrides::variables(request.environment.iter().cloned(), &stages);
        for (name, message) in found.refused {
            outcome.fault(&in_words(&format!("{ENVIRONMENT} {name}")), "", &message);
        }
        for (key, name, value) in found.settings {
            overrides::insert(&mut dict, &key, value);
            overridden.push(key.clone());
            variables.insert(key, name);
        }
        figment = figment.merge(Layer::new(Metadata::named(ENVIRONMENT), dict));

        let mut dict = Dict::new();
        let mut swept_by_hand = Vec::new();
        let location = in_words(COMMAND_LINE);
        for text in &request.overrides {
            match overrides::assignment(text) {
                Ok((key, _)) if key == SWEEP || key.starts_with("sweep.") => {
                    outcome.fault(&location, &key, "is set by --sweep KEY=V1,V2");
                }
                Ok((key, value)) => {
                    overrides::insert(&mut dict, &key, value);
                    overridden.push(key);
                }
                Err(message) => outcome.fault(&location, text, &message),
            }
        }
        let mut lists = Vec::new();
        for text in &request.sweeps {
            match overrides::sweep(text) {
                Ok(list) => lists.push(list),
                Err(message) => outcome.fault(&location, "--sweep", &message),
            }
        }
        let mut together = Vec::new();
        if let Some(path) = &request.points {
            match points::read(path) {
                Ok(columns) => {
                    together.extend(columns.iter().map(|(key, _)| key.clone()));
                    let columns = columns.into_iter();
                    lists.extend(columns.map(|(key, values)| (key, values.into())));
                }
                Err(message) => outcome.fault(&in_words(&path.display().to_string()), "", &message),
            }
        }
        for (key, values) in lists {
            if overridden.contains(&key) {
                outcome.fault(&location, &key, "is both set to one value and swept");
            } else if swept_by_hand.contains(&key) {
                outcome.fault(&location, &key, "is swept twice");
            } else {
                overrides::insert(&mut dict, &format!("{SWEEP}.{key}"), values);
                extend(&mut swept, std::iter::once(&key));
                swept_by_hand.push(key);
            }
        }
        figment = figment.merge(Layer::new(Metadata::named(COMMAND_LINE), dict));
        Some(Self {
            figment,
            refused_stages: documents.iter().any(|document| document.refused_stages),
            documents,
            variables,
            stages,
            swept,
            overridden,
            swept_by_hand,
            together,
        })
    }

    /// The layers with the values of a sweep's point on top.
    pub fn at_point(&self, values: Vec<(String, Value, Location)>) -> Point<'_> {
        let mut dict = Dict::new();
        let mut locations = BTreeMap::new();
        for (key, value, location) in values {
            overrides::insert(&mut dict, &key, untagged(value));
            locations.insert(key, location);
        }
        let layer = Layer::new(Metadata::named(SWEEP), dict);
        Point {
            figment: self.figment.clone().merge(layer),
            layers: self,
            locations,
        }
    }

    /// The folder and the stem of the spec: its name where it says none.
    pub fn stem(&self) -> String {
        let spec = self
            .documents
            .last()
            .map(|document| document.path.as_path());
        let stem = spec
            .and_then(Path::file_stem)
            .map(|stem| stem.to_string_lossy());
        stem.unwrap_or_default().into_owned()
    }
}

/// The layers as one point of a sweep sees them.
pub(crate) struct Point<'a> {
    figment: Figment,
    pub layers: &'a Layers,
    locations: BTreeMap<String, Location>,
}

impl Point<'_> {
    /// The merged values.
    pub fn merged(&self) -> Dict {
        let data = self.figment.data().unwrap_or_default();
        data.into_iter()
            .find_map(|(profile, dict)| (profile == Profile::Default).then_some(dict))
            .unwrap_or_default()
    }
}

impl Locate for Point<'_> {
    fn locate(&self, path: &str, tag: Tag) -> Location {
        let Some(metadata) = self.figment.get_metadata(tag) else {
            return in_words("default");
        };
        if let Some(file) = metadata.source.as_ref().and_then(Source::file_path) {
            let document = self
                .layers
                .documents
                .iter()
                .find(|document| document.path == file);
            return match document {
                Some(document) => document.location(path, &metadata.name),
                None => in_words(&metadata.name),
            };
        }
        match metadata.name.as_ref() {
            SWEEP => match self.locations.get(path) {
                Some(location) => Location {
                    layer: SWEEP.into(),
                    ..location.clone()
                },
                None => in_words(SWEEP),
            },
            ENVIRONMENT => match self.layers.variables.get(path) {
                Some(name) => in_words(&format!("{ENVIRONMENT} {name}")),
                None => in_words(ENVIRONMENT),
            },
            other => in_words(other),
        }
    }

    fn locate_section(&self, path: &str) -> Location {
        let mut path = path.split('[').next().unwrap_or(path);
        loop {
            for document in self.layers.documents.iter().rev() {
                if document.lines.contains_key(path) {
                    return document.location(path, "spec");
                }
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
        match self.layers.documents.last() {
            Some(document) => document.location("", "spec"),
            None => in_words("spec"),
        }
    }
}

/// A spec and the files it extends, weakest first.
fn read_chain(spec: Document, outcome: &mut Outcome) -> Option<Vec<Document>> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut seen = vec![whole(&spec.path)];
    let mut documents = vec![spec];
    while let Some((document, base)) = documents
        .last()
        .and_then(|document| Some((document, document.extends.as_ref()?)))
    {
        let folder = document.path.parent().unwrap_or(Path::new(""));
        let path = folder.join(base);
        // A fault is at the line that names the file.
        let named = document.location(EXTENDS, SPEC);
        let refuse = |outcome: &mut Outcome, message: &str| {
            let message = format!("{}: {message}", path.display());
            outcome.fault(&named, EXTENDS, &message);
        };
        if seen.contains(&whole(&path)) {
            refuse(outcome, "extends itself in a circle");
            return None;
        }
        seen.push(whole(&path));
        let read = Document::read(&path, EXTENDS, outcome);
        match read {
            Ok(document) => documents.push(document?),
            Err(message) => {
                refuse(outcome, &message);
                return None;
            }
        }
    }
    documents.reverse();
    Some(documents)
}

fn in_words(layer: &str) -> Location {
    Location {
        layer: layer.to_owned(),
        file: None,
    }
}

/// The value without the layer that it came from: figment leaves the tags that it finds.
fn untagged(value: Value) -> Value {
    match value {
        Value::String(_, text) => Value::String(Tag::Default, text),
        Value::Char(_, letter) => Value::Char(Tag::Default, letter),
        Value::Bool(_, truth) => Value::Bool(Tag::Default, truth),
        Value::Num(_, number) => Value::Num(Tag::Default, number),
        Value::Empty(_, empty) => Value::Empty(Tag::Default, empty),
        Value::Dict(_, entries) => {
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key, untagged(value)));
            Value::Dict(Tag::Default, entries.collect())
        }
        Value::Array(_, items) => {
            Value::Array(Tag::Default, items.into_iter().map(untagged).collect())
        }
    }
}

/// Appends what is not there yet.
fn extend<'a>(list: &mut Vec<String>, items: impl Iterator<Item = &'a String>) {
    for item in items {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

/// A dictionary as a layer of figment.
struct Layer {
    metadata: Metadata,
    dict: Dict,
}

impl Layer {
    fn new(metadata: Metadata, dict: Dict) -> Self {
        Self { metadata, dict }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}
