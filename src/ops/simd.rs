//! One source, three machine codes: plain, AVX2 and AVX-512, chosen when the program runs.
//!
//! A kernel written inside `simd!` is compiled three times. Its loops over channels are plain Rust over slices and
//! small arrays, which the compiler turns into vector instructions of whatever the copy may use. Inside, `fma!(a, b,
//! c)` is `a * b + c`, with one rounding where the processor has the instruction and two where it has not (the
//! library call that would emulate it is a hundred times slower).

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction sets that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// Whatever every processor of the family has.
    Plain = 1,
    /// AVX2 and fused multiply-add.
    Avx2 = 2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512 = 3,
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use: the widest that the processor has.
#[inline]
pub fn isa() -> Isa {
    match CHOSEN.load(Ordering::Relaxed) {
        1 => Isa::Plain,
        2 => Isa::Avx2,
        3 => Isa::Avx512,
        _ => {
            let found = detect();
            CHOSEN.store(found as u8, Ordering::Relaxed);
            found
        }
    }
}

/// Uses a narrower instruction set than the processor has, for tests and measurements. A wider one than it has is
/// refused: the set in use is returned.
pub fn restrict(wanted: Isa) -> Isa {
    let isa = wanted.min(detect());
    CHOSEN.store(isa as u8, Ordering::Relaxed);
    isa
}

fn detect() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            return Isa::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Isa::Avx2;
        }
    }
    Isa::Plain
}

/// Defines a kernel, generic over one [`super::Real`], in all instruction sets. See the module's text.
#[macro_export]
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$T:ident $(, const $C:ident: $CT:ty)*>($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$T: $crate::ops::Real $(, const $C: $CT)*>($($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$T: $crate::ops::Real, $(const $C: $CT,)* const FUSED: bool>($($arg: $type),*) $(-> $ret)? {
                #[allow(unused_macros)]
                macro_rules! fma {
                    ($a:expr, $b:expr, $c:expr) => {
                        if FUSED { $T::fused($a, $b, $c) } else { $a * $b + $c }
                    };
                }
                $body
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$T: $crate::ops::Real $(, const $C: $CT)*>($($arg: $type),*) $(-> $ret)? {
                body::<$T, $($C,)* true>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512<$T: $crate::ops::Real $(, const $C: $CT)*>($($arg: $type),*) $(-> $ret)? {
                body::<$T, $($C,)* true>($($arg),*)
            }
            match $crate::ops::simd::isa() {
                // SAFETY: `isa` returns a set only after the processor said that it has it.
                #[cfg(target_arch = "x86_64")]
                $crate::ops::simd::Isa::Avx512 => unsafe { avx512::<$T $(, $C)*>($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::ops::simd::Isa::Avx2 => unsafe { avx2::<$T $(, $C)*>($($arg),*) },
                _ => body::<$T, $($C,)* false>($($arg),*),
            }
        }
    };
}
