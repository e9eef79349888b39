//! Averages of a training's weights, which answer better than the weights of any one step: exponential (EMA; Polyak and
//! Juditsky, 1992) and stochastic weight averaging (SWA; Izmailov et al., arXiv 1803.05407).
//!
//! An average takes in nothing but what steps leave; the training itself does not know of it.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::choice::choices;
use crate::nn::{Coordinates, Network, Param};
use crate::ops::average::{self, Pair};
use crate::spec::range::{Count, InnerShare, Whole};
use crate::spec::section;
use crate::{Error, Result};

choices! {
    /// The averages.
    AverageKind {
        /// Exponential, over steps; running statistics too.
        Ema = "ema",
        /// The mean over the ends of epochs; running statistics are measured anew, on the training images.
        Swa = "swa",
    }
}

section! {
    /// An average of the weights.
    AverageSpec {
        /// The average: "ema", exponential over steps, or "swa", the mean over the ends of epochs; required.
        kind: AverageKind [required],
        /// What "ema" keeps of itself in each step, in (0, 1), such as 0.999; required for ema.
        decay: Option<f64> [optional as InnerShare],
        /// Whether the decay of "ema" is at most (1 + n) / (10 + n) after n steps, so that first steps do not linger; default
        /// true.
        warmup: bool [or true],
        /// Epochs before the first one that counts; default 0, required for swa.
        start: Option<usize> [optional as Whole] smoke begin_at_once,
        /// Epochs between those whose ends "swa" takes in; default 1.
        every: usize [as Count, or 1],
    }
    check(fields) {
        match kind {
            Some(AverageKind::Ema) => {
                fields.require_for("decay", &decay, "ema has no usual one");
                fields.idle("every", &mut every, 1, "ema takes in every step");
            }
            Some(AverageKind::Swa) => {
                fields.require_for("start", &start, "swa averages the end of a training");
                fields.idle("decay", &mut decay, None, "only ema decays");
                fields.idle("warmup", &mut warmup, true, "only ema decays");
            }
            None => {}
        }
        let epochs = fields.peek_at::<usize>("train", "epochs");
        if let (Some(Some(start)), Some(epochs)) = (start, epochs)
            && start >= epochs
        {
            fields.fault("start", &format!("expected fewer than the {epochs} of train.epochs, found {start}"));
        }
    }
}

/// A trial run has one epoch.
fn begin_at_once(start: &mut Option<usize>) -> bool {
    let late = start.is_some_and(|start| start > 0);
    *start = start.map(|_| 0);
    late
}

/// In the state of an average: how often it took in weights.
const COUNT: &str = "count";
/// In there: what the name of each tensor begins with.
const TENSOR: &str = "tensor.";

/// An average under way.
pub struct Average {
    spec: AverageSpec,
    /// In the order of [`Network::tensors`].
    tensors: Vec<Tensor>,
    /// How often it took in weights.
    count: u64,
}

impl Average {
    /// An average that has taken in nothing yet.
    pub fn new(spec: &AverageSpec, network: &Network) -> Result<Self> {
        let tensors = network.tensors().map(Param::snapshot);
        Ok(Self {
            spec: spec.clone(),
            tensors: tensors.collect::<Result<_>>()?,
            count: 0,
        })
    }

    /// Its kind.
    pub fn kind(&self) -> AverageKind {
        self.spec.kind
    }

    /// Whether it took in anything: until then it is none.
    pub fn has_begun(&self) -> bool {
        self.count > 0
    }

    /// Whether its running statistics are to be measured before it is used.
    pub fn measures_statistics(&self) -> bool {
        self.spec.kind == AverageKind::Swa
    }

    /// Takes in what a step of an epoch (from 0) left, if its turn has come.
    pub fn step(&mut self, network: &Network, epoch: usize, ends_epoch: bool) -> Result<()> {
        let Some(since) = epoch.checked_sub(self.spec.start.unwrap_or(0)) else {
            return Ok(());
        };
        let n = self.count as f64;
        let share = match self.spec.kind {
            AverageKind::Ema => {
                let decay = self.spec.decay.unwrap_or(0.0);
                let most = (1.0 + n) / (10.0 + n);
                1.0 - if self.spec.warmup {
                    decay.min(most)
                } else {
                    decay
                }
            }
            AverageKind::Swa if ends_epoch && since % self.spec.every == 0 => 1.0 / (n + 1.0),
            AverageKind::Swa => return Ok(()),
        };
        // What is measured anew is not averaged.
        let taken = match self.spec.kind {
            AverageKind::Ema => self.tensors.len(),
            AverageKind::Swa => network.parameters().len(),
        };
        let pairs = self.tensors.iter().zip(network.tensors()).take(taken);
        if self.count == 0 {
            let values = pairs.map(|(_, param)| param.snapshot());
            let values: Vec<Tensor> = values.collect::<Result<_>>()?;
            self.tensors.splice(..taken, values);
        } else {
            let pairs = pairs.map(|(average, param)| Pair {
                average,
                value: param.tensor(),
            });
            average::step(&pairs.collect::<Vec<_>>(), share)?;
        }
        self.count += 1;
        Ok(())
    }

    /// Runs `work` while the network has the averaged tensors, and gives it back its own.
    pub fn within<T>(&self, network: &Network, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let own = network.tensors().map(Param::snapshot);
        let own: Vec<Tensor> = own.collect::<Result<_>>()?;
        let outcome = put(network, &self.tensors).and_then(|()| work());
        put(network, &own)?;
        outcome
    }

    /// Measures the running statistics of the averaged weights: the means over batches of images `(N, C, H, W)`.
    pub fn measure_statistics(
        &mut self,
        network: &Network,
        at: Coordinates,
        mut batches: impl Iterator<Item = Result<Tensor>>,
    ) -> Result<()> {
        let measured = self.within(network, || {
            for buffer in network.buffers() {
                buffer.set(&buffer.tensor().zeros_like()?)?;
            }
            for batch in 0.. {
                let Some(images) = batches.next() else { break };
                let at = Coordinates { batch, ..at };
                network.measure_statistics(&images?, 1.0 / (batch + 1) as f64, at)?;
            }
            let measured = network.buffers().iter().map(Param::snapshot);
            measured.collect::<Result<Vec<_>>>()
        })?;
        self.tensors.splice(network.parameters().len().., measured);
        Ok(())
    }

    /// The averaged tensors by their names in the network.
    pub fn tensors(&self, network: &Network) -> Result<BTreeMap<String, Tensor>> {
        let tensors = network.tensors().zip(&self.tensors);
        tensors
            .map(|(param, tensor)| Ok((param.name().to_owned(), tensor.copy()?)))
            .collect()
    }

    /// All that it goes on from, by name.
    pub fn state(&self, network: &Network) -> Result<BTreeMap<String, Tensor>> {
        let tensors = self.tensors(network)?.into_iter();
        let mut state: BTreeMap<_, _> = tensors
            .map(|(name, tensor)| (format!("{TENSOR}{name}"), tensor))
            .collect();
        let count = Tensor::from_vec(vec![self.count as f64], 1, &Device::Cpu)?;
        state.insert(COUNT.to_owned(), count);
        Ok(state)
    }

    /// Takes over what [`Self::state`] gave.
    ///
    /// # Errors
    /// A tensor that is missing, or of another shape or type.
    pub fn load_state(
        &mut self,
        network: &Network,
        state: &BTreeMap<String, Tensor>,
    ) -> Result<()> {
        let saved = |name: &str, like: &Tensor| {
            let fits = |t: &&Tensor| t.dims() == like.dims() && t.dtype() == like.dtype();
            let found = state.get(name).filter(fits).ok_or_else(|| {
                Error::failed(format!(
                    "the checkpoint lacks the average's {name}, {:?} {:?}",
                    like.dtype(),
                    like.dims()
                ))
            });
            Ok::<_, Error>(found?.copy()?)
        };
        let count = saved(COUNT, &Tensor::zeros(1, DType::F64, &Device::Cpu)?)?;
        let tensors = network.tensors();
        let tensors =
            tensors.map(|param| saved(&format!("{TENSOR}{}", param.name()), param.tensor()));
        self.tensors = tensors.collect::<Result<_>>()?;
        self.count = count.to_vec1::<f64>()?[0] as u64;
        Ok(())
    }
}

/// Gives a network tensors in the order of [`Network::tensors`].
fn put(network: &Network, tensors: &[Tensor]) -> Result<()> {
    let mut pairs = network.tensors().zip(tensors);
    pairs.try_for_each(|(param, tensor)| param.set(tensor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{self, ModelConfig};

    fn network() -> Network {
        let config = ModelConfig {
            widths: Some(Vec::new()),
            dtype: DType::F64,
            ..ModelConfig::new([1, 1, 2], 2)
        };
        models::build("mlp", &config).unwrap()
    }

    /// Gives every tensor of a network one number.
    fn fill(network: &Network, number: f64) {
        for param in network.tensors() {
            let filled = (param.tensor().zeros_like().unwrap() + number).unwrap();
            param.set(&filled).unwrap();
        }
    }

    fn number(tensor: &Tensor) -> f64 {
        tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap()[0]
    }

    fn average(kind: AverageKind, start: usize) -> AverageSpec {
        AverageSpec {
            kind,
            decay: Some(0.25),
            warmup: true,
            start: Some(start),
            every: 2,
        }
    }

    #[test]
    fn ema_begins_with_the_first_weights_and_forgets_them_by_its_decay() {
        let network = network();
        let mut ema = Average::new(&average(AverageKind::Ema, 1), &network).unwrap();
        let mut expected = 0.0;
        for n in 0..9 {
            fill(&network, f64::from(n + 1));
            // Epoch 0 does not count.
            ema.step(&network, 0, true).unwrap();
            assert_eq!(ema.has_begun(), n > 0);
            ema.step(&network, 1, false).unwrap();
            let keep = match n {
                0 => 0.0,
                _ => (f64::from(1 + n) / f64::from(10 + n)).min(0.25),
            };
            expected = keep * expected + (1.0 - keep) * f64::from(n + 1);
            for (name, tensor) in ema.tensors(&network).unwrap() {
                assert!((number(&tensor) - expected).abs() < 1e-12, "{name} {n}");
            }
        }
    }

    #[test]
    fn swa_is_the_mean_of_every_other_end_from_its_start_on() {
        let network = network();
        let mut swa = Average::new(&average(AverageKind::Swa, 1), &network).unwrap();
        for epoch in 0..6 {
            for ends in [false, true] {
                fill(&network, if ends { epoch as f64 } else { 100.0 });
                swa.step(&network, epoch, ends).unwrap();
            }
        }
        for (name, tensor) in swa.tensors(&network).unwrap() {
            assert!((number(&tensor) - 3.0).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn the_network_gets_its_own_weights_back_even_after_an_error() {
        let network = network();
        let mut ema = Average::new(&average(AverageKind::Ema, 0), &network).unwrap();
        fill(&network, 1.0);
        ema.step(&network, 0, false).unwrap();
        fill(&network, 2.0);
        let seen = || number(network.parameters()[0].tensor());
        assert_eq!(ema.within(&network, || Ok(seen())).unwrap(), 1.0);
        assert_eq!(seen(), 2.0);
        let failed = ema.within(&network, || Err::<(), _>(Error::Interrupted));
        assert!(matches!(failed, Err(Error::Interrupted)));
        assert_eq!(seen(), 2.0);
    }

    #[test]
    fn what_was_saved_goes_on_and_what_does_not_fit_is_refused() {
        let network = network();
        let spec = average(AverageKind::Ema, 0);
        let mut whole = Average::new(&spec, &network).unwrap();
        whole.step(&network, 0, false).unwrap();
        let mut state = whole.state(&network).unwrap();
        let mut resumed = Average::new(&spec, &network).unwrap();
        resumed.load_state(&network, &state).unwrap();
        fill(&network, 3.0);
        for average in [&mut whole, &mut resumed] {
            average.step(&network, 0, false).unwrap();
        }
        let numbers = |average: &Average| -> Vec<Vec<f64>> {
            let tensors = average.state(&network).unwrap().into_values();
            tensors
                .map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
                .collect()
        };
        assert_eq!(numbers(&whole), numbers(&resumed));
        let name = format!("{TENSOR}{}", network.parameters()[0].name());
        state.insert(
            name.clone(),
            Tensor::zeros(3, DType::F64, &Device::Cpu).unwrap(),
        );
        let error = resumed.load_state(&network, &state).unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
