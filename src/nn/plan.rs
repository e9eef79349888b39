//! What a backward pass does otherwise than the derivatives of the forward pass say.

use std::sync::Arc;

use super::gradients::Rule;
use super::surrogate::Surrogate;

/// Which activations let the gradient through unchanged (LinBP) or have the derivative of a smooth function, by the index that
/// the builder gave them, and what is done about residual branches and max-pools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackwardPlan {
    chosen: Arc<[bool]>,
    /// None: the identity.
    surrogate: Option<Surrogate>,
    rescaled: bool,
    branch_decay: Option<f64>,
    max_pool_temperature: Option<f64>,
}

impl BackwardPlan {
    /// The plan in which `linear[i]` says whether activation `i` is linear backwards.
    pub fn new(linear: Vec<bool>) -> Self {
        Self {
            chosen: linear.into(),
            ..Self::default()
        }
    }

    /// Every activation with its true derivative: ordinary backpropagation.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same plan with residual branches rescaled (Guo, Li and Chen, NeurIPS 2020, arXiv 2012.03528): where
    /// activations inside a branch are linear, each example's gradient that leaves the branch at its start is brought to
    /// the l2 norm that it would have with the true derivatives, so that branch and shortcut keep their proportion.
    pub fn rescaled(self) -> Self {
        Self {
            rescaled: true,
            ..self
        }
    }

    /// The same plan with the derivative of a smooth function for its activations, in the place of the identity.
    pub fn with_surrogate(self, surrogate: Surrogate) -> Self {
        Self {
            surrogate: Some(surrogate),
            ..self
        }
    }

    /// The same plan with the gradient that leaves a residual branch at its start multiplied by `decay`, gamma in the skip
    /// gradient method (Wu et al., ICLR 2020, arXiv 2002.05990): what comes by the shortcuts weighs more.
    pub fn with_branch_decay(self, decay: f64) -> Self {
        Self {
            branch_decay: (decay != 1.0).then_some(decay),
            ..self
        }
    }

    /// The same plan with the gradient of a max-pool spread over each window by the softmax of `temperature` times its values
    /// (BPA: Wang et al., NeurIPS 2023, arXiv 2306.12685).
    pub fn with_softmax_pools(self, temperature: f64) -> Self {
        Self {
            max_pool_temperature: Some(temperature),
            ..self
        }
    }

    /// The plan of a mean of networks, each of which has so many activations and its own choice of them; all else is as in the
    /// first plan.
    pub fn joined(plans: &[(Self, usize)]) -> Self {
        let own = plans.iter();
        let chosen = own.flat_map(|(plan, count)| (0..*count).map(|index| plan.chooses(index)));
        let first = plans.first().map(|(plan, _)| plan.clone());
        Self {
            chosen: chosen.collect(),
            ..first.unwrap_or_default()
        }
    }

    /// Whether activation `index` is linear backwards, or has the derivative of a smooth function.
    pub fn chooses(&self, index: usize) -> bool {
        self.chosen.get(index).copied().unwrap_or(false)
    }

    /// Which backward pass activation `index` gets.
    pub(super) fn rule(&self, index: usize) -> Rule {
        match (self.chooses(index), self.surrogate) {
            (false, _) => Rule::True,
            (true, None) => Rule::Linear,
            (true, Some(surrogate)) => Rule::Surrogate(surrogate),
        }
    }

    /// Whether residual branches are rescaled.
    pub fn is_rescaled(&self) -> bool {
        self.rescaled
    }

    /// By what the gradients of residual branches are multiplied, where they are.
    pub(super) fn branch_decay(&self) -> Option<f64> {
        self.branch_decay
    }

    /// The temperature of the softmax that stands for the maximum in max-pools, where one does.
    pub(super) fn max_pool_temperature(&self) -> Option<f64> {
        self.max_pool_temperature
    }
}
