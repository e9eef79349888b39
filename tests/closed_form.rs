//! The claims of `experiments/verify/{closed_form,least_norms}.toml` are what a linear model's worst case and the nearest
//! images that it misclassifies come to, computed in float64.

use std::path::Path;

use candle_core::{DType, Tensor};
use runner::data::{DIGITS, Source, Split, load};
use runner::weights::load_tensors;

/// A linear model and examples, in float64.
struct Linear {
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
    examples: Vec<(Vec<f64>, usize)>,
}

impl Linear {
    fn read(root: &Path) -> Self {
        let file = root.join("experiments/verify/linear_digits.safetensors");
        let tensors = load_tensors(&file).unwrap();
        let wide = |name: &str| -> Tensor { tensors[name].to_dtype(DType::F64).unwrap() };
        let source = Source {
            limit: Some(500),
            ..Source::new(&DIGITS, None)
        };
        let set = load(&source, Split::Test).unwrap();
        let examples = (0..set.len()).map(|index| {
            let mut image = vec![0f32; set.image_len()];
            set.image_f32(index, &mut image).unwrap();
            let image = image.into_iter().map(f64::from).collect();
            (image, set.labels[index] as usize)
        });
        Self {
            weight: wide("fc1.weight").to_vec2().unwrap(),
            bias: wide("fc1.bias").to_vec1().unwrap(),
            examples: examples.collect(),
        }
    }

    /// The share of examples whose every margin stays above 0 where `least` gives, for the gradient of a margin and an
    /// image, the most by which a perturbation lowers it.
    fn robust(&self, least: impl Fn(&[f64], &[f64]) -> f64) -> f64 {
        let withstands = |(image, label): &&(Vec<f64>, usize)| {
            let others = (0..self.bias.len()).filter(|class| class != label);
            others.into_iter().all(|class| {
                let rows = self.weight[*label].iter().zip(&self.weight[class]);
                let gradient: Vec<f64> = rows.map(|(a, b)| a - b).collect();
                let clean = dot(&gradient, image) + self.bias[*label] - self.bias[class];
                clean + least(&gradient, image) > 0.0
            })
        };
        let count = self.examples.iter().filter(withstands).count();
        count as f64 / self.examples.len() as f64
    }
}

impl Linear {
    /// The mean, over the examples classified correctly, of the least norm that lowers a margin to 0, where `step` gives
    /// the shortest of the perturbations that lower it as much, farther with its first argument, up to `longest`.
    fn least(
        &self,
        longest: f64,
        step: impl Fn(f64, &[f64], &[f64]) -> Vec<f64>,
        norm: impl Fn(&[f64]) -> f64,
    ) -> f64 {
        let mut found = Vec::new();
        for (image, label) in &self.examples {
            let mut nearest = f64::INFINITY;
            for class in (0..self.bias.len()).filter(|class| class != label) {
                let rows = self.weight[*label].iter().zip(&self.weight[class]);
                let gradient: Vec<f64> = rows.map(|(a, b)| a - b).collect();
                let clean = dot(&gradient, image) + self.bias[*label] - self.bias[class];
                let is_crossed =
                    |far: f64| clean + dot(&gradient, &step(far, &gradient, image)) <= 0.0;
                let (mut low, mut high) = (0.0, longest);
                let reached = match (is_crossed(low), is_crossed(high)) {
                    (true, _) => 0.0,
                    (_, false) => continue,
                    _ => {
                        for _ in 0..60 {
                            let middle = f64::midpoint(low, high);
                            match is_crossed(middle) {
                                true => high = middle,
                                false => low = middle,
                            }
                        }
                        norm(&step(high, &gradient, image))
                    }
                };
                nearest = nearest.min(reached);
            }
            if nearest > 0.0 {
                found.push(nearest);
            }
        }
        found.iter().sum::<f64>() / found.len() as f64
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Each pixel goes as far as ball and pixel range let it.
fn linf_step(epsilon: f64, gradient: &[f64], image: &[f64]) -> Vec<f64> {
    let pixels = gradient.iter().zip(image);
    pixels
        .map(|(g, x)| match *g > 0.0 {
            true => -epsilon.min(*x),
            false => epsilon.min(1.0 - x),
        })
        .collect()
}

fn linf(gradient: &[f64], image: &[f64], epsilon: f64) -> f64 {
    dot(gradient, &linf_step(epsilon, gradient, image))
}

/// Each pixel goes along the gradient and stops at the ends of its range.
fn l2_step(multiplier: f64, gradient: &[f64], image: &[f64]) -> Vec<f64> {
    let pixels = gradient.iter().zip(image);
    pixels
        .map(|(g, x)| (-multiplier * g).clamp(-x, 1.0 - x))
        .collect()
}

/// The multiplier is the one whose length is the radius.
fn l2(gradient: &[f64], image: &[f64], epsilon: f64) -> f64 {
    let step = |multiplier: f64| l2_step(multiplier, gradient, image);
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        let way = step(middle);
        match dot(&way, &way).sqrt() < epsilon {
            true => low = middle,
            false => high = middle,
        }
    }
    dot(gradient, &step(low))
}

#[test]
fn the_claims_are_the_worst_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = Linear::read(root);
    let exact = [
        ("clean", model.robust(|_, _| 0.0)),
        (
            "linf",
            model.robust(|gradient, image| linf(gradient, image, 0.02)),
        ),
        (
            "l2",
            model.robust(|gradient, image| l2(gradient, image, 0.2)),
        ),
        (
            "least linf norm",
            model.least(1.0, linf_step, |step| {
                step.iter().fold(0.0, |max: f64, v| max.max(v.abs()))
            }),
        ),
        (
            "least l2 norm",
            model.least(1e3, l2_step, |step| dot(step, step).sqrt()),
        ),
    ];
    let claims = ["closed_form", "least_norms"].map(|file| {
        let path = root.join(format!("experiments/verify/{file}.toml"));
        let file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        file["claim"].as_array().unwrap().clone()
    });
    let claims = claims.concat();
    for claim in &claims {
        let name = claim["name"].as_str().unwrap();
        let (_, exact) = exact
            .iter()
            .find(|(norm, _)| name.starts_with(norm))
            .unwrap();
        let claimed = claim.get("expected").or(claim.get("at_least")).unwrap();
        let claimed = claimed.as_float().unwrap();
        assert!(
            (claimed - exact).abs() < 1e-5,
            "{name}: {claimed}, exactly {exact}"
        );
    }
    for (norm, _) in exact {
        assert!(
            claims
                .iter()
                .any(|claim| claim["name"].as_str().unwrap().starts_with(norm))
        );
    }
}
