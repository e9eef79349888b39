//! Constants that launches share with the kernels, read from the kernels' source when the program is compiled.

use crate::rng::Purpose;

// What the generator's words are drawn for.
const CHACHA: &str = include_str!("chacha.h");
const _: () = assert!(
    constant(CHACHA, "PURPOSE_DROPOUT") == Purpose::Dropout as usize
        && constant(CHACHA, "PURPOSE_ATTACK_START") == Purpose::AttackStart as usize
);

/// The number that an `enum { NAME = 4096 };` of a source gives to a name. One that is not there does not compile.
pub const fn constant(source: &str, name: &str) -> usize {
    let (source, name) = (source.as_bytes(), name.as_bytes());
    let mut at = 0;
    while at + name.len() + 3 < source.len() {
        let mut same = 0;
        while same < name.len() && source[at + same] == name[same] {
            same += 1;
        }
        let end = at + same;
        let whole = same == name.len()
            && (at == 0 || source[at - 1] == b' ')
            && source[end] == b' '
            && source[end + 1] == b'=';
        if whole {
            let (mut value, mut digit) = (0, end + 3);
            while source[digit].is_ascii_digit() {
                value = 10 * value + (source[digit] - b'0') as usize;
                digit += 1;
            }
            assert!(digit > end + 3, "the constant is not a number");
            return value;
        }
        at += 1;
    }
    panic!("the kernel's source has no such constant")
}
