//! An allocator for programs that compute with tensors: large blocks are kept for reuse instead of going back to the system.
//!
//! A training step allocates and frees the same activations again and again. The system hands out such blocks page by
//! page, zeroed, at every first touch, which costs more than many kernels do on the block. Here a freed block stays in a
//! list of its size class and the next one of that size takes it. What is held, in use and kept together, exceeds
//! what was once in use at the same time by a quarter at most: before a new block goes beyond, kept ones are given back.
//!
//! Small blocks are the system's business. Large ones start at a cache line, so that no vector load straddles two lines
//! for want of alignment, and very large ones ask for huge pages: fewer faults at the first touch, fewer misses of the
//! address translation later.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::Mutex;

/// Blocks from this size on are kept.
const LARGE: usize = 1 << 16;
/// Steps between two powers of two: a block is at most an eighth larger than what was asked for.
const STEPS: usize = 8;
/// Classes from [`LARGE`] up to 2^42 bytes.
const CLASSES: usize = STEPS * 26;
/// Large blocks start at a cache line.
const ALIGNMENT: usize = 64;
/// Blocks from this size on start at a huge page and ask to be made of them.
const HUGE: usize = 1 << 21;
/// One part in so many is held beyond what was in use: size classes do not all have their peaks at the same time.
const SLACK: usize = 4;
/// Bytes that may be held in any case, whatever was in use.
const ALWAYS_KEPT: usize = 1 << 28;

/// The allocator, which a program declares as its global one.
pub struct Reusing {
    cache: Mutex<Cache>,
}

struct Cache {
    /// The first free block of each class; a free block holds the address of the next one.
    heads: [*mut u8; CLASSES],
    /// Bytes in free blocks.
    kept: usize,
    /// Bytes in large blocks that are in use.
    live: usize,
    /// What may be held: the most that was ever in use, and a little more.
    peak: usize,
}

// SAFETY: the pointers are to free blocks that only the holder of the lock touches.
unsafe impl Send for Cache {}

/// The class of a size, and the size of its blocks.
fn class(size: usize) -> Option<(usize, usize)> {
    let power = size.ilog2() as usize;
    let step = (1 << power) / STEPS;
    let rounded = size.checked_next_multiple_of(step)?;
    let power = rounded.ilog2() as usize;
    let index = (power - LARGE.ilog2() as usize) * STEPS
        + (rounded - (1 << power)) / ((1 << power) / STEPS);
    (index < CLASSES).then_some((index, rounded))
}

/// The layout and class of a block that is kept after use; none for the system's.
fn large(layout: Layout) -> Option<(usize, Layout)> {
    if layout.size() < LARGE || layout.align() > ALIGNMENT {
        return None;
    }
    let (index, size) = class(layout.size())?;
    Some((index, block_of(size)?))
}

/// The size of the blocks of a class: the inverse of [`class`].
fn size_of_class(index: usize) -> usize {
    let power = LARGE << (index / STEPS);
    power + index % STEPS * (power / STEPS)
}

/// The layout of a block of so many bytes, a class's size.
fn block_of(size: usize) -> Option<Layout> {
    let alignment = if size < HUGE { ALIGNMENT } else { HUGE };
    Layout::from_size_align(size, alignment).ok()
}

/// A fresh block of the system. Huge pages are asked for before the first touch.
///
/// # Safety
/// The layout is not of size zero.
unsafe fn fresh(block: Layout) -> *mut u8 {
    // SAFETY: the caller's promise is passed on.
    let pointer = unsafe { System.alloc(block) };
    #[cfg(target_os = "linux")]
    if block.size() >= HUGE && !pointer.is_null() {
        // SAFETY: the range is ours and starts at a page. This is advice: where it is refused, nothing changes.
        unsafe {
            libc::madvise(
                pointer.cast(),
                block.size() / HUGE * HUGE,
                libc::MADV_HUGEPAGE,
            );
        }
    }
    pointer
}

impl Reusing {
    /// An allocator that holds nothing yet.
    #[expect(clippy::new_without_default, reason = "it is made in a constant")]
    pub const fn new() -> Self {
        Self {
            cache: Mutex::new(Cache {
                heads: [ptr::null_mut(); CLASSES],
                kept: 0,
                live: 0,
                peak: ALWAYS_KEPT,
            }),
        }
    }

    /// A kept block of the class, if there is one; else room is made for a fresh one.
    fn take(&self, index: usize, size: usize) -> Option<*mut u8> {
        let mut cache = self.cache.lock().ok()?;
        cache.live += size;
        cache.peak = cache.peak.max(cache.live + cache.live / SLACK);
        let block = cache.pop(index);
        if block.is_none() {
            cache.shrink();
        }
        block
    }

    /// Keeps a block that is free now. False where it cannot be kept.
    fn keep(&self, block: *mut u8, index: usize, size: usize) -> bool {
        let Ok(mut cache) = self.cache.lock() else {
            return false;
        };
        cache.live = cache.live.saturating_sub(size);
        // SAFETY: the block is ours now, larger than a pointer and aligned to a cache line.
        unsafe { block.cast::<*mut u8>().write(cache.heads[index]) };
        cache.heads[index] = block;
        cache.kept += size;
        true
    }
}

impl Cache {
    /// Takes a block out of a list.
    fn pop(&mut self, index: usize) -> Option<*mut u8> {
        let head = self.heads[index];
        if head.is_null() {
            return None;
        }
        // SAFETY: a block in the list is free and holds the next one's address in its first bytes, see `keep`.
        self.heads[index] = unsafe { head.cast::<*mut u8>().read() };
        self.kept -= size_of_class(index);
        Some(head)
    }

    /// Gives kept blocks back, the largest first, until no more is held than may be.
    fn shrink(&mut self) {
        let mut index = CLASSES;
        while self.live + self.kept > self.peak && index > 0 {
            match self.pop(index - 1) {
                None => index -= 1,
                Some(block) => {
                    if let Some(layout) = block_of(size_of_class(index - 1)) {
                        // SAFETY: the block was made with the layout of its class and is no longer in use.
                        unsafe { System.dealloc(block, layout) };
                    }
                }
            }
        }
    }
}

// SAFETY: blocks come from the system allocator with a layout that only depends on the one asked for, so `dealloc`
// gives them back with the layout that they were made with; a kept block is in no one's use.
unsafe impl GlobalAlloc for Reusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match large(layout) {
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc(layout) },
            Some((index, block)) => match self.take(index, block.size()) {
                Some(kept) => kept,
                // SAFETY: the layout is not of size zero.
                None => unsafe { fresh(block) },
            },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if large(layout).is_none() {
            // SAFETY: the caller's promise is passed on.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: as above; a block has at least as many bytes as were asked for.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                ptr::write_bytes(block, 0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match large(layout) {
            // SAFETY: `alloc` took this path for the same layout.
            None => unsafe { System.dealloc(pointer, layout) },
            Some((index, block)) => {
                if !self.keep(pointer, index, block.size()) {
                    // SAFETY: `alloc` made the block with this layout.
                    unsafe { System.dealloc(pointer, block) };
                }
            }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(new_size, layout.align()) else {
            return ptr::null_mut();
        };
        match (large(layout), large(new)) {
            // SAFETY: both are the system's.
            (None, None) => unsafe { System.realloc(pointer, layout, new_size) },
            (Some((a, _)), Some((b, _))) if a == b => pointer,
            _ => {
                // SAFETY: the new block is distinct and holds the smaller of both sizes; the old one is freed once,
                // and only if there is a new one.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(pointer, moved, layout.size().min(new_size));
                        self.dealloc(pointer, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The library's tests run on it.
    #[global_allocator]
    static ALLOCATOR: Reusing = Reusing::new();

    #[test]
    fn classes_hold_their_sizes_and_waste_little() {
        let mut last = 0;
        for size in (LARGE..1 << 22)
            .step_by(4093)
            .chain([1 << 30, (1 << 33) + 1])
        {
            let (index, rounded) = class(size).unwrap();
            assert!(
                rounded >= size && rounded - size <= size / STEPS,
                "{size} in {rounded}"
            );
            assert!(index >= last && index < CLASSES);
            assert_eq!(class(rounded).unwrap(), (index, rounded));
            assert_eq!(size_of_class(index), rounded);
            last = index;
        }
        assert_eq!(class(LARGE).unwrap().0, 0);
    }

    #[test]
    fn blocks_keep_their_content_while_they_grow_and_zeroed_ones_are_zero() {
        for _ in 0..3 {
            let mut grown: Vec<u32> = Vec::new();
            for i in 0..400_000u32 {
                grown.push(i);
            }
            assert!(grown.iter().copied().eq(0..400_000));
            let mut zeros = vec![0u8; LARGE * 3];
            assert!(zeros.iter().all(|&b| b == 0));
            assert_eq!(zeros.as_ptr() as usize % ALIGNMENT, 0);
            zeros.fill(7);
        }
    }
}
