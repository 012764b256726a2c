"""Times `valleyscope curvature` against PyTorch: the largest eigenvalues of a Hessian, one machine.

    python benches/curvature_against_pytorch.py [--model lenet] [--images 1024] [--eigenvalues 20]
                                                [--pyhessian]

needs torch, numpy, safetensors and a release build of the program (cargo build --release). Weights,
images and labels come from the integer hash of tests/reference/make_models.py; both sides read
the same numbers. The program searches until its residuals are below the tolerance. PyTorch then
makes as many products, one more for every eigenvalue, in the same batches: each is an exact
Hessian-vector product by differentiating twice, as in PyHessian, between which a Lanczos basis is
kept orthogonal by two full passes in double precision. Where the eigenvalues differ by more than
the residuals, the script says so and exits with status 1. The program's time is that of the whole
command.

With --pyhessian (the package is needed then) PyHessian searches for as many in the same run, in
the way of its own examples: a power iteration an eigenvalue, of 100 products at most, which ends
when an estimate changes by less than 1e-3 of itself. It reports no residuals, so its numbers are
only shown beside ours. It looks for the largest absolute values, so a negative one can be among
them.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import against_pytorch
import make_models as models  # found by way of the line above
import numpy
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

SHAPES = {"lenet": (1, 28, 28), "vgg-small": (3, 32, 32)}
CLASSES = 10
BATCH = 128


def write_inputs(folder, model, images):
    """Writes the point and the data for the program; gives network, images and labels for torch."""
    shape = SHAPES[model]
    network = models.build(model, shape, CLASSES)
    models.load(network, models.hashed_state(network, 1))
    point = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    save_file(point, folder / "point.safetensors")
    pixels = models.hashed_images("train_images", (images, *shape))
    labels = models.hashed_labels("train_labels", images, CLASSES)
    data = {"train_images": pixels.numpy(), "train_labels": labels.numpy().astype(numpy.int64)}
    data |= {name.replace("train", "test"): value[:BATCH] for name, value in data.items()}
    classes = json.dumps([str(number) for number in range(CLASSES)])
    save_file(data, folder / "data.safetensors", metadata={"classes": classes})
    return network, pixels, labels


def run_ours(binary, folder, model, arguments):
    """The program's document, and the seconds that the command took."""
    command = [str(binary), "curvature", "--json", "--device", "cpu", "--model", model]
    command += ["--checkpoint", "point.safetensors", "--data", "safetensors:data.safetensors"]
    command += ["--evaluation-batch", str(BATCH), "--eigenvalues", str(arguments.eigenvalues)]
    command += ["--tolerance", str(arguments.tolerance)]
    before = time.perf_counter()
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - before
    if answer.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{answer.stderr}")
    return json.loads(answer.stdout), seconds


def hessian_vector(network, batches, vector):
    """The Hessian of the mean loss times a vector, both flat."""
    parameters = list(network.parameters())
    parts = [
        part.view_as(parameter)
        for part, parameter in zip(vector.split([p.numel() for p in parameters]), parameters)
    ]
    total = sum(len(labels) for _, labels in batches)
    product = torch.zeros_like(vector)
    for images, labels in batches:
        loss = F.cross_entropy(network(images), labels)
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
        slope = sum((g * part).sum() for g, part in zip(gradient, parts))
        second = torch.autograd.grad(slope, parameters)
        flat = torch.cat([s.reshape(-1) for s in second])
        product += flat * (len(labels) / total)
    return product


def lanczos(network, batches, steps, count):
    """The largest eigenvalues after so many products, with residuals by one more product each."""
    size = sum(parameter.numel() for parameter in network.parameters())
    generator = torch.Generator().manual_seed(1)
    vector = torch.randn(size, generator=generator, dtype=torch.float64)
    basis = torch.empty(steps, size)
    projected = torch.zeros(steps, steps, dtype=torch.float64)
    for step in range(steps):
        basis[step] = (vector / vector.norm()).float()
        vector = hessian_vector(network, batches, basis[step]).double()
        columns = basis[: step + 1].double()
        for _ in range(2):
            coefficients = columns @ vector
            vector -= coefficients @ columns
            projected[: step + 1, step] += coefficients
    projected = torch.triu(projected) + torch.triu(projected, 1).T
    values, vectors = torch.linalg.eigh(projected)
    found = []
    for index in range(1, count + 1):
        ritz = vectors[:, -index].float() @ basis
        ritz /= ritz.norm()
        rest = hessian_vector(network, batches, ritz) - values[-index].float() * ritz
        found.append((values[-index].item(), rest.norm().item()))
    return found


def run_pyhessian(network, batches, count):
    """PyHessian's eigenvalues, the passes over the data it took, and the seconds."""
    from pyhessian import hessian

    class Counted(list):
        """The batches, counting how often they are gone through."""

        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    data = Counted(batches)
    search = hessian(network, F.cross_entropy, dataloader=data, cuda=False)
    before = time.perf_counter()
    values, _ = search.eigenvalues(maxIter=100, tol=1e-3, top_n=count)
    return values, data.passes, time.perf_counter() - before


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=SHAPES, default="lenet")
    parser.add_argument("--images", type=int, default=1024, help="images of the mean loss (1024)")
    parser.add_argument("--eigenvalues", type=int, default=20, help="how many (20)")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of the residuals (1e-3)")
    parser.add_argument("--pyhessian", action="store_true", help="have PyHessian search, too")
    parser.add_argument("--binary", type=pathlib.Path, help="the program (the release build)")
    arguments = parser.parse_args()
    if arguments.images < 1 or arguments.eigenvalues < 1:
        parser.error("--images and --eigenvalues must be at least 1")
    return arguments


def main():
    """Compares both sides; gives the exit status."""
    arguments = parse_arguments()
    binary = against_pytorch.find_binary(arguments.binary)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        network, pixels, labels = write_inputs(folder, arguments.model, arguments.images)
        record, ours = run_ours(binary, folder, arguments.model, arguments)
    spectrum = record["spectrum"]
    products, largest = spectrum["products"], spectrum["largest"]
    batches = list(zip(pixels.split(BATCH), labels.split(BATCH)))
    start = torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])
    hessian_vector(network, batches[:1], start)  # warms up
    before = time.perf_counter()
    found = lanczos(network, batches, products, len(largest))
    theirs = time.perf_counter() - before
    made = products + len(largest)
    threads = torch.get_num_threads()
    print(f"{against_pytorch.processor()}, {threads} threads, PyTorch {torch.__version__}")
    print(f"{arguments.model}, {record['parameters']} parameters, {arguments.images} images")
    times = f"Valleyscope {ours:.2f} s, PyTorch {theirs:.2f} s, ratio {theirs / ours:.2f}"
    print(f"{made} products: {times}")
    wrong = 0
    for index, (pair, (value, residual)) in enumerate(zip(largest, found), 1):
        allowed = pair["residual"] + residual + 1e-5 * abs(largest[0]["value"])
        differs = abs(pair["value"] - value) > allowed
        wrong += differs
        note = "  *** WRONG ***" if differs else ""
        sides = ((pair["value"], pair["residual"]), (value, residual))
        shown = " ".join(f"{eigenvalue:12.6f} {error:8.1e}" for eigenvalue, error in sides)
        print(f"{index:4} {shown}{note}")
    if arguments.pyhessian:
        values, passes, seconds = run_pyhessian(network, batches, len(largest))
        print(f"PyHessian: {passes} products, {seconds:.2f} s, ratio {seconds / ours:.2f}")
        for index, (pair, value) in enumerate(zip(largest, values), 1):
            difference = value / pair["value"] - 1.0
            print(f"{index:4} {pair['value']:12.6f} {value:12.6f} {100.0 * difference:+8.2f} %")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
