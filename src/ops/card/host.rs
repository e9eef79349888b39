//! The kernels as plain C++ on the host, for tests: the same launches, on the memory of CPU tensors.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use rand::Rng;

use super::{Arg, Call, Card, Direction, ON_HOST, Product, Recording};
use crate::ops::conv;
use crate::ops::conv::geometry::{Geometry, Sizes};
use crate::rng::{Purpose, stream};
use crate::{Error, Result};

type Types = unsafe extern "C" fn() -> *const c_char;
type Launch = unsafe extern "C" fn(*const u32, u32, *mut *mut c_void);

/// The host as a card. Products and convolutions, which a card takes from libraries, are computed by the CPU's ops in
/// float64.
#[derive(Clone)]
pub struct Host {
    libraries: Arc<HashMap<String, libloading::Library>>,
}

/// The one host of this process; none, and a line that says so, where there is no C++ compiler.
pub fn host() -> Option<&'static Host> {
    static HOST: OnceLock<Option<Host>> = OnceLock::new();
    static SAID: Mutex<bool> = Mutex::new(false);
    let found = HOST.get_or_init(build).as_ref();
    if found.is_none() && !std::mem::replace(&mut *SAID.lock().unwrap(), true) {
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no C++ compiler (c++, or the one that CXX names), so the card's kernels are not tested"
        );
    }
    found
}

/// Compiles every kernel. One that does not compile is a failed test, no compiler at all is none.
fn build() -> Option<Host> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    Command::new(&compiler).arg("--version").output().ok()?;
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut libraries = HashMap::new();
    for (module, source) in kernels(&ops) {
        let library = folder.path().join(format!("{module}.so"));
        let done = Command::new(&compiler)
            .args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-ffp-contract=off"])
            .args(["-shared", "-fPIC", "-x", "c++", "-I"])
            .arg(ops.join("card"))
            .arg(&source)
            .arg("-o")
            .arg(&library)
            .output()
            .expect("the compiler runs");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        // SAFETY: the library was compiled right here and runs nothing when it is loaded.
        let loaded = unsafe { libloading::Library::new(&library) }.expect("the library loads");
        libraries.insert(module, loaded);
    }
    Some(Host {
        libraries: Arc::new(libraries),
    })
}

/// Every `kernel.cu` below a folder, by the name of the folder that it stands in.
fn kernels(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the ops' folders") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            found.extend(kernels(&path));
        } else if path.ends_with("kernel.cu") {
            let module = folder.file_name().expect("a name").to_string_lossy();
            found.push((module.into_owned(), path));
        }
    }
    found
}

/// The letter that host.h has for an argument's type; any pointer may be null.
fn letter(arg: &Arg<'_>) -> char {
    match arg {
        Arg::Null => '*',
        Arg::Tensor(tensor) => match tensor.dtype() {
            DType::F32 => 'F',
            DType::F64 => 'D',
            DType::BF16 => 'H',
            DType::U8 => 'B',
            DType::U32 => 'U',
            _ => 'W',
        },
        Arg::Size(_) | Arg::Word(_) => 'w',
        Arg::Int(_) => 'i',
        Arg::Float(_) => 'f',
        Arg::Double(_) => 'd',
    }
}

impl Card for Host {
    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn scratch(&self, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let need = shape.iter().product::<usize>() * dtype.size_in_bytes();
        if need > ROOM.get() {
            return Err(Error::NoMemory(format!("no room for {need} bytes")));
        }
        // SAFETY: as on a card.
        Ok(unsafe { Tensor::empty(shape, dtype, &Device::Cpu)? })
    }

    unsafe fn start(&self, call: &Call<'_>) -> Result<()> {
        let library = self
            .libraries
            .get(call.module)
            .ok_or_else(|| Error::failed(format!("no kernel in the folder {}", call.module)))?;
        let symbol = |prefix: &str| format!("{prefix}_{}", call.name());
        let unknown = |e: libloading::Error| Error::failed(format!("{}: {e}", call.name()));
        // SAFETY: the symbols are functions made by host.h, whose types these are.
        let (types, launch) = unsafe {
            let types = library.get::<Types>(symbol("types").as_bytes());
            let launch = library.get::<Launch>(symbol("launch").as_bytes());
            (types.map_err(unknown)?(), launch.map_err(unknown)?)
        };
        // SAFETY: a string that lives as long as the library.
        let types = unsafe { CStr::from_ptr(types) }.to_string_lossy();
        let found: String = call.args.iter().map(letter).collect();
        let fits = |(found, wanted): (char, char)| {
            found == wanted || found == '*' && wanted.is_uppercase()
        };
        assert!(
            found.len() == types.len() && found.chars().zip(types.chars()).all(fits),
            "{} takes {types} and was given {found}",
            call.name()
        );
        let value = |arg: &Arg<'_>| {
            Ok(match *arg {
                Arg::Tensor(tensor) => self.address(tensor)?,
                Arg::Null => 0,
                Arg::Word(v) => v,
                Arg::Size(v) => v as u64,
                Arg::Int(v) => v as u32 as u64,
                Arg::Float(v) => u64::from(v.to_bits()),
                Arg::Double(v) => v.to_bits(),
            })
        };
        let mut values: Vec<u64> = call.args.iter().map(value).collect::<Result<_>>()?;
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|v| (v as *mut u64).cast()).collect();
        // SAFETY: as many arguments as the kernel has and of its types, as was just seen; the sizes are what the tests are
        // there to show.
        unsafe { launch(call.grid.as_ptr(), call.block, pointers.as_mut_ptr()) };
        Ok(())
    }

    fn address(&self, tensor: &Tensor) -> Result<u64> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, _) = layout
            .contiguous_offsets()
            .ok_or_else(|| Error::failed("expected a contiguous tensor"))?;
        let Storage::Cpu(storage) = &*storage else {
            return Err(Error::failed("the host has CPU tensors alone"));
        };
        let (address, size) = match storage {
            CpuStorage::F32(v) => (v.as_ptr() as u64, 4),
            CpuStorage::F64(v) => (v.as_ptr() as u64, 8),
            CpuStorage::BF16(v) => (v.as_ptr() as u64, 2),
            CpuStorage::U8(v) => (v.as_ptr() as u64, 1),
            CpuStorage::U32(v) => (v.as_ptr() as u64, 4),
            CpuStorage::I64(v) => (v.as_ptr() as u64, 8),
            _ => return Err(Error::failed("no kernel takes this type")),
        };
        Ok(address + (start * size) as u64)
    }

    /// A replay does the work anew: on the same tensors that is the same.
    fn record(&self, work: Box<dyn Fn() -> Result<()>>) -> Result<Box<dyn Recording>> {
        struct Again(Box<dyn Fn() -> Result<()>>);
        impl Recording for Again {
            fn replay(&self) -> Result<()> {
                (self.0)()
            }
        }
        Ok(Box::new(Again(work)))
    }

    fn multiply(&self, product: &Product<'_>) -> Result<()> {
        let &Product {
            m,
            k,
            n,
            a,
            a_turned,
            b,
            b_turned,
            c,
        } = product;
        let matrix = |t: &Tensor, rows: usize, columns: usize, turned: bool| -> Result<Tensor> {
            let t = self.wide(t);
            Ok(match turned {
                false => t.reshape((rows, columns))?,
                true => t.reshape((columns, rows))?.t()?.contiguous()?,
            })
        };
        let result = matrix(a, m, k, a_turned)?.matmul(&matrix(b, k, n, b_turned)?)?;
        overwrite(c, &result)
    }

    fn convolve(
        &self,
        direction: Direction,
        sizes: &Sizes,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        // The CPU's ops are to compute this, not the card again.
        let _here = Where::set(false);
        let geometry = Geometry {
            stride: sizes.stride,
            padding: sizes.padding,
            groups: sizes.groups,
            dilation: sizes.dilation,
        };
        let torch = |w: &Tensor| -> Result<Tensor> { Ok(w.permute((0, 3, 1, 2))?.contiguous()?) };
        match direction {
            Direction::Forward => {
                let found = conv::forward(&self.wide(x), &torch(&self.wide(w))?, None, geometry)?;
                overwrite(y, &found)
            }
            Direction::Input => {
                let found = conv::backward_input(
                    &self.wide(y),
                    &torch(&self.wide(w))?,
                    x.dims(),
                    geometry,
                )?;
                overwrite(x, &found)
            }
            Direction::Weight => {
                let shape = [sizes.c_out, sizes.c_in / sizes.groups, sizes.kh, sizes.kw];
                let found = conv::backward_weight(&self.wide(x), &self.wide(y), &shape, geometry)?;
                overwrite(w, &found.permute((0, 2, 3, 1))?.contiguous()?)
            }
        }
    }
}

/// Puts numbers in a tensor's place, as a card does that writes to its address.
fn overwrite(target: &Tensor, values: &Tensor) -> Result<()> {
    let values = values.to_dtype(target.dtype())?.reshape(target.dims())?;
    Ok(target.slice_set(&values, 0, 0)?)
}

thread_local! {
    /// The largest tensor that the host card has room for, in bytes.
    static ROOM: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

/// Runs `body` on a host card that has room for no larger tensor than this.
pub fn with_room<R>(bytes: usize, body: impl FnOnce() -> R) -> R {
    let before = ROOM.replace(bytes);
    let result = body();
    ROOM.set(before);
    result
}

/// Where CPU tensors count as lying; as before when this is dropped.
struct Where(bool);

impl Where {
    fn set(on_host: bool) -> Self {
        Self(ON_HOST.replace(on_host))
    }
}

impl Drop for Where {
    fn drop(&mut self) {
        ON_HOST.set(self.0);
    }
}

/// Runs a test whose CPU tensors count as lying on the host card; nothing where there is no compiler.
pub fn on_host(test: impl FnOnce()) {
    if host().is_some() {
        let _there = Where::set(true);
        test();
    }
}

impl Host {
    /// A tensor of the type that kernels get.
    pub fn tensor(&self, values: &[f32], shape: &[usize], dtype: DType) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu)
            .unwrap()
            .to_dtype(dtype)
            .unwrap()
    }

    /// The same numbers in float64, for the CPU's op.
    pub fn wide(&self, tensor: &Tensor) -> Tensor {
        tensor.to_dtype(DType::F64).unwrap()
    }
}

/// Runs a test for each type of activations.
pub fn each_type(test: impl Fn(&Host, DType)) {
    if let Some(host) = host() {
        test(host, DType::F32);
        test(host, DType::BF16);
    }
}

/// Numbers between -size and size.
pub fn numbers(shape: &[usize], seed: u64, size: f32) -> Vec<f32> {
    let mut rng = stream(seed, Purpose::Generate, 0, 0, 0);
    (0..shape.iter().product::<usize>())
        .map(|_| rng.random_range(-size..size))
        .collect()
}

/// Fails unless the kernel's result is the float64 one but for the rounding of its type, relative to the largest.
pub fn close(found: &Tensor, expected: &Tensor, dtype: DType) {
    let bound = match dtype {
        DType::BF16 => 6e-3,
        _ => 2e-6,
    };
    within(found, expected, bound);
}

/// The same with a bound of the test's own.
pub fn within(found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims());
    let flat = |t: &Tensor| {
        t.to_dtype(DType::F64)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap()
    };
    let (found, expected) = (flat(found), flat(expected));
    let largest = expected.iter().fold(1e-30, |max: f64, v| max.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (f - e).abs() <= bound * largest,
            "element {i}: {f}, expected {e} (largest {largest})"
        );
    }
}
