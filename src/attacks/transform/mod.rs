//! What images go through before the network in each step of an attack, one file each: gradients that do not lean on how a
//! surrogate sees the very pixels carry over to others better.

use candle_core::Tensor;

use super::draws::{Drawing, Draws};
use super::momentum::GradientAt;
use crate::Result;
use crate::spec::Fields;
use crate::spec::tagged::read_item;

mod admix;
mod diverse_input;
mod scale_invariant;
mod separable;
mod spectrum;
mod translation_invariant;

crate::spec::tagged! {
    /// The input transformations.
    TransformKind;
    /// An input transformation with its settings.
    InputTransform: Transform;
    diverse_input::DiverseInput = "diverse-input",
    translation_invariant::TranslationInvariant = "translation-invariant",
    scale_invariant::ScaleInvariant = "scale-invariant",
    admix::Admix = "admix",
    spectrum::Spectrum = "spectrum",
}

pub use admix::Admix;
pub use diverse_input::{DiverseInput, Placement};
pub use scale_invariant::ScaleInvariant;
pub use spectrum::Spectrum;
pub use translation_invariant::TranslationInvariant;

impl TransformKind {
    /// What it does, in a line, and where it was published.
    pub fn about(self) -> [&'static str; 2] {
        match self {
            Self::DiverseInput => DiverseInput::ABOUT,
            Self::TranslationInvariant => TranslationInvariant::ABOUT,
            Self::ScaleInvariant => ScaleInvariant::ABOUT,
            Self::Admix => Admix::ABOUT,
            Self::Spectrum => Spectrum::ABOUT,
        }
    }
}

/// An input transformation.
pub trait Transform {
    /// How many copies of an image it makes, over which gradients are averaged.
    fn copies(&self) -> usize {
        1
    }

    /// Whether it draws random numbers, others in each try.
    fn is_random(&self) -> bool {
        false
    }

    /// What becomes of each image of a batch like `images` in one of the copies.
    fn change(&self, images: &Tensor, moment: &Moment<'_>) -> Result<Box<dyn Change>>;
}

/// What a change depends on beside settings and images.
pub struct Moment<'a> {
    /// The number of the copy, of those that the transformation makes.
    pub copy: usize,
    /// The radius of the attack's ball.
    pub epsilon: f64,
    /// Random numbers that all copies of a gradient share.
    pub shared: Drawing<'a>,
    /// Random numbers for this copy, of all that the list makes, and this transformation alone.
    pub own: Drawing<'a>,
}

/// A differentiable map of images `(N, C, H, W)` to images of the same shape.
pub trait Change {
    fn apply(&self, images: &Tensor) -> Result<Tensor>;

    /// The gradient with respect to the images, of that with respect to what became of them.
    fn pull_back(&self, gradient: Tensor) -> Result<Tensor>;
}

/// The mean gradient at `x` over all copies, through the transformations in the order of the list. Drawings are taken in this
/// order: that of all copies, then for each copy one for each transformation.
pub(super) fn gradient(
    list: &[InputTransform],
    x: &Tensor,
    epsilon: f64,
    draws: &Draws<'_>,
    gradient_at: &GradientAt<'_>,
) -> Result<Tensor> {
    if list.is_empty() {
        return gradient_at(x);
    }
    let shared = draws.next();
    let copies: usize = list.iter().map(|one| one.copies()).product();
    let mut sum = x.zeros_like()?;
    for number in 0..copies {
        let (mut y, mut rest) = (x.clone(), number);
        let mut changes = Vec::new();
        for one in list {
            let moment = Moment {
                copy: rest % one.copies(),
                epsilon,
                shared,
                own: draws.next(),
            };
            rest /= one.copies();
            let change = one.change(x, &moment)?;
            y = change.apply(&y)?;
            changes.push(change);
        }
        let mut gradient = gradient_at(&y)?;
        for change in changes.iter().rev() {
            gradient = change.pull_back(gradient)?;
        }
        sum = (sum + gradient)?;
    }
    Ok((sum / copies as f64)?)
}

/// Reads the setting `transform`, a list that may be missing.
pub(super) fn read(fields: &mut Fields, key: &'static str) -> Option<Vec<InputTransform>> {
    let expected = "a list of input transformations";
    let list = fields.optional_list(key, expected, read_item::<InputTransform>)?;
    let list = list.unwrap_or_default();
    for (number, one) in list.iter().enumerate() {
        let kind = one.kind();
        if list[..number].iter().any(|other| other.kind() == kind) {
            let message =
                format!("expected each transformation at most once, found \"{kind}\" again");
            fields.fault(key, &message);
            return None;
        }
        if number > 0 && kind == TransformKind::TranslationInvariant {
            let message =
                format!("expected \"{kind}\" first: it smooths the gradient that the others leave");
            fields.fault(key, &message);
            return None;
        }
    }
    Some(list)
}
