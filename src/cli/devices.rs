//! `runner devices`

use clap::Args;

use super::output::out;
use crate::Result;
use crate::ops::card::{OLDEST, cards};

#[derive(Debug, Args)]
pub struct DevicesArgs {}

/// Lists what `--device` can name on this machine, and says why there is no card where there is none.
///
/// # Errors
/// Standard output that takes nothing.
pub fn devices(_: DevicesArgs) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!("cpu     {threads} threads, f32\n");
    match cards() {
        Ok(cards) => {
            for (number, card) in cards.iter().enumerate() {
                let (major, minor) = card.capability;
                text += &format!(
                    "cuda:{number}  {}, compute capability {major}.{minor}, {} of {} MiB free; f32, tf32 (default), bf16\n",
                    card.name,
                    card.free >> 20,
                    card.memory >> 20
                );
                if card.capability < OLDEST {
                    text += "        too old: the kernels need compute capability 8.0 or newer\n";
                }
            }
            if cards.is_empty() {
                text += "cuda    no card in this machine\n";
            }
        }
        Err(why) => text += &format!("cuda    {why}\n"),
    }
    if cfg!(all(feature = "cuda", not(feature = "cudnn"))) {
        text += "        built without cuDNN: dense convolutions larger than 1x1 cannot run on a card\n";
    }
    out(&text)
}
