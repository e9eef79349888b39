//! FIA, the feature importance-aware attack (Wang et al., ICCV 2021, arXiv 2107.14185): down the features of an activation,
//! weighted by how much the label's logit depends on them.

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::momentum::{Accumulated, Momentum};
use super::settings::{Making, Settings};
use super::transform::{self, InputTransform};
use super::{Attack, Goal, Objective, Originals, Steps, Threat, Victim};
use crate::Result;
use crate::ops::device::bring;
use crate::ops::logit_score::Score;
use crate::ops::parallel::chunks_mut2;
use crate::ops::perturbation::image_len;
use crate::ops::real::tensor;
use crate::rng::Purpose;
use crate::spec::range::{Count, Share};
use crate::spec::tagged::list_identity;
use crate::spec::{Iterations, NonNegative, StepSize, section};

section! {
    /// The settings of FIA.
    FiaSettings {
        /// Length of a step, pixels in [0, 1]: a number or a fraction such as "2/255"; required.
        step_size: f64 [required as StepSize],
        /// Number of steps; required.
        k: usize [required as Iterations] smoke 2,
        /// Share of the accumulated gradient that a step keeps, mu in the paper; default 1.
        decay: f64 [as NonNegative, or 1.0],
        /// What images go through before the network, in this order: a list of input transformations, by name or as
        /// { kind = "...", ... }; default none.
        transform: Vec<InputTransform> [by transform::read, identity list_identity],
        /// The activation whose output, the features, the attack works on, by its name in the model; default the middle one.
        layer: Option<String> [optional],
        /// Masked copies of each image whose gradients are added up, N in the paper; default 30.
        n_ens: usize [as Count, or 30] smoke 2,
        /// Share of a copy's values that are set to 0, p_d in the paper; default 0.3.
        drop: f64 [as Share, or 0.3],
    }
}

/// `k` steps along `m`, which each step sets to `decay m + g / |g|_1`. `g` descends the sum of the features times their
/// importance: the gradient of the label's logit with respect to them, added up over `n_ens` copies of the original in which a
/// value is 0 with probability `drop`. The paper brings the importance to length 1, which changes no step.
pub struct Fia {
    steps: Steps,
    layer: Option<String>,
    n_ens: usize,
    drop: f64,
}

impl Fia {
    /// With the paper's copies and accumulation, on the features at `layer`, or in the middle.
    pub fn new(threat: Threat, step_size: f64, k: usize, layer: Option<String>) -> Self {
        let steps = Steps {
            momentum: Some(Momentum::Accumulated(Accumulated {})),
            ..Steps::from_original("fia", threat, step_size, k)
        };
        Self::by(steps, layer)
    }

    /// The same by other steps.
    pub fn by(steps: Steps, layer: Option<String>) -> Self {
        Self {
            steps,
            layer,
            n_ens: 30,
            drop: 0.3,
        }
    }
}

impl Settings for FiaSettings {
    const NAME: &'static str = "fia";
    const ABOUT: &'static str =
        "as mi-fgsm, down the features of one layer that the label depends on";
    const PAPER: &'static str = "Wang et al., 2021, arXiv 2107.14185";

    fn attacks(&self, making: &Making) -> Result<Vec<Box<dyn Attack>>> {
        let fia = Fia::new(making.threat, self.step_size, self.k, self.layer.clone());
        let steps = Steps {
            decay: self.decay,
            transforms: self.transform.clone(),
            ..fia.steps
        };
        Ok(vec![Box::new(Fia {
            steps,
            n_ens: self.n_ens,
            drop: self.drop,
            layer: fia.layer,
        })])
    }
}

/// The masks of the copies of images, of which each call makes the next: 0 with probability `drop`, else 1, drawn for each value
/// of the images.
pub fn masks(originals: Originals<'_>, drop: f64) -> Result<impl FnMut() -> Result<Tensor>> {
    let Originals {
        images,
        indices,
        start,
        ..
    } = originals;
    let (shape, dtype, len) = (images.shape().clone(), images.dtype(), image_len(images)?);
    let rng = |&index: &usize| start.rng(Purpose::AttackSearch, index);
    let mut rngs: Vec<ChaCha8Rng> = indices.iter().map(rng).collect();
    Ok(move || {
        let mut mask = vec![0.0; shape.elem_count()];
        chunks_mut2(&mut mask, &mut rngs, (len, 1), &|_, mask, rngs| {
            for (mask, rng) in mask.chunks_exact_mut(len).zip(rngs) {
                mask.fill_with(|| f64::from(rng.random_bool(1.0 - drop)));
            }
        });
        Ok(tensor(mask, &shape)?.to_dtype(dtype)?)
    })
}

impl Attack for Fia {
    fn name(&self) -> &'static str {
        self.steps.name()
    }

    fn threat(&self) -> Threat {
        self.steps.threat()
    }

    fn goal(&self) -> Goal {
        self.steps.goal()
    }

    fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    fn perturb(&self, victim: &Victim<'_>, originals: Originals<'_>) -> Result<Tensor> {
        let layer = victim.layer_or_middle(self.layer())?;
        let device = victim.network.device();
        let images = bring(originals.images, device)?;
        let mut mask = masks(originals, self.drop)?;
        // An attack ascends minus the logit.
        let loss = Objective::Score(Score::Logit);
        let mut importance = || {
            let copy = (&images * bring(&mask()?, device)?)?;
            victim.feature_gradient(&copy, layer, |logits| {
                loss.logit_gradient(logits, originals.labels, None)
            })
        };
        let mut weights = importance()?;
        for _ in 1..self.n_ens {
            weights = (weights + importance()?)?;
        }
        let gradient_at =
            |x: &Tensor| victim.gradient_through_features(x, layer, |_| Ok(weights.clone()));
        self.steps.perturb_up(victim, originals, &gradient_at)
    }
}
