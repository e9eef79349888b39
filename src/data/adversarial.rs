//! The adversarial images that an attack stage leaves, read back as a data set.

use super::{Dataset, Pixels};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// Reads `adversarial.safetensors`: `images`, f32 of shape (N, C, H, W) in [0, 1], and `labels`, N integers that are
/// indices into `classes`.
///
/// # Errors
/// A file that is no whole safetensors file, lacks one of the two tensors, or holds other types, shapes or values.
pub fn read_adversarial(path: &Path, classes: &[String]) -> Result<Dataset> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let wrong = |found: String| {
        Error::failed(format!(
            "{}: {found}; name the adversarial.safetensors of an attack stage, or run that stage again",
            path.display(),
        ))
    };
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| wrong(format!("cannot be read as a safetensors file ({error})")))?;
    let tensor = |name: &str| {
        file.tensor(name).map_err(|_| {
            wrong(format!(
                "a tensor `{name}` was expected, it holds [{}]",
                names(&file)
            ))
        })
    };

    let images = tensor("images")?;
    let shape = match *images.shape() {
        [count, channels, height, width]
            if images.dtype() == Dtype::F32 && !images.data().is_empty() =>
        {
            [count, channels, height, width]
        }
        _ => {
            return Err(wrong(format!(
                "`images` is {:?} {:?}, F32 of shape [N, C, H, W] with at least one value was expected",
                images.dtype(),
                images.shape(),
            )));
        }
    };
    let pixels: Vec<f32> = images
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    // A NaN is in no range, so this finds it too.
    if let Some(position) = pixels.iter().position(|pixel| !(0.0..=1.0).contains(pixel)) {
        return Err(wrong(format!(
            "value {} of image {} is not an intensity, 0 to 1 was expected",
            pixels[position],
            position / (pixels.len() / shape[0]),
        )));
    }

    let labels = tensor("labels")?;
    let values = integers(labels.dtype(), labels.data())
        .filter(|_| labels.shape() == [shape[0]])
        .ok_or_else(|| {
            wrong(format!(
                "`labels` is {:?} {:?}, integers of shape [{}] were expected",
                labels.dtype(),
                labels.shape(),
                shape[0],
            ))
        })?;
    let mut checked = Vec::with_capacity(values.len());
    for (position, &value) in values.iter().enumerate() {
        match u32::try_from(value) {
            Ok(label) if (label as usize) < classes.len() => checked.push(label),
            _ => {
                return Err(wrong(format!(
                    "label {value} of image {position} is not one of the {} classes",
                    classes.len(),
                )));
            }
        }
    }
    Ok(Dataset {
        shape: [shape[1], shape[2], shape[3]],
        pixels: Pixels::F32(pixels),
        names: (0..checked.len())
            .map(|index| format!("adversarial-{index:06}"))
            .collect(),
        labels: checked,
        classes: classes.to_vec(),
    })
}

fn names(file: &SafeTensors) -> String {
    let mut names = file.names();
    names.sort_unstable();
    names.truncate(8);
    names.join(", ")
}

fn integers(dtype: Dtype, data: &[u8]) -> Option<Vec<i64>> {
    fn decode<const SIZE: usize>(data: &[u8], value: impl Fn([u8; SIZE]) -> i64) -> Vec<i64> {
        let (values, _) = data.as_chunks::<SIZE>();
        values.iter().map(|&bytes| value(bytes)).collect()
    }
    match dtype {
        Dtype::U8 => Some(decode(data, |[byte]| i64::from(byte))),
        Dtype::I32 => Some(decode(data, |bytes| i64::from(i32::from_le_bytes(bytes)))),
        Dtype::U32 => Some(decode(data, |bytes| i64::from(u32::from_le_bytes(bytes)))),
        Dtype::I64 => Some(decode(data, i64::from_le_bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use std::collections::HashMap;

    fn classes() -> Vec<String> {
        vec!["a".into(), "b".into()]
    }

    fn message(tensors: &[(&str, Tensor)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adversarial.safetensors");
        let tensors: HashMap<&str, Tensor> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let message = read_adversarial(&path, &classes()).unwrap_err().to_string();
        let rest = message
            .strip_prefix(&format!("{}: ", path.display()))
            .expect("names the file");
        rest.strip_suffix(
            "; name the adversarial.safetensors of an attack stage, or run that stage again",
        )
        .expect("says what to do")
        .to_string()
    }

    fn images(values: [f32; 4]) -> Tensor {
        Tensor::from_slice(&values, (2, 1, 1, 2), &Device::Cpu).unwrap()
    }

    fn labels(values: [u32; 2]) -> Tensor {
        Tensor::from_slice(&values, 2, &Device::Cpu).unwrap()
    }

    #[test]
    fn images_and_labels_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adversarial.safetensors");
        for labels in [
            labels([1, 0]),
            labels([1, 0]).to_dtype(candle_core::DType::I64).unwrap(),
        ] {
            let tensors = HashMap::from([
                ("images", images([0.0, 0.25, 1.0, 0.5])),
                ("labels", labels),
            ]);
            candle_core::safetensors::save(&tensors, &path).unwrap();
            let set = read_adversarial(&path, &classes()).unwrap();
            assert_eq!(set.shape, [1, 1, 2]);
            assert_eq!(set.labels, [1, 0]);
            assert_eq!(set.pixels, Pixels::F32(vec![0.0, 0.25, 1.0, 0.5]));
            assert_eq!((set.names.len(), set.classes), (2, classes()));
        }
    }

    #[test]
    fn faults_are_named() {
        let good = || ("images", images([0.0, 0.25, 1.0, 0.5]));
        assert_eq!(
            message(&[good()]),
            "a tensor `labels` was expected, it holds [images]"
        );
        assert_eq!(
            message(&[("images", labels([0, 0])), ("labels", labels([0, 0]))]),
            "`images` is U32 [2], F32 of shape [N, C, H, W] with at least one value was expected"
        );
        assert_eq!(
            message(&[
                ("images", images([0.0, 0.0, 0.0, 1.5])),
                ("labels", labels([0, 0]))
            ]),
            "value 1.5 of image 1 is not an intensity, 0 to 1 was expected"
        );
        assert_eq!(
            message(&[
                ("images", images([0.0, f32::NAN, 0.0, 0.0])),
                ("labels", labels([0, 0]))
            ]),
            "value NaN of image 0 is not an intensity, 0 to 1 was expected"
        );
        assert_eq!(
            message(&[good(), ("labels", labels([0, 2]))]),
            "label 2 of image 1 is not one of the 2 classes"
        );
        let three = Tensor::from_slice(&[0u32, 0, 0], 3, &Device::Cpu).unwrap();
        assert_eq!(
            message(&[good(), ("labels", three)]),
            "`labels` is U32 [3], integers of shape [2] were expected"
        );
        let floats = Tensor::from_slice(&[0f32, 0.0], 2, &Device::Cpu).unwrap();
        assert!(
            message(&[good(), ("labels", floats)]).starts_with("`labels` is F32 [2], integers")
        );
    }

    #[test]
    fn a_cut_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adversarial.safetensors");
        let tensors = HashMap::from([("images", images([0.0; 4])), ("labels", labels([0, 0]))]);
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let message = read_adversarial(&path, &classes()).unwrap_err().to_string();
        assert!(
            message.contains("cannot be read as a safetensors file ("),
            "{message}"
        );
    }
}
