//! `--device`: where tensors live.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::experiment::StageSpec;
use crate::ops::card::{self, CardInfo, OLDEST, cards};
use crate::ops::precision::Precision;
use crate::{Error, Result};

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA where the build and the machine have it, otherwise the CPU.
    #[default]
    Auto,
    Cpu,
    /// The CUDA device of that number.
    Cuda(usize),
}

impl DeviceChoice {
    /// Whether it comes to the CPU on this machine.
    pub fn is_cpu(self) -> bool {
        match self {
            Self::Auto => cards().map_or(true, |cards| cards.is_empty()),
            Self::Cpu => true,
            Self::Cuda(_) => false,
        }
    }
}

impl DeviceChoice {
    /// The choice of one of several processes: where the user names no card, each card has its share of them.
    pub(super) fn of_worker(self, worker: usize) -> Self {
        match (self, cards()) {
            (Self::Auto, Ok(cards)) if !cards.is_empty() => Self::Cuda(worker % cards.len()),
            _ => self,
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err("expected auto, cpu, cuda or cuda:N".into()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// The device, and its name in `run.json`.
    ///
    /// # Errors
    /// A CUDA device that the build or the machine does not have.
    pub fn open(self) -> Result<(Device, String)> {
        match self {
            Self::Auto if cards().is_ok_and(|cards| usable(&cards)) => Self::Cuda(0).open(),
            Self::Auto | Self::Cpu => Ok((Device::Cpu, "cpu".into())),
            Self::Cuda(number) => {
                let cards =
                    cards().map_err(|why| Error::failed(format!("--device {self}: {why}")))?;
                let found = cards.get(number).ok_or_else(|| {
                    Error::failed(format!(
                        "--device {self}: this machine has {} CUDA devices, numbered from 0; see `runner devices`",
                        cards.len()
                    ))
                })?;
                Ok((card::open(number)?, format!("{self} ({})", found.name)))
            }
        }
    }
}

/// Whether the first card can run the kernels.
fn usable(cards: &[CardInfo]) -> bool {
    cards.first().is_some_and(|card| card.capability >= OLDEST)
}

/// How exactly a stage computes on a device.
///
/// # Errors
/// A precision other than f32 on the CPU, which has no other.
pub fn precision(stage: &StageSpec, device: &Device) -> Result<Precision> {
    match (stage.precision, device) {
        (None, Device::Cpu) => Ok(Precision::F32),
        (None, _) => Ok(Precision::Tf32),
        (Some(choice), Device::Cpu) if choice != Precision::F32 => Err(Error::spec(format!(
            "precision: \"{choice}\" needs a card, and this run is on the CPU, which computes in \"f32\"; remove the \
             key, or use --device cuda"
        ))),
        (Some(choice), _) => Ok(choice),
    }
}

/// The device as `run.json` names it, with the precisions that the stages of a run have there.
pub fn described(name: &str, stages: &[StageSpec], device: &Device) -> Result<String> {
    let mut text = name.to_owned();
    let mut seen = Vec::new();
    for stage in stages {
        let precision = precision(stage, device)?;
        if device.is_cuda() && !seen.contains(&precision) {
            seen.push(precision);
            text += &format!(", {}", precision.name());
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written_alike() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(
                text.parse::<DeviceChoice>()
                    .map(|choice| choice.to_string()),
                Ok(text.into())
            );
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_precision_that_the_cpu_does_not_have_is_refused() {
        let request = |line: &str| {
            let text =
                format!("task = \"train\"\n{line}\ndata.kind = \"digits\"\nmodel.arch = \"mlp\"\n");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("p.toml");
            std::fs::write(
                &path,
                text + "optimizer.kind = \"sgd\"\noptimizer.lr = 0.1\ntrain.epochs = 1\n",
            )
            .unwrap();
            let request = crate::spec::Request {
                spec: path,
                ..Default::default()
            };
            crate::experiment::plan(&request).unwrap().runs[0]
                .spec
                .stages[0]
                .clone()
        };
        assert_eq!(
            precision(&request(""), &Device::Cpu).unwrap(),
            Precision::F32
        );
        let f32 = request("precision = \"f32\"");
        assert_eq!(precision(&f32, &Device::Cpu).unwrap(), Precision::F32);
        let error = precision(&request("precision = \"bf16\""), &Device::Cpu).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("precision: \"bf16\" needs a card"),
            "{error}"
        );
    }
}
