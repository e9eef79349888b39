//! Stochastic gradient descent with momentum, as torch defines it.

use std::collections::BTreeMap;

use candle_core::Tensor;

#[cfg(any(feature = "cuda", test))]
use super::on_card_of;
use super::{Optimizer, saved, zeros};
use crate::nn::{Gradients, Param};
use crate::ops::parallel::{GRAIN, chunk, chunks_mut, chunks_mut2};
use crate::ops::real::{view, with_mut};
use crate::{Result, simd, with_real};

/// Settings of [`Sgd`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Share of the last update that the next one keeps, in [0, 1).
    pub momentum: f64,
    /// Whether the gradient is taken ahead by one momentum step (Nesterov's form).
    pub nesterov: bool,
    /// The l2 penalty's factor, on all parameters.
    pub weight_decay: f64,
}

/// `g += wd p; v = mu v + g; p -= lr v`, or `p -= lr (g + mu v)` in Nesterov's form.
pub struct Sgd {
    config: SgdConfig,
    parameters: Vec<Param>,
    /// v of each parameter; empty without momentum.
    velocity: Vec<Tensor>,
}

simd! {
    fn plain<T>(p: &mut [T], g: &[T], lr: T, decay: T) {
        for (p, &g) in p.iter_mut().zip(g) {
            *p -= lr * (g + decay * *p);
        }
    }
}

simd! {
    fn with_momentum<T>(p: &mut [T], v: &mut [T], g: &[T], lr: T, decay: T, momentum: T, nesterov: bool) {
        for ((p, v), &g) in p.iter_mut().zip(v).zip(g) {
            let g = g + decay * *p;
            *v = momentum * *v + g;
            *p -= lr * if nesterov { g + momentum * *v } else { *v };
        }
    }
}

impl Sgd {
    /// An optimizer of the given parameters, at rest.
    pub fn new(config: SgdConfig, parameters: &[Param]) -> Result<Self> {
        let velocity = match config.momentum {
            0.0 => Vec::new(),
            _ => zeros(parameters)?,
        };
        Ok(Self {
            config,
            parameters: parameters.to_vec(),
            velocity,
        })
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        #[cfg(any(feature = "cuda", test))]
        if let Some(card) = on_card_of(&self.parameters)? {
            let updates: Vec<_> = self
                .parameters
                .iter()
                .enumerate()
                .filter_map(|(index, param)| {
                    Some(super::on_card::sgd::Update {
                        parameter: param.tensor(),
                        velocity: self.velocity.get(index),
                        gradient: gradients.parameter(param)?,
                    })
                })
                .collect();
            return super::on_card::sgd::step_many(&*card, &updates, &self.config, learning_rate);
        }
        let SgdConfig {
            momentum,
            nesterov,
            weight_decay,
        } = self.config;
        for (index, param) in self.parameters.iter().enumerate() {
            let Some(gradient) = gradients.parameter(param) else {
                continue;
            };
            with_real!(gradient.dtype(), T => {
                let (lr, decay, mu) = (learning_rate as T, weight_decay as T, momentum as T);
                let g = &*view::<T>(gradient)?;
                match self.velocity.get(index) {
                    None => with_mut::<T, _>(param.tensor(), |p| {
                        chunks_mut(p, GRAIN, &|i, p| plain(p, chunk(g, GRAIN, i), lr, decay));
                    }),
                    Some(velocity) => with_mut::<T, _>(param.tensor(), |p| {
                        with_mut::<T, _>(velocity, |v| {
                            chunks_mut2(p, v, (GRAIN, GRAIN), &|i, p, v| {
                                with_momentum(p, v, chunk(g, GRAIN, i), lr, decay, mu, nesterov);
                            });
                        })
                    })?,
                }
            })?;
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let pairs = self.parameters.iter().zip(&self.velocity);
        pairs
            .map(|(p, v)| Ok((format!("momentum.{}", p.name()), v.copy()?)))
            .collect()
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for (param, velocity) in self.parameters.iter().zip(&mut self.velocity) {
            let name = format!("momentum.{}", param.name());
            *velocity = saved(state, &name, velocity)?.copy()?;
        }
        Ok(())
    }
}
