//! Transposed copies of matrices: products whose right factor has contiguous rows need no repacking.

use super::Real;
use super::parallel::chunks_mut;
use super::real::scratch;

/// Rows and columns of a block that is read and written while it is in the cache.
const BLOCK: usize = 16;

/// The transpose of a row-major matrix of `rows` by `columns`.
pub(super) fn transposed<T: Real>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    debug_assert_eq!(x.len(), rows * columns);
    let mut y = scratch(x.len());
    if y.is_empty() {
        return y;
    }
    // At least one block, however long the rows.
    let lines = ((1 << 14) / rows).max(1).next_multiple_of(BLOCK);
    chunks_mut(&mut y, lines * rows, &|i, y| {
        let first = i * lines;
        let width = y.len() / rows;
        for r in (0..rows).step_by(BLOCK) {
            let height = BLOCK.min(rows - r);
            for c in (0..width).step_by(BLOCK) {
                let block = BLOCK.min(width - c);
                for (column, y) in (c..c + block).zip(y[c * rows..].chunks_mut(rows)) {
                    let from = x[r * columns + first + column..].iter().step_by(columns);
                    for (y, &x) in y[r..r + height].iter_mut().zip(from) {
                        *y = x;
                    }
                }
            }
        }
    });
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_moves_to_its_place() {
        for (rows, columns) in [
            (1, 1),
            (3, 50),
            (50, 3),
            (16, 32),
            (33, 1100),
            (700, 45),
            (20_000, 3),
            (3, 20_000),
        ] {
            let x: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let y = transposed(&x, rows, columns);
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(y[c * rows + r], x[r * columns + c], "{rows}x{columns}");
                }
            }
        }
    }
}
