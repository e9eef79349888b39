//! What networks from ONNX files have beside the named architectures' layers.

use candle_core::{DType, Device};
use runner::ops::broadcast::{self, Arithmetic};
use runner::ops::conv::{self, Geometry};
use runner::ops::curve::{self, Curve};
use runner::ops::precision::Precision;
use runner::ops::{layer_norm, pad, rescale};

use crate::ops::on;
use crate::{agree, each_precision, noise};

#[test]
fn what_exported_networks_need() {
    let curves = [
        Curve::Sigmoid,
        Curve::HardSigmoid {
            slope: 0.2,
            shift: 0.5,
        },
        Curve::HardSwish,
        Curve::LeakyRelu { slope: 0.1 },
        Curve::Elu { scale: 1.0 },
        Curve::Gelu,
        Curve::GeluTanh,
        Curve::Mish,
        Curve::Clip {
            least: -0.3,
            most: 0.6,
        },
        Curve::Tanh,
        Curve::Softplus { beta: 1.0 },
        Curve::Erf,
        Curve::Exp,
        Curve::Absolute,
        Curve::Power { exponent: 2.0 },
    ];
    each_precision(|card, precision, bound| {
        let shape = [3, 9, 9, 17];
        let (x, dy) = (noise(1, &shape), noise(2, &shape));
        let (cx, cdy) = (on(card, &x, precision), on(card, &dy, precision));
        // Rounded as the card has it, so that no number passes a kink.
        let x = cx.to_device(&Device::Cpu).unwrap();
        let x = x.to_dtype(DType::F32).unwrap();
        for curve in curves {
            let found = curve::forward(&cx, curve).unwrap();
            let expected = curve::forward(&x, curve).unwrap();
            agree(&format!("{curve:?}"), &found, &expected, bound);
            let found = curve::backward(&cdy, &cx, curve).unwrap();
            let expected = curve::backward(&dy, &x, curve).unwrap();
            agree(&format!("{curve:?} backward"), &found, &expected, bound);
        }
        let row = noise(3, &[3, 1, 1, 17]);
        let crow = on(card, &row, precision);
        for how in [Arithmetic::Add, Arithmetic::Subtract, Arithmetic::Multiply] {
            let found = broadcast::combine(&cx, &crow, how).unwrap();
            let expected = broadcast::combine(&x, &row, how).unwrap();
            agree(&format!("{how:?}"), &found, &expected, bound);
            let found = broadcast::sum_to(&found, row.dims()).unwrap();
            let expected = broadcast::sum_to(&expected, row.dims()).unwrap();
            agree(&format!("sums of {how:?}"), &found, &expected, bound);
        }
        let (y, spread) = layer_norm::forward(&x, 1e-5).unwrap();
        let (cy, cspread) = layer_norm::forward(&cx, 1e-5).unwrap();
        agree("layer norm", &cy, &y, bound);
        agree(
            "its gradient",
            &layer_norm::backward(&cdy, &cy, &cspread).unwrap(),
            &layer_norm::backward(&dy, &y, &spread).unwrap(),
            5.0 * bound,
        );
        agree(
            "border",
            &pad::forward(&cx, 2).unwrap(),
            &pad::forward(&x, 2).unwrap(),
            bound,
        );
        agree(
            "its gradient",
            &pad::backward(&cdy, 2).unwrap(),
            &pad::backward(&dy, 2).unwrap(),
            bound,
        );
        if precision != Precision::Bf16 {
            agree(
                "norms",
                &rescale::to_norms_of(&cx, &cdy).unwrap(),
                &rescale::to_norms_of(&x, &dy).unwrap(),
                bound,
            );
        }
        for (groups, out) in [(1, 34), (17, 17)] {
            let geometry = Geometry {
                padding: 2,
                dilation: 2,
                groups,
                ..Geometry::default()
            };
            let w = noise(4, &[out, 17 / groups, 3, 3]);
            let cw = w.to_device(card).unwrap();
            let y = conv::forward(&x, &w, None, geometry).unwrap();
            let found = conv::forward(&cx, &cw, None, geometry).unwrap();
            agree("dilated convolution", &found, &y, bound);
            let dy = noise(5, y.dims());
            let cdy = on(card, &dy, precision);
            let found = conv::backward_input(&cdy, &cw, &shape, geometry).unwrap();
            let expected = conv::backward_input(&dy, &w, &shape, geometry).unwrap();
            agree("dilated, input", &found, &expected, bound);
            let found = conv::backward_weight(&cx, &cdy, w.dims(), geometry).unwrap();
            let expected = conv::backward_weight(&x, &dy, w.dims(), geometry).unwrap();
            agree("dilated, weight", &found, &expected, bound);
        }
    });
}
