//! Anti-aliased drawing by distances: how much of each pixel a stroke or a filled figure covers.

/// A point or a vector: x to the right, y downwards.
pub type Point = [f32; 2];

/// A linear map and a shift, from a figure's own coordinates to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    matrix: [[f32; 2]; 2],
    shift: Point,
}

impl Placement {
    /// Scales (by `size` pixels per unit, along x and y), slants (x gains `slant` times y), turns by `angle` radians and
    /// moves the origin to `centre` (in pixels).
    pub fn new(size: Point, slant: f32, angle: f32, centre: Point) -> Self {
        let (sin, cos) = angle.sin_cos();
        let [sx, sy] = size;
        // Rotation times slant times scale.
        let matrix = [
            [cos * sx, (cos * slant - sin) * sy],
            [sin * sx, (sin * slant + cos) * sy],
        ];
        Self {
            matrix,
            shift: centre,
        }
    }

    /// Where a point of the figure lies on the canvas.
    pub fn apply(&self, [x, y]: Point) -> Point {
        let [top, bottom] = self.matrix;
        [
            top[0] * x + top[1] * y + self.shift[0],
            bottom[0] * x + bottom[1] * y + self.shift[1],
        ]
    }

    /// The figure's point at a point of the canvas. The sizes must not be zero.
    pub fn invert(&self, [x, y]: Point) -> Point {
        let [[a, b], [c, d]] = self.matrix;
        let (x, y) = (x - self.shift[0], y - self.shift[1]);
        let determinant = self.determinant();
        [(d * x - b * y) / determinant, (a * y - c * x) / determinant]
    }

    /// Pixels a unit, the geometric mean over all directions.
    pub fn scale(&self) -> f32 {
        self.determinant().abs().sqrt()
    }

    fn determinant(&self) -> f32 {
        let [[a, b], [c, d]] = self.matrix;
        a * d - b * c
    }
}

/// For every pixel, the share of it that is covered by what has been drawn, 0 to 1.
#[derive(Clone, Debug)]
pub struct Coverage {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Coverage {
    /// Nothing is covered yet.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            values: vec![0.0; width * height],
        }
    }

    /// Row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Draws a line through `points` (in pixels) with round ends. `half_width` gives half the width in pixels at a
    /// position from 0 (start) to 1 (end).
    pub fn stroke(&mut self, points: &[Point], half_width: impl Fn(f32) -> f32) {
        let segments = points.len().saturating_sub(1).max(1) as f32;
        for (number, pair) in points.windows(2).enumerate() {
            let half = half_width((number as f32 + 0.5) / segments);
            let [from, to] = [pair[0], pair[1]];
            let reach = half + 1.0;
            let columns = span(
                from[0].min(to[0]) - reach,
                from[0].max(to[0]) + reach,
                self.width,
            );
            for y in span(
                from[1].min(to[1]) - reach,
                from[1].max(to[1]) + reach,
                self.height,
            ) {
                for x in columns.clone() {
                    let centre = [x as f32 + 0.5, y as f32 + 0.5];
                    self.cover(x, y, half - segment_distance(centre, from, to));
                }
            }
        }
    }

    /// Fills a figure given by its signed distance (negative inside, in the figure's units).
    pub fn fill(&mut self, placement: &Placement, distance: impl Fn(Point) -> f32) {
        let scale = placement.scale();
        for y in 0..self.height {
            for x in 0..self.width {
                let point = placement.invert([x as f32 + 0.5, y as f32 + 0.5]);
                self.cover(x, y, -distance(point) * scale);
            }
        }
    }

    /// A pixel whose centre lies `depth` pixels inside an edge is covered by about `depth + 1/2`.
    fn cover(&mut self, x: usize, y: usize, depth: f32) {
        let value = &mut self.values[y * self.width + x];
        *value = value.max((depth + 0.5).clamp(0.0, 1.0));
    }
}

/// The pixels between two coordinates, within the canvas.
fn span(from: f32, to: f32, size: usize) -> std::ops::Range<usize> {
    // Casts of floats saturate: negative coordinates become 0.
    (from.floor() as usize).min(size)..(to.ceil() as usize).min(size)
}

fn segment_distance(point: Point, from: Point, to: Point) -> f32 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let offset = [point[0] - from[0], point[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let position = if length > 0.0 {
        ((offset[0] * along[0] + offset[1] * along[1]) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (offset[0] - position * along[0]).hypot(offset[1] - position * along[1])
}

/// The signed distance to a polygon: negative inside (by the even-odd rule).
pub fn polygon_distance(point: Point, corners: &[Point]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        nearest = nearest.min(segment_distance(point, from, to));
        let crosses = (from[1] > point[1]) != (to[1] > point[1]);
        if crosses
            && point[0] < from[0] + (to[0] - from[0]) * (point[1] - from[1]) / (to[1] - from[1])
        {
            inside = !inside;
        }
        from = to;
    }
    if inside { -nearest } else { nearest }
}

/// A smooth curve through `points` (Catmull-Rom), `steps` segments between neighbours.
pub fn smooth(points: &[Point], steps: usize) -> Vec<Point> {
    let Some((&first, &last)) = points.first().zip(points.last()) else {
        return Vec::new();
    };
    let at = |index: isize| -> Point {
        match usize::try_from(index) {
            Err(_) => first,
            Ok(index) => points.get(index).copied().unwrap_or(last),
        }
    };
    let mut curve = vec![first];
    for number in 0..points.len() as isize - 1 {
        let [before, from, to, after] =
            [at(number - 1), at(number), at(number + 1), at(number + 2)];
        for step in 1..=steps {
            let t = step as f32 / steps as f32;
            let axis = |i: usize| {
                let (linear, square) = (
                    to[i] - before[i],
                    2.0 * before[i] - 5.0 * from[i] + 4.0 * to[i] - after[i],
                );
                let cubic = 3.0 * (from[i] - to[i]) + after[i] - before[i];
                from[i] + 0.5 * t * (linear + t * (square + t * cubic))
            };
            curve.push([axis(0), axis(1)]);
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placement_and_its_inverse_cancel() {
        let placement = Placement::new([7.0, 4.0], 0.3, 0.8, [10.0, 12.0]);
        let back = placement.invert(placement.apply([0.3, -0.6]));
        assert!(
            (back[0] - 0.3).abs() < 1e-5 && (back[1] + 0.6).abs() < 1e-5,
            "{back:?}"
        );
        assert_eq!(placement.apply([0.0, 0.0]), [10.0, 12.0]);
        assert!((placement.scale() - 28f32.sqrt()).abs() < 1e-4);
        let quarter = Placement::new([2.0, 2.0], 0.0, std::f32::consts::FRAC_PI_2, [0.0, 0.0])
            .apply([1.0, 0.0]);
        assert!(
            quarter[0].abs() < 1e-6 && (quarter[1] - 2.0).abs() < 1e-6,
            "y points down: {quarter:?}"
        );
    }

    /// The covered area is that of the figure, edges included.
    #[test]
    fn areas_are_right() {
        let area = |canvas: &Coverage| canvas.values().iter().sum::<f32>();
        let mut canvas = Coverage::new(32, 32);
        canvas.fill(
            &Placement::new([9.0, 9.0], 0.0, 0.4, [15.7, 16.2]),
            |[x, y]| x.hypot(y) - 1.0,
        );
        assert!(
            (area(&canvas) - std::f32::consts::PI * 81.0).abs() < 3.0,
            "{}",
            area(&canvas)
        );

        let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
        let mut canvas = Coverage::new(32, 32);
        canvas.fill(&Placement::new([8.0, 8.0], 0.0, 0.5, [16.0, 16.0]), |p| {
            polygon_distance(p, &corners)
        });
        assert!((area(&canvas) - 256.0).abs() < 3.0, "{}", area(&canvas));

        let mut canvas = Coverage::new(32, 32);
        canvas.stroke(&[[6.0, 9.3], [16.0, 9.3], [26.0, 9.3]], |_| 1.5);
        let expected = 20.0 * 3.0 + std::f32::consts::PI * 1.5 * 1.5;
        assert!(
            (area(&canvas) - expected).abs() < 2.0,
            "{} {expected}",
            area(&canvas)
        );
    }

    #[test]
    fn strokes_beyond_the_canvas_are_cut() {
        let mut canvas = Coverage::new(4, 4);
        canvas.stroke(&[[-9.0, -9.0], [-5.0, 90.0]], |_| 2.0);
        assert_eq!(canvas.values(), [0.0; 16]);
        canvas.stroke(&[[-9.0, 2.0], [90.0, 2.0]], |_| 1.0);
        assert_eq!(canvas.values()[4..8], [1.0; 4]);
    }

    #[test]
    fn a_smooth_curve_passes_through_its_points() {
        let points = [[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]];
        let curve = smooth(&points, 4);
        assert_eq!(curve.len(), 9);
        assert_eq!([curve[0], curve[4], curve[8]], points);
        assert!(smooth(&[], 4).is_empty());
    }

    #[test]
    fn polygons_may_be_concave() {
        let notch = [
            [-1.0, -1.0],
            [0.0, 0.0],
            [1.0, -1.0],
            [1.0, 1.0],
            [-1.0, 1.0],
        ];
        assert!(polygon_distance([0.0, -0.5], &notch) > 0.0);
        assert!((polygon_distance([0.0, 0.5], &notch) + 0.5).abs() < 1e-6);
    }
}
