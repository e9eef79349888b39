//! `[linbp]`: where the backward pass is another than the derivatives of the forward pass.

use super::by_use::{self, ByUse};
use super::layers::Layers;
use super::preset::LinbpUse;
use crate::attacks::kinds_of_stage;
use crate::choice::choices;
use crate::spec::fields::Fields;
use crate::spec::range::{Portion, Positive};
use crate::spec::section::section;
use crate::spec::task::TaskKind;

/// Why LinBP makes no difference to some attacks.
pub(crate) const NO_GRADIENTS: &str = "square asks for logits alone, and LinBP changes gradients";

choices! {
    /// What the chosen activations have in the place of their derivatives.
    LinbpVariant {
        /// The identity (arXiv 2112.11018).
        Plain = "plain",
        /// The identity, and in residual blocks the gradient of the branch is brought to the norm that it has with the true
        /// derivatives (Guo, Li and Chen, NeurIPS 2020, arXiv 2012.03528).
        Rescaled = "rescaled",
        /// The derivative of SiLU (BPA: Wang et al., NeurIPS 2023, arXiv 2306.12685).
        Silu = "silu",
        /// The derivative of softplus (ConBP: Zhang et al., 2021).
        Softplus = "softplus",
    }
}

choices! {
    /// Where the gradient of a max-pool goes.
    MaxPoolGradient {
        /// To the maximum of each window.
        Max = "max",
        /// To every value of a window, by the softmax of them (BPA: arXiv 2306.12685).
        Softmax = "softmax",
    }
}

section! {
    /// Where the backward pass is another than the derivatives of the forward pass (linear backpropagation).
    LinbpSpec {
        /// Linear backward pass for the gradients of the weights, in training; default false.
        train: bool [or false],
        /// Linear backward pass for the gradients of the images, in attacks; default false.
        attack: bool [or false],
        /// What the chosen activations have backwards: "plain" (the identity), "rescaled" (the same, and branches of ResNets keep
        /// the norm of their true gradient), "silu" or "softplus" (the derivative of that function); default "plain".
        variant: ByUse<LinbpVariant> [by read_variant, or ByUse::both(LinbpVariant::Plain)],
        /// The activations chosen: "default" (the published choice), "all", "from:NAME", a list of globs, "none" beside max_pool or
        /// branch_decay, or "search" in the task transfer. As variant, max_pool and branch_decay also { train = ..., attack = ... } with one of these
        /// each; default "default".
        layers: ByUse<Layers> [by read_layers, or ByUse::both(Layers::Default)],
        /// Sharpness of "softplus", whose derivative is the sigmoid of beta times the input; default 1.
        beta: f64 [as Positive, or 1.0],
        /// Where the gradient of a max-pool goes: "max" (to the maximum) or "softmax" (to each value of the window, by the softmax
        /// of them); default "max".
        max_pool: ByUse<MaxPoolGradient> [by read_max_pool, or ByUse::both(MaxPoolGradient::Max)],
        /// What values are multiplied by before that softmax; default 10, as in BPA.
        max_pool_temperature: f64 [as Positive, or 10.0],
        /// What the gradient that comes out of each residual branch of a ResNet is multiplied by, gamma in the skip gradient
        /// method; default 1.
        branch_decay: ByUse<f64> [by read_branch_decay, or ByUse::both(1.0)],
    }
    check(fields) {
        if !fields.task_is(&[TaskKind::Train, TaskKind::AdversarialTrain]) {
            fields.idle("train", &mut train, false, "nothing is trained here");
        }
        let attacks = kinds_of_stage(fields.around);
        let gradients = attacks.is_empty() || attacks.iter().any(|kind| kind.description().has_gradients);
        if attacks.is_empty() && fields.around.task().is_some() {
            fields.idle("attack", &mut attack, false, "nothing is attacked here");
        } else if !gradients {
            fields.idle("attack", &mut attack, false, NO_GRADIENTS);
        }
        let mut in_attacks = attack;
        if fields.around.task() == Some(TaskKind::Transfer) {
            fields.idle("attack", &mut attack, false, "transfer.linbp says with and without, or which");
            in_attacks = Some(gradients);
        }
        let searches = layers.as_ref().is_some_and(|layers| {
            layers.attack == Layers::Search || layers.train == Layers::Search
        });
        if searches && fields.around.task().is_some_and(|task| task != TaskKind::Transfer) {
            fields.fault("layers", "\"search\" looks for layers whose images carry over, in the task transfer: name some here");
        }
        match (train, in_attacks) {
            (Some(false), Some(false)) => {
                let why = "linbp.train and linbp.attack are both off";
                fields.idle("variant", &mut variant, ByUse::both(LinbpVariant::Plain), why);
                fields.idle("layers", &mut layers, ByUse::both(Layers::Default), why);
                fields.idle("max_pool", &mut max_pool, ByUse::both(MaxPoolGradient::Max), why);
                fields.idle("branch_decay", &mut branch_decay, ByUse::both(1.0), why);
            }
            (Some(true), Some(true)) | (None, _) | (_, None) => {}
            (Some(train), _) => {
                let off = if train { LinbpUse::Attack } else { LinbpUse::Train };
                if let Some(variant) = &mut variant { variant.follow(fields, "variant", off) }
                if let Some(layers) = &mut layers { layers.follow(fields, "layers", off) }
                if let Some(max_pool) = &mut max_pool { max_pool.follow(fields, "max_pool", off) }
                if let Some(decay) = &mut branch_decay { decay.follow(fields, "branch_decay", off) }
            }
        }
        if let (Some(layers), Some(max_pool), Some(branch_decay)) = (&layers, &max_pool, &branch_decay) {
            let without = [LinbpUse::Train, LinbpUse::Attack].into_iter();
            let mut without = without.filter(|&r#use| *layers.of(r#use) == Layers::None);
            if layers.train == Layers::None && layers.attack == Layers::None {
                let why = "linbp.layers is \"none\"";
                fields.idle("variant", &mut variant, ByUse::both(LinbpVariant::Plain), why);
            }
            if without.any(|r#use| *max_pool.of(r#use) == MaxPoolGradient::Max && *branch_decay.of(r#use) == 1.0) {
                let message = "\"none\" leaves ordinary backpropagation: choose activations, set max_pool or branch_decay, or \
                               leave LinBP off";
                fields.fault("layers", message);
            }
        }
        if variant.as_ref().is_some_and(|variant| !variant.has(&LinbpVariant::Softplus)) {
            fields.idle("beta", &mut beta, 1.0, "linbp.variant is not \"softplus\"");
        }
        if max_pool.as_ref().is_some_and(|max_pool| !max_pool.has(&MaxPoolGradient::Softmax)) {
            fields.idle("max_pool_temperature", &mut max_pool_temperature, 10.0, "linbp.max_pool is not \"softmax\"");
        }
    }
}

fn read_variant(fields: &mut Fields, key: &'static str) -> Option<ByUse<LinbpVariant>> {
    by_use::read::<LinbpVariant, _>(fields, key, LinbpVariant::Plain)
}

fn read_layers(fields: &mut Fields, key: &'static str) -> Option<ByUse<Layers>> {
    by_use::read::<Layers, _>(fields, key, Layers::Default)
}

fn read_max_pool(fields: &mut Fields, key: &'static str) -> Option<ByUse<MaxPoolGradient>> {
    by_use::read::<MaxPoolGradient, _>(fields, key, MaxPoolGradient::Max)
}

fn read_branch_decay(fields: &mut Fields, key: &'static str) -> Option<ByUse<f64>> {
    by_use::read::<Portion, f64>(fields, key, 1.0)
}

impl LinbpSpec {
    /// What one of the uses is, where it is on, in a few words.
    pub fn words(&self, r#use: LinbpUse) -> String {
        let mut words = Vec::new();
        if *self.layers.of(r#use) != Layers::None {
            words.push(match self.variant.of(r#use) {
                LinbpVariant::Plain => "LinBP".to_owned(),
                variant => format!("{variant} LinBP"),
            });
        }
        if *self.max_pool.of(r#use) == MaxPoolGradient::Softmax {
            words.push("softmax for max-pools".to_owned());
        }
        match *self.branch_decay.of(r#use) {
            1.0 => {}
            decay => words.push(format!("branches times {decay}")),
        }
        words.join(", ")
    }
}
