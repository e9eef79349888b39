//! Matrix products by the `gemm` crate, on strided slices, one thread a call: the caller splits the work.

use super::Real;

/// A read-only matrix inside a slice: element `(i, j)` is `data[i * row + j * col]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    pub data: &'a [T],
    pub row: usize,
    pub col: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows one after the other, `width` elements each.
    pub fn rows(data: &'a [T], width: usize) -> Self {
        Self {
            data,
            row: width,
            col: 1,
        }
    }

    /// The transpose of this matrix, without moving anything.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            row: self.col,
            col: self.row,
        }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0 || cols == 0 || (rows - 1) * self.row + (cols - 1) * self.col < self.data.len()
    }
}

/// Terms of a sum that are added up in one go. Where a longer sum is cut would depend on the product's other sides, and
/// an example's logits on the batch that it is in.
const DEPTH: usize = 512;

/// `out = a b` or `out += a b` for `a` of m x k and `b` of k x n; `out` has m rows that start `out_row` apart.
pub fn matmul<T: Real>(
    (m, k, n): (usize, usize, usize),
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    out: &mut [T],
    out_row: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        a.holds(m, k) && b.holds(k, n),
        "operands hold the product's elements"
    );
    assert!(
        n <= out_row && (m - 1) * out_row + n <= out.len(),
        "the result fits"
    );
    let depth = k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1);
    for start in (0..k.max(1)).step_by(depth) {
        // SAFETY: the assertions above bound every index that the product computes: rows below m, columns below n and
        // depth below k, each times its stride; `out` is borrowed mutably, so it overlaps neither operand.
        unsafe {
            gemm::gemm(
                m,
                n,
                depth.min(k - start),
                out.as_mut_ptr(),
                1,
                out_row as isize,
                accumulate || start > 0,
                a.data.as_ptr().add(start * a.col),
                a.col as isize,
                a.row as isize,
                b.data.as_ptr().add(start * b.row),
                b.col as isize,
                b.row as isize,
                T::ONE,
                T::ONE,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_match_the_definition() {
        let (m, k, n) = (5, 7, 3);
        let a: Vec<f64> = (0..m * k).map(|i| (i as f64 * 0.7).sin()).collect();
        let b: Vec<f64> = (0..k * n).map(|i| (i as f64 * 0.3).cos()).collect();
        let mut out = vec![1.0; m * (n + 2)];
        matmul(
            (m, k, n),
            Matrix::rows(&a, k),
            Matrix::rows(&b, n),
            &mut out,
            n + 2,
            true,
        );
        for i in 0..m {
            for j in 0..n {
                let expected: f64 = 1.0 + (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum::<f64>();
                assert!((out[i * (n + 2) + j] - expected).abs() < 1e-12);
            }
            assert_eq!(out[i * (n + 2) + n..i * (n + 2) + n + 2], [1.0, 1.0]);
        }
        let bt: Vec<f64> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
        let mut again = vec![0.0; m * n];
        matmul(
            (m, k, n),
            Matrix::rows(&a, k),
            Matrix::rows(&bt, k).t(),
            &mut again,
            n,
            false,
        );
        assert!((again[4] + 1.0 - out[n + 2 + 1]).abs() < 1e-12);
    }
}
