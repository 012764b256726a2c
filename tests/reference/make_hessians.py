"""Writes tests/reference/hessians.json: slopes, Hessian-vector and Gauss-Newton products of small networks.

    python tests/reference/make_hessians.py

needs torch and numpy. As in make_models.py, whose hash this uses, no inputs are stored: the solution w is seed 1 and the
vector v seed 3 (plain u, under the parameter's name), images and labels are the hashed ones. Together the networks hold
every operation of the zoo.

For the mean loss L over the first IMAGES training images, in batches of BATCH (the last one is not full), it keeps
    loss            L(w)
    slope           <grad L(w), v>
    hessian         H v, by differentiating <grad L(w), v> once more
    gauss_newton    J' D J v, J the Jacobian of the logits and D the second derivative of the loss in the logits;
                    J v is the derivative of J' u, which is linear in u, along v
in the order of model.named_parameters(), each tensor in row-major order, to 9 significant digits, under
    running  eval() with the hashed statistics
    batch    every batch is normalised by its own statistics, and everything flows through them
and with the losses
    cross_entropy   the mean over images of -log softmax(z)_y
    squared_error   the mean over images and classes of (z - onehot(y))^2

Everything is computed in float64. `float32_error` is how far PyTorch's own H v and J' D J v in float32 are from those,
as a share of the vector's norm, the larger of the two: it tells which error a program in float32 may have.
"""

import json
import math
import pathlib
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from make_models import (
    CifarResNet,
    DenseNet,
    LeNet,
    Perceptron,
    hashed,
    hashed_images,
    hashed_labels,
    hashed_state,
    load,
)

HERE = pathlib.Path(__file__).parent
BATCH, IMAGES = 4, 11


class Logistic(nn.Module):
    """One logit z as the two logits (0, z)."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        z = self.linear(x.flatten(1))
        return torch.cat([torch.zeros_like(z), z], 1)


def lenet(channels, side, classes):
    """LeNet on images of another size than 28x28."""
    model = LeNet(channels, classes)
    side = ((side - 4) // 2 - 4) // 2
    model.fc1 = nn.Linear(10 * side * side, 50)
    return model


# Name in the zoo, shape of an image, classes, the same in torch.
NETWORKS = [
    ("logistic", (1, 1, 1), 2, Logistic),
    ("mlp:6x5", (1, 5, 7), 4, lambda: Perceptron(35, [6, 5], 4)),
    ("lenet", (1, 16, 16), 3, lambda: lenet(1, 16, 3)),
    ("resnet8:width=2", (3, 8, 8), 4, lambda: CifarResNet(8, 3, 4, "projection", True, 2)),
    ("resnet8:width=2:shortcut=padding", (2, 8, 8), 3, lambda: CifarResNet(8, 2, 3, "padding", True, 2)),
    ("resnet8:width=2:bn=off", (3, 8, 8), 4, lambda: CifarResNet(8, 3, 4, "projection", False, 2)),
    ("densenet-10:growth=2", (2, 8, 8), 3, lambda: DenseNet(10, False, 2, 3, growth=2)),
]


def mean_loss(logits, labels, loss):
    if loss == "cross_entropy":
        return F.cross_entropy(logits, labels)
    return (logits - F.one_hot(labels, logits.shape[1])).square().mean()


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def jacobian_vector(logits, parameters, vector):
    """J v as the derivative of J' u along v, J' u being linear in u."""
    u = torch.zeros_like(logits, requires_grad=True)
    pulled = torch.autograd.grad(logits, parameters, u, create_graph=True)
    return torch.autograd.grad(sum((p * v).sum() for p, v in zip(pulled, vector)), u, retain_graph=True)[0]


def measure(build, input_shape, classes, policy, loss, dtype):
    model = build().to(dtype)
    load(model, hashed_state(model, 1))
    model.train(policy == "batch")
    names, parameters = zip(*model.named_parameters())
    vector = [
        torch.from_numpy(hashed(name, 3, p.numel())).reshape(p.shape).to(dtype) for name, p in zip(names, parameters)
    ]
    images = hashed_images("train_images", (IMAGES, *input_shape)).to(dtype)
    labels = hashed_labels("train_labels", IMAGES, classes)
    value = slope = hessian = gauss_newton = 0.0
    for x, y in zip(images.split(BATCH), labels.split(BATCH)):
        share = len(y) / IMAGES
        logits = model(x)
        part = mean_loss(logits, y, loss)
        gradient = torch.autograd.grad(part, parameters, create_graph=True)
        along = sum((g * v).sum() for g, v in zip(gradient, vector))
        product = torch.autograd.grad(along, parameters, retain_graph=True, materialize_grads=True)
        change = jacobian_vector(logits, parameters, vector)
        held = logits.detach().requires_grad_()
        at_logits = torch.autograd.grad(mean_loss(held, y, loss), held, create_graph=True)[0]
        curved = torch.autograd.grad((at_logits * change).sum(), held)[0]
        pulled = torch.autograd.grad(logits, parameters, curved)
        value += share * part.item()
        slope += share * along.item()
        hessian = hessian + share * flat(product)
        gauss_newton = gauss_newton + share * flat(pulled)
    return {"loss": value, "slope": slope, "hessian": hessian, "gauss_newton": gauss_newton}


def rounded(value):
    return float(f"{value:.9g}")


def main():
    torch.set_num_threads(2)
    networks = []
    for name, input_shape, classes, build in NETWORKS:
        normalised = any(isinstance(module, nn.BatchNorm2d) for module in build().modules())
        count = sum(p.numel() for p in build().parameters())
        for policy in ("running", "batch") if normalised else ("running",):
            for loss in ("cross_entropy", "squared_error"):
                exact = measure(build, input_shape, classes, policy, loss, torch.float64)
                single = measure(build, input_shape, classes, policy, loss, torch.float32)
                error = max(
                    ((single[what].double() - exact[what]).norm() / exact[what].norm()).item()
                    for what in ("hessian", "gauss_newton")
                )
                assert math.isfinite(error), name
                print(
                    f"{name} {policy} {loss}: {count} parameters, loss {exact['loss']:.4f}, slope {exact['slope']:.4f}, "
                    f"|Hv| {exact['hessian'].norm().item():.4f}, |Gv| {exact['gauss_newton'].norm().item():.4f}, "
                    f"float32 off by {error:.1e}",
                    file=sys.stderr,
                )
                networks.append(
                    {
                        "model": name,
                        "input": list(input_shape),
                        "classes": classes,
                        "policy": policy,
                        "loss_function": loss,
                        "loss": rounded(exact["loss"]),
                        "slope": rounded(exact["slope"]),
                        "hessian": [rounded(v) for v in exact["hessian"].tolist()],
                        "gauss_newton": [rounded(v) for v in exact["gauss_newton"].tolist()],
                        "float32_error": float(f"{error:.2g}"),
                    }
                )
    record = {"torch": torch.__version__, "batch_size": BATCH, "images": IMAGES, "networks": networks}
    (HERE / "hessians.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
