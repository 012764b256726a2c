"""Writes the reference tensors that tests/numerics.rs compares with.

    python tests/reference/make_reference.py

needs torch, numpy and safetensors. For each network it writes NAME.safetensors (parameters, statistics, data, and the
gradient under each batch-norm policy) and all losses and accuracies into reference.json.

The three policies are those of src/objective/policy.rs:
  running    eval() with the given running statistics
  recompute  reset; one train()-mode pass over the training images in fixed order, batch b entering with momentum
             b/(n+b); then eval(). The gradient holds those statistics constant.
  batch      every batch is normalised by its own statistics; the gradient flows through them
"""

import json
import math
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
BATCH = 8
TRAIN, TEST, CLASSES, SIDE = 20, 12, 10, 8  # neither split is a multiple of the batch


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, bn):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not bn)
        self.bn1 = nn.BatchNorm2d(outputs) if bn else nn.Identity()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=not bn)
        self.bn2 = nn.BatchNorm2d(outputs) if bn else nn.Identity()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=not bn),
                nn.BatchNorm2d(outputs) if bn else nn.Identity(),
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    def __init__(self, width, bn):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=not bn)
        self.bn1 = nn.BatchNorm2d(width) if bn else nn.Identity()
        self.layer1 = nn.Sequential(Block(width, width, 1, bn))
        self.layer2 = nn.Sequential(Block(width, 2 * width, 2, bn))
        self.layer3 = nn.Sequential(Block(2 * width, 4 * width, 2, bn))
        self.linear = nn.Linear(4 * width, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3 * SIDE * SIDE, 12)
        self.fc2 = nn.Linear(12, 9)
        self.fc3 = nn.Linear(9, CLASSES)

    def forward(self, x):
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def batch_norm_layers(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


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


def measure(model, images, labels, train_mode):
    """Mean loss, accuracy, and the gradient of the mean loss over the split."""
    model.train(train_mode)
    model.zero_grad()
    loss = correct = 0.0
    for x, y in zip(images.split(BATCH), labels.split(BATCH)):
        logits = model(x)
        part = F.cross_entropy(logits, y, reduction="sum") / len(labels)
        part.backward()
        loss += part.item()
        correct += (logits.argmax(1) == y).sum().item()
    gradient = {n: p.grad.clone() for n, p in model.named_parameters()}
    return loss, correct / len(labels), gradient


def main():
    record = {"torch": torch.__version__, "batch_size": BATCH, "networks": {}}
    networks = {
        "resnet8_bn": ("resnet8:width=4", lambda: ResNet8(4, True)),
        "resnet8_plain": ("resnet8:width=4:bn=off", lambda: ResNet8(4, False)),
        "mlp": ("mlp:12x9", Perceptron),
    }
    for seed, (name, (model_name, build)) in enumerate(networks.items()):
        torch.manual_seed(seed)
        model = build().double()  # the reference is exact to far below the tolerance
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "bn" in parameter_name or "shortcut.1" in parameter_name:
                    parameter.add_(0.3 * torch.randn_like(parameter))
                parameter.copy_(parameter.float().double())
            for layer in batch_norm_layers(model):
                layer.running_mean.copy_((0.2 * torch.randn_like(layer.running_mean)).float())
                layer.running_var.copy_((0.5 + torch.rand_like(layer.running_var)).float())
        tensors = {
            f"parameters.{n}": p.detach().float().contiguous().clone() for n, p in model.named_parameters()
        }
        tensors |= {
            f"statistics.{n}": b.float().clone() for n, b in model.named_buffers() if "running" in n
        }
        data = {}
        for part, count in (("train", TRAIN), ("test", TEST)):
            data[part] = (
                torch.randn(count, 3, SIDE, SIDE).float().double(),
                torch.randint(0, CLASSES, (count,)),
            )
            tensors[f"{part}_images"] = data[part][0].float()
            tensors[f"{part}_labels"] = data[part][1]
        saved = {n: b.clone() for n, b in model.named_buffers()}
        results = {}
        for policy in ("running", "recompute", "batch"):
            for n, b in model.named_buffers():
                b.copy_(saved[n])
            if policy == "recompute":
                update_statistics(model, data["train"][0])
                for n, b in model.named_buffers():
                    if "running" in n:
                        tensors[f"recomputed.{n}"] = b.float().clone()
            train_loss, train_accuracy, gradient = measure(model, *data["train"], policy == "batch")
            test_loss, test_accuracy, _ = measure(model, *data["test"], policy == "batch")
            tensors |= {f"gradient.{policy}.{n}": g.float().contiguous() for n, g in gradient.items()}
            results[policy] = {
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "gradient_norm": math.sqrt(sum(g.square().sum().item() for g in gradient.values())),
            }
        save_file(tensors, HERE / f"{name}.safetensors")
        record["networks"][name] = {"model": model_name, "policies": results}

    # PyTorch's SGD on a fixed sequence of gradients: momentum, weight decay, and a change of learning rate half way.
    torch.manual_seed(9)
    w = nn.Parameter(torch.randn(16))
    gradients = torch.randn(10, 16)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=3e-4)
    start = w.detach().clone()
    for step in range(10):
        if step == 5:
            optimizer.param_groups[0]["lr"] = 0.05
        w.grad = gradients[step].clone()
        optimizer.step()
    save_file({"start": start, "gradients": gradients, "end": w.detach()}, HERE / "sgd.safetensors")
    (HERE / "reference.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
