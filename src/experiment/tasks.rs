//! The tasks with exactly the sections that each of them has: what a stage is read into.

use serde::Serialize;

use crate::attacks::{AttackSpec, Entry};
use crate::data::{DataSpec, ImagesRef};
use crate::models::{Layers, LinbpSpec, ModelSpec};
use crate::optim::{OptimizerSpec, SchedulerSpec};
use crate::run::CheckpointSpec;
use crate::spec::section::{Section, SectionReader};
use crate::spec::task::TaskKind;
use crate::stage::{EvalAttack, EvaluateSpec, SimulateSpec, TransferSpec};
use crate::train::TrainSpec;

/// A section as a task holds it: always, or where something uses it.
trait Held: Sized {
    fn read<R: SectionReader>(reader: &mut R, name: &'static str) -> Option<Self>;
    fn section(&self) -> Option<&impl Section>;
    fn section_mut(&mut self) -> Option<&mut impl Section>;
}

impl<S: Section> Held for S {
    fn read<R: SectionReader>(reader: &mut R, name: &'static str) -> Option<Self> {
        reader.section(name)
    }

    fn section(&self) -> Option<&impl Section> {
        Some(self)
    }

    fn section_mut(&mut self) -> Option<&mut impl Section> {
        Some(self)
    }
}

impl<S: Section> Held for Option<S> {
    fn read<R: SectionReader>(reader: &mut R, name: &'static str) -> Option<Self> {
        reader.section_if_used(name)
    }

    fn section(&self) -> Option<&impl Section> {
        self.as_ref()
    }

    fn section_mut(&mut self) -> Option<&mut impl Section> {
        self.as_mut()
    }
}

/// Defines tasks by the sections that they have.
macro_rules! tasks {
    ($( $(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? } )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[expect(missing_docs)]
        pub struct $name { $( pub $field: $type ),+ }

        impl $name {
            const SECTIONS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn read<R: SectionReader>(reader: &mut R) -> Option<Self> {
                $( let $field = Held::read(reader, stringify!($field)); )+
                Some(Self { $($field: $field?),+ })
            }

            fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
                let mut table = toml::Table::new();
                $( if let Some(section) = self.$field.section() {
                    let found = section.identity()?;
                    if !found.is_empty() {
                        table.insert(stringify!($field).into(), found.into());
                    }
                } )+
                Ok(table)
            }

            fn shrink(&mut self) -> Vec<String> {
                let mut changed = Vec::new();
                $( if let Some(section) = self.$field.section_mut() {
                    let keys = section.shrink().into_iter();
                    changed.extend(keys.map(|key| format!("{}.{key}", stringify!($field))));
                } )+
                changed
            }
        }
    )+ };
}

tasks! {
    /// The sections of a simulation.
    SimulateTask {
        simulate: SimulateSpec,
    }

    /// The sections of a training, by either of its names.
    TrainTask {
        data: DataSpec,
        model: ModelSpec,
        linbp: LinbpSpec,
        optimizer: OptimizerSpec,
        scheduler: SchedulerSpec,
        train: TrainSpec,
        attack: Option<AttackSpec>,
        evaluate: EvaluateSpec,
        checkpoint: CheckpointSpec,
    }

    /// The sections of an attack.
    AttackTask {
        data: DataSpec,
        model: ModelSpec,
        linbp: LinbpSpec,
        attack: AttackSpec,
    }

    /// The sections of an evaluation.
    EvaluateTask {
        data: DataSpec,
        model: ModelSpec,
        linbp: LinbpSpec,
        attack: Option<AttackSpec>,
        evaluate: EvaluateSpec,
    }

    /// The sections of a transfer.
    TransferTask {
        data: DataSpec,
        linbp: LinbpSpec,
        attack: AttackSpec,
        transfer: TransferSpec,
    }
}

/// What a stage does, with its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Task {
    /// One of the student-teacher simulations.
    Simulate(SimulateTask),
    /// A training on clean images.
    Train(TrainTask),
    /// A training on adversarial images.
    AdversarialTrain(TrainTask),
    /// Adversarial images for a trained model.
    Attack(AttackTask),
    /// Loss and accuracy of a model.
    Evaluate(EvaluateTask),
    /// Adversarial images between models.
    Transfer(TransferTask),
}

/// The same for every task, whatever its sections.
macro_rules! each {
    ($task:expr, $sections:ident => $body:expr) => {
        match $task {
            Task::Simulate($sections) => $body,
            Task::Train($sections) | Task::AdversarialTrain($sections) => $body,
            Task::Attack($sections) => $body,
            Task::Evaluate($sections) => $body,
            Task::Transfer($sections) => $body,
        }
    };
}

impl TaskKind {
    /// The sections that the task can have.
    fn sections(self) -> &'static [&'static str] {
        match self {
            Self::Simulate => SimulateTask::SECTIONS,
            Self::Train | Self::AdversarialTrain => TrainTask::SECTIONS,
            Self::Attack => AttackTask::SECTIONS,
            Self::Evaluate => EvaluateTask::SECTIONS,
            Self::Transfer => TransferTask::SECTIONS,
        }
    }

    /// Whether the task uses a section. `attacks` says whether its evaluations attack.
    pub(crate) fn uses(self, section: &str, attacks: bool) -> bool {
        let always = section != "attack" || !matches!(self, Self::Train | Self::Evaluate);
        self.sections().contains(&section) && (always || attacks)
    }
}

impl Task {
    /// Reads the sections of a task; nothing where one is faulty.
    pub(super) fn read<R: SectionReader>(kind: TaskKind, reader: &mut R) -> Option<Self> {
        match kind {
            TaskKind::Simulate => SimulateTask::read(reader).map(Self::Simulate),
            TaskKind::Train => TrainTask::read(reader).map(Self::Train),
            TaskKind::AdversarialTrain => TrainTask::read(reader).map(Self::AdversarialTrain),
            TaskKind::Attack => AttackTask::read(reader).map(Self::Attack),
            TaskKind::Evaluate => EvaluateTask::read(reader).map(Self::Evaluate),
            TaskKind::Transfer => {
                let mut task = TransferTask::read(reader)?;
                // It has its attacks in its list, also where it takes the one of [attack].
                task.attack.own = None;
                task.attack.head.kind = None;
                Some(Self::Transfer(task))
            }
        }
    }

    /// Its name.
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Simulate(_) => TaskKind::Simulate,
            Self::Train(_) => TaskKind::Train,
            Self::AdversarialTrain(_) => TaskKind::AdversarialTrain,
            Self::Attack(_) => TaskKind::Attack,
            Self::Evaluate(_) => TaskKind::Evaluate,
            Self::Transfer(_) => TaskKind::Transfer,
        }
    }

    /// See [`Section::identity`], section by section; one in which nothing is set is left out.
    pub(super) fn identity(&self) -> Result<toml::Table, toml::ser::Error> {
        each!(self, sections => sections.identity())
    }

    /// See [`Section::shrink`].
    pub(super) fn shrink(&mut self) -> Vec<String> {
        each!(self, sections => sections.shrink())
    }

    /// The sections of a training.
    pub fn training(&self) -> Option<&TrainTask> {
        match self {
            Self::Train(task) | Self::AdversarialTrain(task) => Some(task),
            _ => None,
        }
    }

    /// Whether it looks at training images: to train, or to choose the activations that are linear backwards.
    pub fn reads_training_images(&self) -> bool {
        match self {
            Self::Transfer(task) => {
                task.transfer.linbp.contains(&true) && task.linbp.layers.attack == Layers::Search
            }
            _ => self.training().is_some(),
        }
    }

    /// The images.
    pub fn data(&self) -> Option<&DataSpec> {
        match self {
            Self::Simulate(_) => None,
            Self::Train(task) | Self::AdversarialTrain(task) => Some(&task.data),
            Self::Attack(task) => Some(&task.data),
            Self::Evaluate(task) => Some(&task.data),
            Self::Transfer(task) => Some(&task.data),
        }
    }

    /// The images, to be changed.
    pub fn data_mut(&mut self) -> Option<&mut DataSpec> {
        match self {
            Self::Simulate(_) => None,
            Self::Train(task) | Self::AdversarialTrain(task) => Some(&mut task.data),
            Self::Attack(task) => Some(&mut task.data),
            Self::Evaluate(task) => Some(&mut task.data),
            Self::Transfer(task) => Some(&mut task.data),
        }
    }

    /// The images that were made before, which it judges.
    pub fn adversarial(&self) -> Vec<&ImagesRef> {
        let data = self.data().and_then(|data| data.adversarial.as_ref());
        let given = match self {
            Self::Transfer(task) => Some(task.transfer.adversarial.values()),
            _ => None,
        };
        data.into_iter()
            .chain(given.into_iter().flatten())
            .collect()
    }

    /// The images that were made before, to be changed.
    pub fn adversarial_mut(&mut self) -> Vec<&mut ImagesRef> {
        match self {
            Self::Transfer(task) => task.transfer.adversarial.values_mut().collect(),
            task => {
                let data = task.data_mut();
                data.and_then(|data| data.adversarial.as_mut())
                    .into_iter()
                    .collect()
            }
        }
    }

    /// The models by the key that describes them.
    pub fn models(&self) -> Vec<(String, &ModelSpec)> {
        let one = |model| vec![("model".to_owned(), model)];
        match self {
            Self::Simulate(_) => Vec::new(),
            Self::Train(task) | Self::AdversarialTrain(task) => one(&task.model),
            Self::Attack(task) => one(&task.model),
            Self::Evaluate(task) => one(&task.model),
            Self::Transfer(task) => {
                let models = task.transfer.models.iter();
                models.map(|(name, model)| (key_of(name), model)).collect()
            }
        }
    }

    /// The models by the key that describes them, to be changed.
    pub fn models_mut(&mut self) -> Vec<(String, &mut ModelSpec)> {
        let one = |model| vec![("model".to_owned(), model)];
        match self {
            Self::Simulate(_) => Vec::new(),
            Self::Train(task) | Self::AdversarialTrain(task) => one(&mut task.model),
            Self::Attack(task) => one(&mut task.model),
            Self::Evaluate(task) => one(&mut task.model),
            Self::Transfer(task) => {
                let models = task.transfer.models.iter_mut();
                models.map(|(name, model)| (key_of(name), model)).collect()
            }
        }
    }

    /// Where LinBP is used. In a transfer it is on in attacks where some of them use it.
    pub fn linbp(&self) -> Option<LinbpSpec> {
        match self {
            Self::Simulate(_) => None,
            Self::Train(task) | Self::AdversarialTrain(task) => Some(task.linbp.clone()),
            Self::Attack(task) => Some(task.linbp.clone()),
            Self::Evaluate(task) => Some(task.linbp.clone()),
            Self::Transfer(task) => Some(LinbpSpec {
                attack: task.transfer.linbp.contains(&true),
                ..task.linbp.clone()
            }),
        }
    }

    /// Whether images may be made on the model of a key: of a transfer's models some may only judge.
    pub fn is_attacked(&self, key: &str) -> bool {
        let Self::Transfer(TransferTask { transfer, .. }) = self else {
            return true;
        };
        let Some(surrogates) = &transfer.surrogates else {
            return true;
        };
        // An ensemble stands for its models.
        let ensemble = |name: &String| Some(&transfer.ensembles.get(name)?.models);
        surrogates.iter().any(|name| {
            let models = ensemble(name).map_or(std::slice::from_ref(name), Vec::as_slice);
            models.iter().any(|model| key_of(model) == key)
        })
    }

    /// What its attacks share.
    pub fn attack(&self) -> Option<&AttackSpec> {
        match self {
            Self::Simulate(_) => None,
            Self::Train(task) | Self::AdversarialTrain(task) => task.attack.as_ref(),
            Self::Attack(task) => Some(&task.attack),
            Self::Evaluate(task) => task.attack.as_ref(),
            Self::Transfer(task) => Some(&task.attack),
        }
    }

    /// The attack of its own, or those of a transfer.
    pub fn own_attacks(&self) -> Vec<Entry> {
        match self {
            Self::Transfer(task) => task.transfer.attacks.clone(),
            task => task
                .attack()
                .and_then(|attack| attack.entry().ok())
                .into_iter()
                .collect(),
        }
    }

    /// All attacks that it carries out: its own, and those of its evaluations.
    pub fn attacks(&self) -> Vec<Entry> {
        let mut attacks = self.own_attacks();
        let evaluate = match self {
            Self::Train(task) | Self::AdversarialTrain(task) => Some(&task.evaluate),
            Self::Evaluate(task) => Some(&task.evaluate),
            _ => None,
        };
        let evaluations = evaluate.into_iter().flat_map(|evaluate| &evaluate.attacks);
        attacks.extend(evaluations.filter_map(EvalAttack::attack).cloned());
        attacks
    }
}

fn key_of(model: &str) -> String {
    format!("transfer.models.{model}")
}
