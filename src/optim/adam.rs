//! Adam (Kingma and Ba, arXiv 1412.6980) and AdamW (Loshchilov and Hutter, arXiv 1711.05101), as torch defines them.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

#[cfg(any(feature = "cuda", test))]
use super::on_card_of;
use super::{Optimizer, saved, zeros};
use crate::nn::{Gradients, Param};
use crate::ops::Real;
use crate::ops::parallel::{GRAIN, chunk, chunks_mut3};
use crate::ops::real::{view, with_mut};
use crate::{Result, simd, with_real};

/// Settings of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay rates of the averages of the gradient and of its square.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
    pub weight_decay: f64,
    /// Whether weights decay beside the update (AdamW) instead of through the gradient (Adam).
    pub decoupled: bool,
}

/// `m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)`.
pub struct Adam {
    config: AdamConfig,
    parameters: Vec<Param>,
    mean: Vec<Tensor>,
    square: Vec<Tensor>,
    /// Updates made so far.
    steps: u32,
}

/// The numbers of one update, the same for all elements.
#[derive(Clone, Copy)]
struct Factors<T> {
    beta1: T,
    beta2: T,
    eps: T,
    /// Weight decay through the gradient.
    coupled: T,
    /// What weights are multiplied with beforehand.
    keep: T,
    /// `lr / (1 - b1^t)`
    rate: T,
    /// `sqrt(1 - b2^t)`
    correction: T,
}

simd! {
    fn update<T>(p: &mut [T], m: &mut [T], v: &mut [T], g: &[T], f: Factors<T>) {
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g + f.coupled * *p;
            *m = f.beta1 * *m + (T::ONE - f.beta1) * g;
            *v = f.beta2 * *v + (T::ONE - f.beta2) * g * g;
            *p = *p * f.keep - f.rate * *m / (Real::sqrt(*v) / f.correction + f.eps);
        }
    }
}

impl Adam {
    /// An optimizer of the given parameters, at rest.
    pub fn new(config: AdamConfig, parameters: &[Param]) -> Result<Self> {
        Ok(Self {
            config,
            parameters: parameters.to_vec(),
            mean: zeros(parameters)?,
            square: zeros(parameters)?,
            steps: 0,
        })
    }

    fn factors<T: Real>(&self, learning_rate: f64) -> Factors<T> {
        let AdamConfig {
            betas: [beta1, beta2],
            eps,
            weight_decay,
            decoupled,
        } = self.config;
        let t = f64::from(self.steps);
        Factors {
            beta1: T::of(beta1),
            beta2: T::of(beta2),
            eps: T::of(eps),
            coupled: T::of(if decoupled { 0.0 } else { weight_decay }),
            keep: T::of(if decoupled {
                1.0 - learning_rate * weight_decay
            } else {
                1.0
            }),
            rate: T::of(learning_rate / (1.0 - beta1.powf(t))),
            correction: T::of((1.0 - beta2.powf(t)).sqrt()),
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        #[cfg(any(feature = "cuda", test))]
        if let Some(card) = on_card_of(&self.parameters)? {
            let state = self.mean.iter().zip(&self.square);
            let updates: Vec<_> = self
                .parameters
                .iter()
                .zip(state)
                .filter_map(|(param, (mean, square))| {
                    Some(super::on_card::adam::Update {
                        parameter: param.tensor(),
                        mean,
                        square,
                        gradient: gradients.parameter(param)?,
                    })
                })
                .collect();
            let (config, steps) = (&self.config, self.steps);
            return super::on_card::adam::step_many(&*card, &updates, config, steps, learning_rate);
        }
        for (index, param) in self.parameters.iter().enumerate() {
            let Some(gradient) = gradients.parameter(param) else {
                continue;
            };
            with_real!(gradient.dtype(), T => {
                let factors = self.factors::<T>(learning_rate);
                let g = &*view::<T>(gradient)?;
                with_mut::<T, _>(param.tensor(), |p| {
                    with_mut::<T, _>(&self.mean[index], |m| {
                        with_mut::<T, _>(&self.square[index], |v| {
                            chunks_mut3(p, m, v, GRAIN, &|i, p, m, v| update(p, m, v, chunk(g, GRAIN, i), factors));
                        })
                    })
                })??
            })?;
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let steps = Tensor::from_vec(vec![f64::from(self.steps)], 1, &Device::Cpu)?;
        let mut state = BTreeMap::from([("adam.steps".to_string(), steps)]);
        for ((param, mean), square) in self.parameters.iter().zip(&self.mean).zip(&self.square) {
            state.insert(format!("adam.mean.{}", param.name()), mean.copy()?);
            state.insert(format!("adam.square.{}", param.name()), square.copy()?);
        }
        Ok(state)
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let steps = Tensor::from_vec(vec![0f64], 1, &Device::Cpu)?;
        self.steps = saved(state, "adam.steps", &steps)?.to_vec1::<f64>()?[0] as u32;
        for (index, param) in self.parameters.iter().enumerate() {
            let mean = format!("adam.mean.{}", param.name());
            let square = format!("adam.square.{}", param.name());
            self.mean[index] = saved(state, &mean, &self.mean[index])?.copy()?;
            self.square[index] = saved(state, &square, &self.square[index])?.copy()?;
        }
        Ok(())
    }
}
