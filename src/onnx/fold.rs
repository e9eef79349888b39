//! What exporters compute of shapes alone, computed when the file is read.

use super::constant::{Constant, Constants, Floats, Ints, MOST_INTS, count};
use super::node::{axis, sliced};
use super::proto::Node;
use super::single::single;

type Values = Vec<Option<i64>>;

/// What a node gives whose inputs are constants; none where it is not known. In words, why it cannot be.
pub fn fold(node: &Node, inputs: Constants<'_>) -> Option<Result<Constant, String>> {
    let first = inputs.get(0)?;
    if let Some(number) = single(node, inputs) {
        return Some(Ok(number));
    }
    let found = match (node.op_type.as_str(), first) {
        // Borders, computed in floating point.
        ("Cast", Constant::Floats(floats))
            if floats.dims.len() == 1 && matches!(node.int("to", 1), 6 | 7) =>
        {
            whole(floats)
        }
        ("Shape", Constant::Floats(floats)) => {
            let (start, end) = (node.int("start", 0), node.int("end", i64::MAX));
            sliced(floats.dims.len(), start, end, 1).map(|taken| {
                let sides = taken.into_iter().map(|at| floats.dims[at] as i64);
                Constant::Ints(Ints::row(sides))
            })
        }
        ("Concat", Constant::Floats(_)) => joined_numbers(node, inputs)?,
        ("Identity" | "Cast", Constant::Floats(_)) => Ok(first.clone()),
        ("Transpose", Constant::Floats(floats)) => transposed_matrix(node, floats),
        ("Reshape" | "Squeeze" | "Unsqueeze" | "Flatten", Constant::Floats(floats))
            if !floats.transposed =>
        {
            reshaped(node, &floats.dims, inputs).map(|dims| {
                let mut floats = floats.clone();
                floats.dims = dims;
                Constant::Floats(floats)
            })
        }
        (_, Constant::Floats(_)) => return None,
        ("Cast", Constant::Ints(ints)) if matches!(node.int("to", 7), 1 | 10 | 11 | 16) => {
            match ints.known().as_deref() {
                Some([only]) => {
                    let name = node.output.first().map_or("", String::as_str);
                    Ok(Constant::Floats(Floats::number(name, *only as f32)))
                }
                _ => Err("several whole numbers become floating point".into()),
            }
        }
        ("ConstantOfShape", Constant::Ints(ints)) => filled(node, ints),
        (_, Constant::Ints(ints)) => folded_ints(node, ints, inputs)?.map(Constant::Ints),
    };
    Some(found)
}

fn folded_ints(node: &Node, first: &Ints, inputs: Constants<'_>) -> Option<Result<Ints, String>> {
    let places = 0..inputs.0.len();
    let others: Option<Vec<&Ints>> = places.map(|place| inputs.ints(place)).collect();
    let second = inputs.ints(1);
    Some(match node.op_type.as_str() {
        "Identity" | "Cast" => Ok(first.clone()),
        "Gather" => gathered(node, first, second?),
        "Slice" => slice(node, first, inputs),
        "Transpose" => transposed(node, first),
        "Concat" => joined(&others?),
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            reshaped(node, &first.dims, inputs).map(|dims| Ints {
                dims,
                values: first.values.clone(),
            })
        }
        "Add" => pairs(first, second?, known(i64::checked_add)),
        "Sub" => pairs(first, second?, known(i64::checked_sub)),
        "Mul" => pairs(first, second?, known(i64::checked_mul)),
        "Div" => pairs(first, second?, known(i64::checked_div)),
        "Max" => pairs(first, second?, known(|a, b| Some(a.max(b)))),
        "Equal" => pairs(first, second?, |a, b| Some(Some(i64::from(a == b)))),
        "Where" => {
            let third = inputs.ints(2)?;
            let chosen = pairs(first, second?, |cond, a| {
                Some((cond? != 0).then_some(a).flatten())
            });
            chosen.and_then(|chosen| {
                let values = first.values.iter().zip(&chosen.values).zip(&third.values);
                let all = chosen.values.len() == third.values.len()
                    && chosen.values.len() == first.values.len();
                let pick = values.map(|((cond, a), b)| if *cond == Some(0) { *b } else { *a });
                match all {
                    true => Ok(Ints {
                        values: pick.collect(),
                        ..chosen
                    }),
                    false => Err("its inputs have different shapes".into()),
                }
            })
        }
        _ => return None,
    })
}

/// The numbers that stand as an input or, in files of older versions, as a setting.
pub fn numbers(
    node: &Node,
    inputs: Constants<'_>,
    place: usize,
    setting: &str,
) -> Result<Option<Vec<i64>>, String> {
    match (node.operand(place), node.ints(setting)) {
        (Some(_), _) => match inputs.ints(place).and_then(Ints::known) {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(format!("its {setting} are no numbers that are known")),
        },
        (None, Some(numbers)) => Ok(Some(numbers.to_vec())),
        (None, None) => Ok(None),
    }
}

/// A row of numbers towards 0, as the format has it.
fn whole(floats: &Floats) -> Result<Constant, String> {
    let values = match floats.count() <= MOST_INTS {
        true => floats.numbers().map_err(|error| error.to_string())?,
        false => return Err("too many numbers become whole".into()),
    };
    let values = values.into_iter().map(|value| value as i64);
    Ok(Constant::Ints(Ints::row(values)))
}

/// Rows of computed numbers one after another; none where one of them is something else, such as a parameter, which would no
/// longer be trained.
fn joined_numbers(node: &Node, inputs: Constants<'_>) -> Option<Result<Constant, String>> {
    let mut joined = Vec::new();
    for input in inputs.0 {
        match input {
            Some(Constant::Floats(floats)) if floats.fixed && floats.dims.len() == 1 => {
                (joined.len() + floats.count() <= MOST_INTS).then_some(())?;
                let numbers = floats.numbers().ok()?;
                joined.extend(numbers.into_iter().map(|number| number as f32));
            }
            _ => return None,
        }
    }
    let name = node.output.first().map_or("", String::as_str);
    let dims = vec![joined.len()];
    Some(Ok(Constant::Floats(Floats::row(name, &joined, dims))))
}

fn filled(node: &Node, shape: &Ints) -> Result<Constant, String> {
    let dims = shape
        .known()
        .ok_or("its shape depends on the number of images")?;
    let dims: Option<Vec<usize>> = dims.iter().map(|&d| d.try_into().ok()).collect();
    let dims = dims.ok_or("its shape has a negative side")?;
    let count = count(&dims).filter(|&count| count <= MOST_INTS);
    let count = count.ok_or("its shape is too large")?;
    let tensor = node.setting("value").and_then(|setting| setting.t.as_ref());
    let value = match tensor {
        Some(tensor) if tensor.data_type == 7 && tensor.raw_data.len() == 8 => tensor
            .raw_data
            .iter()
            .rev()
            .fold(0, |n, &byte| (n << 8) | i64::from(byte)),
        Some(tensor) if tensor.data_type == 7 && tensor.int64_data.len() == 1 => {
            tensor.int64_data[0]
        }
        _ => return Err("only whole numbers are taken".into()),
    };
    Ok(Constant::Ints(Ints {
        dims,
        values: vec![Some(value); count],
    }))
}

fn transposed_matrix(node: &Node, floats: &Floats) -> Result<Constant, String> {
    let perm = node.ints("perm");
    match (perm, floats.clone().turned()) {
        (None | Some([1, 0]), Some(turned)) => Ok(Constant::Floats(turned)),
        _ => Err(format!(
            "dimensions {perm:?} of parameters {:?}",
            floats.dims
        )),
    }
}

/// The shape that a value of shape `dims` gets.
fn reshaped(node: &Node, dims: &[usize], inputs: Constants<'_>) -> Result<Vec<usize>, String> {
    let all = count(dims).unwrap_or(0);
    match node.op_type.as_str() {
        "Reshape" => {
            let asked = numbers(node, inputs, 1, "shape")?.ok_or("it has no shape")?;
            let zero = node.int("allowzero", 0) == 0;
            let known: Option<Vec<usize>> = asked
                .iter()
                .enumerate()
                .map(|(i, &side)| match side {
                    -1 => Some(1),
                    0 if zero => dims.get(i).copied(),
                    side => side.try_into().ok(),
                })
                .collect();
            let mut known = known.ok_or("a shape with a negative side")?;
            let free = asked.iter().position(|&side| side == -1);
            if let (Some(free), Some(product @ 1..)) = (free, count(&known)) {
                known[free] = all / product;
            }
            match count(&known) == Some(all) {
                true => Ok(known),
                false => Err(format!("{all} numbers in the shape {asked:?}")),
            }
        }
        "Flatten" => Ok(vec![1, all]),
        "Squeeze" => {
            let axes = numbers(node, inputs, 1, "axes")?;
            let mut gone = vec![false; dims.len()];
            match axes {
                Some(axes) => {
                    for number in axes {
                        let at = axis(number, dims.len())?;
                        gone[at] = true;
                        if dims[at] != 1 {
                            return Err(format!("a side of {} is to vanish", dims[at]));
                        }
                    }
                }
                None => gone = dims.iter().map(|&side| side == 1).collect(),
            }
            let kept = dims.iter().zip(&gone).filter(|(_, gone)| !**gone);
            Ok(kept.map(|(&side, _)| side).collect())
        }
        _ => {
            let axes = numbers(node, inputs, 1, "axes")?.ok_or("it has no axes")?;
            if axes.len() > 8 {
                return Err(format!("{} dimensions are added", axes.len()));
            }
            let rank = dims.len() + axes.len();
            let places: Result<Vec<usize>, String> = axes.iter().map(|&n| axis(n, rank)).collect();
            let places = places?;
            let mut old = dims.iter();
            let sides = (0..rank).map(|i| match places.contains(&i) {
                true => Some(1),
                false => old.next().copied(),
            });
            sides
                .collect::<Option<_>>()
                .ok_or_else(|| "two axes are the same".into())
        }
    }
}

fn gathered(node: &Node, data: &Ints, indices: &Ints) -> Result<Ints, String> {
    if node.int("axis", 0) != 0 {
        return Err("only along the first dimension".into());
    }
    let (&rows, rest) = data
        .dims
        .split_first()
        .ok_or("a single number has no parts")?;
    let width: usize = rest.iter().product();
    let mut values = Values::new();
    for index in indices.known().ok_or("its indices are not known")? {
        let row = axis(index, rows)?;
        values.extend_from_slice(&data.values[row * width..(row + 1) * width]);
        few(values.len())?;
    }
    Ok(Ints {
        dims: [&indices.dims, rest].concat(),
        values,
    })
}

fn few(count: usize) -> Result<(), String> {
    match count <= MOST_INTS {
        true => Ok(()),
        false => Err(format!("more than {MOST_INTS} whole numbers")),
    }
}

/// Starts, ends, axes and steps of a Slice of a value with so many dimensions, by axis.
pub fn ranges(
    node: &Node,
    inputs: Constants<'_>,
    rank: usize,
) -> Result<Vec<(usize, [i64; 3])>, String> {
    let starts = numbers(node, inputs, 1, "starts")?.ok_or("it has no starts")?;
    let ends = numbers(node, inputs, 2, "ends")?.ok_or("it has no ends")?;
    let axes = match numbers(node, inputs, 3, "axes")? {
        Some(axes) => axes,
        None => (0..).take(starts.len()).collect(),
    };
    let steps = numbers(node, inputs, 4, "steps")?.unwrap_or(vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps are not equally many".into());
    }
    let parts = starts.iter().zip(&ends).zip(&axes).zip(&steps);
    parts
        .map(|(((&start, &end), &number), &step)| Ok((axis(number, rank)?, [start, end, step])))
        .collect()
}

fn slice(node: &Node, data: &Ints, inputs: Constants<'_>) -> Result<Ints, String> {
    let mut found = data.clone();
    for (at, [start, end, step]) in ranges(node, inputs, data.dims.len())? {
        let taken = sliced(found.dims[at], start, end, step)?;
        let width: usize = found.dims[at + 1..].iter().product();
        let side = found.dims[at];
        let mut values = Values::new();
        for block in found.values.chunks(side.max(1) * width.max(1)) {
            for &row in &taken {
                values.extend_from_slice(&block[row * width..(row + 1) * width]);
            }
        }
        found.dims[at] = taken.len();
        found.values = values;
    }
    Ok(found)
}

fn transposed(node: &Node, data: &Ints) -> Result<Ints, String> {
    match (data.dims.as_slice(), node.ints("perm")) {
        (_, Some([0])) | ([_], None) => Ok(data.clone()),
        (&[rows, columns], None | Some([1, 0])) => Ok(Ints {
            dims: vec![columns, rows],
            values: (0..rows * columns)
                .map(|i| data.values[(i % rows) * columns + i / rows])
                .collect(),
        }),
        (dims, perm) => Err(format!("dimensions {perm:?} of whole numbers {dims:?}")),
    }
}

fn joined(parts: &[&Ints]) -> Result<Ints, String> {
    let mut values = Values::new();
    for part in parts {
        if part.dims.len() != 1 {
            return Err("only rows of whole numbers are joined".into());
        }
        values.extend_from_slice(&part.values);
        few(values.len())?;
    }
    Ok(Ints {
        dims: vec![values.len()],
        values,
    })
}

/// An operation on numbers that are both known.
fn known(
    f: impl Fn(i64, i64) -> Option<i64>,
) -> impl Fn(Option<i64>, Option<i64>) -> Option<Option<i64>> {
    move |a, b| Some(Some(f(a?, b?)?))
}

/// An operation on each pair; one number goes with every one of several.
fn pairs(
    a: &Ints,
    b: &Ints,
    f: impl Fn(Option<i64>, Option<i64>) -> Option<Option<i64>>,
) -> Result<Ints, String> {
    let dims = match (a.values.len(), b.values.len()) {
        (n, m) if n == m => &a.dims,
        (_, 1) => &a.dims,
        (1, _) => &b.dims,
        _ => return Err("its inputs have different shapes".into()),
    };
    let count = a.values.len().max(b.values.len());
    let at = |values: &Values, i: usize| values.get(i).or(values.first()).copied().flatten();
    let values = (0..count).map(|i| f(at(&a.values, i), at(&b.values, i)));
    let values: Option<Values> = values.collect();
    Ok(Ints {
        dims: dims.clone(),
        values: values.ok_or("a number that depends on the number of images, or is too large")?,
    })
}
