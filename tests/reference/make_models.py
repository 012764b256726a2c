"""Writes tests/reference/models.json: losses, accuracies, gradients and parameter counts of full-size networks.

    python tests/reference/make_models.py

needs torch and numpy. No weights are stored: parameters, statistics, images and labels all come from an integer hash
that the Rust test repeats bit for bit, so that only numbers have to be kept.

The hash, all in 64-bit unsigned arithmetic that wraps around:

    fnv1a64(name)   h = 0xcbf29ce484222325; for each UTF-8 byte b: h = (h xor b) * 0x100000001b3
    z(name, seed, i) for i = 0, 1, ...
        z = fnv1a64(name) + seed*0x9E3779B97F4A7C15 + (i+1)*0xD1B54A32D192ED03
        z = (z xor z>>30) * 0xBF58476D1CE4E5B9
        z = (z xor z>>27) * 0x94D049BB133111EB
        z =  z xor z>>31
    u = (z>>40) / 2^23 - 1, a float64 in [-1, 1) that holds 24 bits exactly

Everything below is computed from u in float64 and rounded to float32 once. `name` is the full state-dict name.

    weight of a convolution or linear layer   u * sqrt(3 / fan_in), fan_in = product of shape[1:]
    bias of a convolution or linear layer     0.1 * u
    batch-norm weight                         0.3 + 0.1 * u
    batch-norm bias                           0.1 * u
    running_mean                              0.1 * u
    running_var                               1 + 0.5 * u
    images  names train_images, test_images   1.5 * u, [N, C, H, W] in row-major order, seed 0
    labels  names train_labels, test_labels   (z>>33) mod classes, seed 0

Seed 1 is the solution w, seed 2 the solution w_to (parameters and statistics alike). Seed 3, as plain u in float64 and
under the parameter's name, is the direction that `gradient_along` multiplies the gradient with.

The computation itself is in float64. The three policies are those of make_reference.py.

With the small batch-norm weights the hashed statistics damp what an image contributes: after many normalised layers
the logits under `running` hardly differ between images. Those under `recompute` do, which is why both are kept.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
BATCH = 4
TRAIN, TEST = 6, 3  # a last batch that is not full in the first split, a single one in the second
POSITIONS = (-0.25, 0.5, 1.0)
POLICIES = ("running", "recompute", "batch")
MASK = (1 << 64) - 1


# ---------------------------------------------------------------------------------------------------------- the hash


def fnv1a64(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def raw_hash(name, seed, n):
    """n values of z as uint64; numpy's unsigned arithmetic on arrays wraps around silently."""
    start = (fnv1a64(name) + seed * 0x9E3779B97F4A7C15) & MASK
    z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03) + np.uint64(start)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashed(name, seed, n):
    """n values of u."""
    return (raw_hash(name, seed, n) >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def hashed_images(name, shape):
    values = (hashed(name, 0, math.prod(shape)) * 1.5).astype(np.float32)
    return torch.from_numpy(values.reshape(shape))


def hashed_labels(name, n, classes):
    values = (raw_hash(name, 0, n) >> np.uint64(33)) % np.uint64(classes)
    return torch.from_numpy(values.astype(np.int64))


def hashed_state(model, seed):
    """Parameters and statistics of a model by their state-dict names, in float32."""
    state = {}
    for prefix, module in model.named_modules():
        normalisation = isinstance(module, nn.BatchNorm2d)
        own = list(module.named_parameters(recurse=False)) + list(module.named_buffers(recurse=False))
        for own_name, tensor in own:
            if own_name == "num_batches_tracked":
                continue
            name = f"{prefix}.{own_name}" if prefix else own_name
            u = hashed(name, seed, tensor.numel())
            if own_name == "running_var":
                values = 1.0 + 0.5 * u
            elif own_name == "weight" and normalisation:
                values = 0.3 + 0.1 * u
            elif own_name == "weight":
                values = u * math.sqrt(3.0 / math.prod(tensor.shape[1:]))
            elif own_name in ("bias", "running_mean"):
                values = u * 0.1
            else:
                raise ValueError(f"no rule for {name}")
            state[name] = torch.from_numpy(values.astype(np.float32).reshape(tuple(tensor.shape)))
    return state


def load(model, state):
    """Writes the tensors named in `state` into the model, whatever its precision."""
    held = model.state_dict()  # shares memory with the model
    with torch.no_grad():
        for name, tensor in state.items():
            held[name].copy_(tensor)


# ------------------------------------------------------------------------------------------------------ the networks


def conv3x3(inputs, outputs, stride=1, bias=False):
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)


def conv1x1(inputs, outputs, stride=1, bias=False):
    return nn.Conv2d(inputs, outputs, 1, stride, bias=bias)


def global_average(x):
    return x.mean((2, 3))


class PreBasicBlock(nn.Module):
    growth = 1

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != planes:
            self.downsample = nn.Sequential(conv1x1(inputs, planes, stride))

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        return self.conv2(F.relu(self.bn2(y))) + self.downsample(x)


class PreBottleneck(nn.Module):
    growth = 4

    def __init__(self, inputs, planes, stride):
        super().__init__()
        outputs = planes * self.growth
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv1x1(inputs, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride)
        self.bn3 = nn.BatchNorm2d(planes)
        self.conv3 = conv1x1(planes, outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv1x1(inputs, outputs, stride))

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        return self.conv3(F.relu(self.bn3(y))) + self.downsample(x)


class PreResNet(nn.Module):
    """Pre-activation ResNet: the shortcut carries the raw input, and nothing follows the sum."""

    def __init__(self, depth, channels, classes):
        super().__init__()
        kind = PreBasicBlock if depth <= 44 else PreBottleneck
        count = (depth - 2) // (6 if kind is PreBasicBlock else 9)
        self.conv1 = conv3x3(channels, 16)
        held = 16
        for number, (planes, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
            blocks = []
            for index in range(count):
                blocks.append(kind(held, planes, stride if index == 0 else 1))
                held = planes * kind.growth
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(held)
        self.fc = nn.Linear(held, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(global_average(F.relu(self.bn(x))))


class PaddingShortcut(nn.Module):
    """Every second pixel, with zero channels in front and behind: no parameters."""

    def __init__(self, extra):
        super().__init__()
        self.extra = extra

    def forward(self, x):
        side = self.extra // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))


class CifarBlock(nn.Module):
    def __init__(self, inputs, planes, stride, shortcut, bn):
        super().__init__()

        def norm():
            return nn.BatchNorm2d(planes) if bn else nn.Identity()

        self.added = shortcut != "none"
        self.conv1 = conv3x3(inputs, planes, stride, bias=not bn)
        self.bn1 = norm()
        self.conv2 = conv3x3(planes, planes, bias=not bn)
        self.bn2 = norm()
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != planes:
            if shortcut == "projection":
                self.shortcut = nn.Sequential(conv1x1(inputs, planes, stride, bias=not bn), norm())
            elif shortcut == "padding":
                self.shortcut = PaddingShortcut(planes - inputs)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x) if self.added else y)


class CifarResNet(nn.Module):
    def __init__(self, depth, channels, classes, shortcut="projection", bn=True, width=16):
        super().__init__()
        count = (depth - 2) // 6
        self.conv1 = conv3x3(channels, width, bias=not bn)
        self.bn1 = nn.BatchNorm2d(width) if bn else nn.Identity()
        held = width
        for number, (planes, stride) in enumerate(((width, 1), (2 * width, 2), (4 * width, 2)), 1):
            blocks = []
            for index in range(count):
                blocks.append(CifarBlock(held, planes, stride if index == 0 else 1, shortcut, bn))
                held = planes
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.linear = nn.Linear(held, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(global_average(self.layer3(self.layer2(self.layer1(x)))))


class WideBlock(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, planes, bias=True)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride, bias=True)  # the stride sits in the second convolution
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != planes:
            self.shortcut = nn.Sequential(conv1x1(inputs, planes, stride, bias=True))

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        return self.conv2(F.relu(self.bn2(y))) + self.shortcut(x)


class WideResNet(nn.Module):
    def __init__(self, depth, widening, channels, classes):
        super().__init__()
        count = (depth - 4) // 6
        self.conv1 = conv3x3(channels, 16, bias=True)
        held = 16
        for number, (planes, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
            blocks = []
            for index in range(count):
                blocks.append(WideBlock(held, planes * widening, stride if index == 0 else 1))
                held = planes * widening
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(held)
        self.linear = nn.Linear(held, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.linear(global_average(F.relu(self.bn1(x))))


VGG_WIDTHS = (64, 128, 256, 512, 512)
VGG_REPEATS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class Vgg(nn.Module):
    def __init__(self, depth, channels, classes, bn=False, classifier="hidden"):
        super().__init__()
        layers = []
        for planes, repeats in zip(VGG_WIDTHS, VGG_REPEATS[depth]):
            for _ in range(repeats):
                layers.append(conv3x3(channels, planes, bias=True))
                if bn:
                    layers.append(nn.BatchNorm2d(planes))
                layers.append(nn.ReLU())
                channels = planes
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        if classifier == "linear":
            self.classifier = nn.Linear(512, classes)
        else:
            # Dropout(0) holds the place of the usual dropout layers, so that the numbering is theirs.
            self.classifier = nn.Sequential(
                nn.Dropout(0), nn.Linear(512, 512), nn.ReLU(),
                nn.Dropout(0), nn.Linear(512, 512), nn.ReLU(),
                nn.Linear(512, classes),
            )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class VggSmall(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        layers = []
        for planes in (16, 16, 32, 64, 64):
            layers += [conv3x3(channels, planes, bias=True), nn.ReLU(), nn.MaxPool2d(2, 2)]
            channels = planes
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth, bottleneck):
        super().__init__()
        self.bottleneck = bottleneck
        self.norm1 = nn.BatchNorm2d(inputs)
        if bottleneck:
            self.conv1 = conv1x1(inputs, 4 * growth)
            self.norm2 = nn.BatchNorm2d(4 * growth)
            self.conv2 = conv3x3(4 * growth, growth)
        else:
            self.conv1 = conv3x3(inputs, growth)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        if self.bottleneck:
            y = self.conv2(F.relu(self.norm2(y)))
        return torch.cat([x, y], 1)


class Transition(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = conv1x1(inputs, outputs)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2, 2)


class DenseNet(nn.Module):
    def __init__(self, depth, bottleneck, channels, classes, final="norm_final", growth=12):
        super().__init__()
        count = (depth - 4) // (6 if bottleneck else 3)
        held = 2 * growth if bottleneck else 16
        self.features = nn.Sequential()
        self.features.add_module("conv0", conv3x3(channels, held))
        for number in (1, 2, 3):
            block = nn.Sequential()
            for index in range(1, count + 1):
                block.add_module(f"denselayer{index}", DenseLayer(held, growth, bottleneck))
                held += growth
            self.features.add_module(f"denseblock{number}", block)
            if number < 3:
                kept = held // 2 if bottleneck else held
                self.features.add_module(f"transition{number}", Transition(held, kept))
                held = kept
        self.features.add_module(final, nn.BatchNorm2d(held))
        self.classifier = nn.Linear(held, classes)

    def forward(self, x):
        return self.classifier(global_average(F.relu(self.features(x))))


class FullyConnected(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inputs, 500), nn.ReLU(),
            nn.Linear(500, 500), nn.ReLU(),
            nn.Linear(500, 500), nn.ReLU(),
            nn.Linear(500, classes),
        )

    def forward(self, x):
        return self.net(x.flatten(1))


class LeNet(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 10, 5)
        self.conv2 = nn.Conv2d(10, 10, 5)
        self.fc1 = nn.Linear(160, 50)
        self.fc2 = nn.Linear(50, classes)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Perceptron(nn.Module):
    def __init__(self, inputs, widths, classes):
        super().__init__()
        sizes = (inputs, *widths, classes)
        for number, (before, after) in enumerate(zip(sizes, sizes[1:]), 1):
            setattr(self, f"fc{number}", nn.Linear(before, after))
        self.layers = len(sizes) - 1

    def forward(self, x):
        x = x.flatten(1)
        for number in range(1, self.layers + 1):
            x = getattr(self, f"fc{number}")(x)
            x = F.relu(x) if number < self.layers else x
        return x


def build(name, input_shape, classes):
    """The network of a model name such as resnet14:bn=off:shortcut=padding."""
    family, *pairs = name.split(":")
    channels = input_shape[0]
    if family == "mlp":
        return Perceptron(math.prod(input_shape), [int(width) for width in pairs[0].split("x")], classes)
    options = dict(pair.split("=") for pair in pairs)
    if family == "fnn":
        model = FullyConnected(math.prod(input_shape), classes)
    elif family == "lenet":
        model = LeNet(channels, classes)
    elif family == "vgg-small":
        model = VggSmall(channels, classes)
    elif family.startswith("vgg"):
        depth = int(family.removeprefix("vgg").removesuffix("-bn"))
        model = Vgg(depth, channels, classes, family.endswith("-bn"), options.pop("classifier", "hidden"))
    elif family.startswith("densenet-"):
        model = DenseNet(
            int(family.split("-")[-1]), "-bc-" in family, channels, classes, options.pop("final", "norm_final")
        )
    elif family.startswith("wrn-"):
        model = WideResNet(*(int(number) for number in family.split("-")[1:]), channels, classes)
    elif family.startswith("preresnet"):
        model = PreResNet(int(family.removeprefix("preresnet")), channels, classes)
    elif family.startswith("resnet"):
        model = CifarResNet(
            int(family.removeprefix("resnet")),
            channels,
            classes,
            options.pop("shortcut", "projection"),
            options.pop("bn", "on") != "off",
            int(options.pop("width", 16)),
        )
    else:
        raise ValueError(f"no model {name}")
    if options:
        raise ValueError(f"{name}: unused {options}")
    return model


# ------------------------------------------------------------------------------------------------------ the numbers


def batch_norm_layers(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def update_statistics(model, images):
    """The papers' bn_update, in fixed order."""
    layers = batch_norm_layers(model)
    for layer in layers:
        layer.running_mean.zero_()
        layer.running_var.fill_(1)
    model.train()
    seen = 0
    with torch.no_grad():
        for batch in images.split(BATCH):
            for layer in layers:
                layer.momentum = len(batch) / (seen + len(batch))
            model(batch)
            seen += len(batch)


def measure(model, images, labels, train_mode, with_gradient):
    """Mean loss and accuracy over the split; leaves the gradient of the mean loss in the parameters."""
    model.train(train_mode)
    model.zero_grad()
    loss = 0.0
    correct = 0
    with torch.set_grad_enabled(with_gradient):
        for x, y in zip(images.split(BATCH), labels.split(BATCH)):
            logits = model(x)
            part = F.cross_entropy(logits, y, reduction="sum") / len(labels)
            if with_gradient:
                part.backward()
            loss += part.item()
            correct += (logits.argmax(1) == y).sum().item()
    return loss, correct / len(labels)


def measure_both(model, data, train_mode, with_gradient):
    train_loss, train_accuracy = measure(model, *data["train"], train_mode, with_gradient)
    gradient = None
    if with_gradient:
        gradient = {name: p.grad.clone() for name, p in model.named_parameters()}
    test_loss, test_accuracy = measure(model, *data["test"], train_mode, False)
    return {
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }, gradient


def test_logits(model, data):
    model.eval()
    with torch.no_grad():
        logits = model(data["test"][0])
    return [[float(f"{value:.9g}") for value in row] for row in logits.tolist()]


def evaluate(name, input_shape, classes, dtype=torch.float64):
    torch.manual_seed(0)
    model = build(name, input_shape, classes).to(dtype)
    first, second = hashed_state(model, 1), hashed_state(model, 2)
    data = {
        split: (
            hashed_images(f"{split}_images", (count, *input_shape)).to(dtype),
            hashed_labels(f"{split}_labels", count, classes),
        )
        for split, count in (("train", TRAIN), ("test", TEST))
    }
    load(model, first)
    logits = test_logits(model, data)
    policies = {}
    for policy in POLICIES:
        load(model, first)
        if policy == "recompute":
            update_statistics(model, data["train"][0])
            recomputed_logits = test_logits(model, data)
        results, gradient = measure_both(model, data, policy == "batch", True)
        along = norm = 0.0
        for parameter_name, values in gradient.items():
            direction = torch.from_numpy(hashed(parameter_name, 3, values.numel())).reshape(values.shape)
            along += (values.double() * direction).sum().item()
            norm += values.double().square().sum().item()
        policies[policy] = results | {"gradient_norm": math.sqrt(norm), "gradient_along": along}
    line = []
    parameter_names = [parameter_name for parameter_name, _ in model.named_parameters()]
    for position in POSITIONS:
        between = {}
        for parameter_name in parameter_names:
            start, end = first[parameter_name].double(), second[parameter_name].double()
            between[parameter_name] = (start + position * (end - start)).float()
        load(model, between)
        update_statistics(model, data["train"][0])
        line.append({"position": position} | measure_both(model, data, False, False)[0])
    return {
        "model": name,
        "input": list(input_shape),
        "classes": classes,
        "parameters": [[parameter_name, list(p.shape)] for parameter_name, p in model.named_parameters()],
        "count": sum(p.numel() for p in model.parameters()),
        "logits": logits,
        "logits_recompute": recomputed_logits,
        "policies": policies,
        "line": line,
    }


COLOUR, GREY = (3, 32, 32), (1, 28, 28)
CASES = [
    ("preresnet20", COLOUR, 10),
    ("preresnet20", GREY, 100),
    ("preresnet110", COLOUR, 100),
    ("preresnet164", COLOUR, 10),
    ("resnet20", COLOUR, 10),
    ("resnet20:shortcut=padding", COLOUR, 10),
    ("resnet20:shortcut=none", COLOUR, 10),
    ("resnet110", COLOUR, 100),
    ("resnet14:bn=off:shortcut=padding", COLOUR, 2),
    ("vgg11", COLOUR, 10),
    ("vgg16-bn", COLOUR, 100),
    ("vgg16", COLOUR, 10),
    ("vgg19-bn:classifier=linear", COLOUR, 10),
    ("vgg11:classifier=linear", COLOUR, 10),
    ("densenet-bc-100", COLOUR, 10),
    ("densenet-40", COLOUR, 100),
    ("densenet-bc-100:final=norm5", GREY, 10),
    ("wrn-16-2", COLOUR, 100),
    ("fnn", GREY, 10),
    ("vgg-small", COLOUR, 2),
    ("lenet", GREY, 10),
    ("mlp:12x9", (1, 5, 7), 3),
]


def counted_cases():
    for depth in (8, 14, 20, 26, 32, 38, 44, 56, 110, 164):
        yield f"preresnet{depth}", COLOUR, 10
    for depth in (8, 20, 32, 44, 56, 110):
        for option in ("", ":shortcut=padding", ":shortcut=none"):
            yield f"resnet{depth}{option}", COLOUR, 10
    for depth in (11, 13, 16, 19):
        for bn in ("", "-bn"):
            for option in ("", ":classifier=linear"):
                yield f"vgg{depth}{bn}{option}", COLOUR, 10
    yield "densenet-bc-100", COLOUR, 10
    yield "densenet-40", COLOUR, 10
    yield "wrn-28-10", COLOUR, 10
    yield "wrn-16-2", COLOUR, 10
    yield "fnn", GREY, 10
    yield "vgg-small", COLOUR, 2
    yield "lenet", GREY, 10


# Counts given in papers or by the usual implementations, each for ten classes (vgg-small: two).
KNOWN_COUNTS = {
    "fnn": 898510,
    "vgg-small": 71410,
    "lenet": 11330,
    "vgg11": 9750922,
    "densenet-bc-100": 769162,
    "densenet-40": 1019722,
}


def main():
    torch.set_num_threads(2)
    counts = []
    for name, input_shape, classes in counted_cases():
        with torch.device("meta"):  # shapes alone are needed
            model = build(name, input_shape, classes)
        count = sum(p.numel() for p in model.parameters())
        counts.append({"model": name, "input": list(input_shape), "classes": classes, "count": count})
        if name in KNOWN_COUNTS:
            assert count == KNOWN_COUNTS[name], f"{name}: {count} parameters, {KNOWN_COUNTS[name]} expected"
    networks = []
    for case in CASES:
        networks.append(evaluate(*case))
        losses = [f"{policy} {values['train_loss']:.4f}" for policy, values in networks[-1]["policies"].items()]
        print(case[0], case[1], case[2], *losses, file=sys.stderr, flush=True)
    record = {
        "torch": torch.__version__,
        "batch_size": BATCH,
        "train": TRAIN,
        "test": TEST,
        "networks": networks,
        "counts": counts,
    }
    (HERE / "models.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
