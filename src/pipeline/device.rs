//! `--device`: where tensors live.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

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
        let cuda = candle_core::utils::cuda_is_available();
        match self {
            Self::Auto if cuda => Self::Cuda(0).open(),
            Self::Auto | Self::Cpu => Ok((Device::Cpu, "cpu".into())),
            Self::Cuda(_) if !cuda => Err(Error::failed(format!(
                "--device {self}: this build has no CUDA; build with --features cuda, or use --device cpu"
            ))),
            Self::Cuda(number) => {
                let device = Device::new_cuda(number).map_err(|error| {
                    Error::failed(format!("--device {self}: cannot be used: {error}"))
                })?;
                Ok((device, self.to_string()))
            }
        }
    }
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
}
