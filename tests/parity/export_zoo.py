"""Classifiers of torchvision and timm with random weights as PyTorch's exporters write them, and what PyTorch computes with them.

    python tests/parity/export_zoo.py FOLDER        needs torch, torchvision, timm, onnx, onnxscript, safetensors

reads lines "NAME WAY" from standard input, where NAME is `torchvision/resnet18` or `timm/resnet18` and WAY `traced`, `apart` (with
batch norms left as they are) or `dynamo`, and
answers each with a line: "done NAME WAY" once `net.onnx` and `expected.safetensors` (images, logits, gradient, in f64) lie in
FOLDER, or "failed NAME WAY: WHY" where the exporter fails. The first line is the names of all classifiers, but for those that
attend: vision transformers and their hybrids. `timm` has many sizes of each; of those that differ in size alone the smallest is taken.
"""

import contextlib
import logging
import os
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

TORCHVISION = """alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 mnasnet0_5 mobilenet_v2
mobilenet_v3_small mobilenet_v3_large regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5
shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn wide_resnet50_2""".split()

TIMM = """convmixer_768_32 convnext_atto convnextv2_atto convnext_atto_ols cs3darknet_s cspdarknet53 cspresnet50
cspresnext50 darknet17 darknet53 densenet121 dla34 dla46_c dla46x_c dla60_res2net dm_nfnet_f0 dpn48b dpn68
eca_nfnet_l0 eca_resnet33ts eca_vovnet39b ecaresnet26t ecaresnext26t_32x4d efficientnet_b0
efficientnet_b0_g8_gn efficientnet_es efficientnet_lite0 efficientnetv2_rw_t ese_vovnet19b_slim fasternet_t0 fbnetc_100 fbnetv3_b
focalnet_tiny_srf gc_efficientnetv2_rw_t gcresnet33ts gernet_s ghostnet_050 ghostnetv2_100 
hardcorenas_a hgnet_tiny hgnetv2_b0 hrnet_w18_small inception_next_atto inception_resnet_v2
inception_v3 inception_v4 lcnet_035 legacy_senet154 legacy_seresnet18 legacy_seresnext26_32x4d legacy_xception
mambaout_femto mixnet_s mnasnet_050 mnasnet_a1 mobilenet_edgetpu_100 mobilenetv1_100 mobilenetv2_035 mobilenetv3_small_050
mobilenetv3_large_100 mobilenetv3_rw mobilenetv4_conv_small mobileone_s0 nasnetalarge nf_ecaresnet26 nf_regnet_b0 nf_resnet26
nf_seresnet26 nfnet_f0 pnasnet5large poolformer_s12 poolformerv2_s12 rdnet_tiny regnetv_040 regnetx_002 regnety_002
regnetz_005 regnetz_b16 regnetz_c16 regnetz_d8 repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_14w_8s res2next50 resnest14d
resnest50d_1s4x24d resnet18 resnet26d resnet26t resnet50 resnet50c resnet33ts resnet50_gn resnetaa34d resnetblur18
resnetrs50 resnetv2_18 resnetv2_50 resnetv2_50d_evos resnetv2_50d_frn resnetv2_50d_gn resnetv2_50x1_bit resnext26ts
resnext50_32x4d rexnet_100 rexnetr_100 sedarknet21 selecsls42 semnasnet_050 senet154 seresnet18 seresnet33ts seresnext26t_32x4d
seresnextaa101d_32x8d skresnet18 skresnext50_32x4d spnasnet_100 starnet_s1 tf_efficientnet_b0 tf_efficientnet_cc_b0_4e
tf_efficientnet_es tf_efficientnet_lite0 tf_efficientnetv2_b0 tf_mixnet_s tf_mobilenetv3_small_minimal_100 tinynet_e
tresnet_m vargface vgg11 vgg11_bn vovnet39a wide_resnet50_2 xception41 xception41p fastvit_t8
""".split()

# Networks with fully connected layers behind a map of fixed size, or with strides that need more pixels.
LARGE = {"alexnet": 224, "vgg11": 224, "vgg11_bn": 224, "googlenet": 96, "inception_v3": 128, "inception_v4": 128, "inception_resnet_v2": 128, "nasnetalarge": 128,
         "pnasnet5large": 128, "efficientnet_v2_s": 96}


def build(name):
    library, name = name.split("/")
    side = LARGE.get(name, 64)
    if library == "torchvision":
        import torchvision
        settings = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        network = torchvision.models.get_model(name, weights=None, num_classes=10, **settings)
    else:
        import timm
        try:
            network = timm.create_model(name, num_classes=10)
        except (AssertionError, RuntimeError):
            network = timm.create_model(name, num_classes=10, img_size=side)
        fixed = network.default_cfg.get("fixed_input_size", False)
        side = network.default_cfg["input_size"][-1] if fixed else side
    return network, side


def settle(network, images):
    """Statistics and scales as after some training: random weights leave some networks nearly constant."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            if module.affine:
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            module.momentum = None
    for name, parameter in network.named_parameters():
        # Scales that start at 0 or nearly would hide their branches.
        if parameter.numel() > 0 and parameter.detach().abs().max() < 1e-3 and not name.endswith("bias"):
            torch.nn.init.uniform_(parameter, 0.2, 0.8)
    network.train()
    with torch.no_grad():
        network(images)
    network.eval()


def answer(network, images):
    images = images.double().requires_grad_()
    network = network.double()
    logits = network(images)
    labels = torch.arange(len(images))
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    return {"images": images.detach(), "logits": logits.detach(), "gradient": gradient}


def main():
    folder = Path(sys.argv[1])
    # The exporter's native code writes whole graphs to standard output where it fails: answers have a file of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    names = [f"torchvision/{name}" for name in TORCHVISION]
    with contextlib.suppress(ImportError):
        import timm
        names += [f"timm/{name}" for name in TIMM if timm.is_model(name)]
    print(" ".join(names), file=answers, flush=True)
    for line in sys.stdin:
        name, way = line.split()
        try:
            torch.manual_seed(0)
            network, side = build(name)
            images = torch.rand(2, 3, side, side)
            settle(network, torch.rand(4, 3, side, side))
            options = {
                "traced": {"dynamo": False, "opset_version": 17},
                "apart": {"dynamo": False, "opset_version": 17, "training": torch.onnx.TrainingMode.PRESERVE},
                "dynamo": {"dynamo": True, "verbose": False, "external_data": False},
            }[way]
            # In f64 through and through: what folds norms into weights rounds nothing that a kink could tell.
            found = {key: value.contiguous() for key, value in answer(network, images).items()}
            with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
                torch.onnx.export(network, (images[:1].double(),), str(folder / "net.onnx"), input_names=["images"],
                                  output_names=["logits"], **options)
            save_file(found, folder / "expected.safetensors")
            print(f"done {name} {way}", file=answers, flush=True)
        except Exception as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"failed {name} {way}: {why[:200]}", file=answers, flush=True)


if __name__ == "__main__":
    main()
