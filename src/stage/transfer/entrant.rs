//! A model of a transfer.

use std::fs::File;
use std::path::Path;

use candle_core::Tensor;

use crate::attacks::{Victim, predictions};
use crate::data::Dataset;
use crate::experiment::{ModelUse, TransferTask};
use crate::models::{Arch, ModelSpec};
use crate::nn::{BackwardPlan, Network};
use crate::run::{TransferModelRow, interrupt, weights_file};
use crate::stage::assemble;
use crate::stage::context::StageContext;
use crate::stage::examples::Examples;
use crate::{Error, Result};

/// A model that images are made on and judged by.
pub(super) struct Entrant<'a> {
    pub name: &'a str,
    pub used: ModelUse<'a>,
    pub network: Network,
    /// What it is called in errors.
    words: String,
}

impl<'a> Entrant<'a> {
    /// The model of that name, for images like those of `dataset`.
    pub fn new(
        ctx: &StageContext<'_>,
        task: &'a TransferTask,
        (name, model): (&'a String, &'a ModelSpec),
        dataset: &Dataset,
    ) -> Result<Self> {
        let used = ModelUse {
            key: format!("transfer.models.{name}"),
            ..ModelUse::new(model, &task.data, &task.linbp, ctx.seed)
        };
        Ok(Self {
            name,
            network: assemble::network(ctx, &used, dataset)?,
            words: format!("{}: {}", used.key, assemble::model_name(model)),
            used,
        })
    }

    /// The files that it is read from.
    pub fn files(&self, ctx: &StageContext<'_>) -> Result<Vec<TransferModelRow>> {
        let spec = self.used.model;
        let row = |what: &str, file: String, path: &Path| {
            let mut hash = blake3::Hasher::new();
            File::open(path)
                .and_then(|file| hash.update_reader(file).map(|_| ()))
                .map_err(Error::io("read", path))?;
            Ok(TransferModelRow {
                model: self.name.to_owned(),
                arch: spec.arch.clone(),
                what: what.to_owned(),
                file,
                blake3: hash.finalize().to_hex().to_string(),
            })
        };
        let networks = Arch::find(&spec.arch)?.files()?;
        let networks = networks.iter();
        let networks = networks.map(|path| row("network", path.display().to_string(), path));
        let mut rows = networks.collect::<Result<Vec<_>>>()?;
        if let (Some(written), Some(path)) = (&spec.weights, assemble::weights_path(ctx, spec)?) {
            let written = toml::Value::try_from(written);
            let written = written
                .ok()
                .and_then(|value| value.as_str().map(str::to_owned));
            rows.push(row(
                "weights",
                written.unwrap_or_default(),
                &weights_file(&path),
            )?);
        }
        Ok(rows)
    }

    /// It as the victim of an attack whose gradients follow the plan.
    pub fn victim(&self, plan: BackwardPlan) -> Victim<'_> {
        Victim {
            name: self.words.clone(),
            check: interrupt::check,
            ..Victim::new(&self.network, plan)
        }
    }

    /// Its answers to `images`, which are or were made of the examples.
    pub fn answers(
        &self,
        examples: &Examples,
        images: &Tensor,
        batch_size: usize,
    ) -> Result<Vec<u32>> {
        let mut answers = Vec::new();
        while let Some(next) = self.next_answers(examples, images, batch_size, answers.len())? {
            answers.extend(next);
        }
        Ok(answers)
    }

    /// Its next answers to `images`, which are or were made of the examples, where `known` are known; nothing where all are.
    pub fn next_answers(
        &self,
        examples: &Examples,
        images: &Tensor,
        batch_size: usize,
        known: usize,
    ) -> Result<Option<Vec<u32>>> {
        let count = batch_size.min(examples.labels.len().saturating_sub(known));
        if count == 0 {
            return Ok(None);
        }
        let victim = self.victim(BackwardPlan::none());
        let batch = images.narrow(0, known, count)?;
        let indices = &examples.indices[known..known + count];
        let logits = victim.sound_logits(&batch, indices, "image")?;
        predictions(&logits).map(Some)
    }
}
