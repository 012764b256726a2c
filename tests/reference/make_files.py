"""Writes tests/reference/files/: small checkpoints and data sets in their true formats, each made by its usual writer.

    python tests/reference/make_files.py
    python tests/reference/make_files.py --check FILE.safetensors

needs torch, numpy, scipy, safetensors and Pillow. The second form loads a file that this program wrote into the
PyTorch network of the checkpoints, strictly, and prints the logits that logits.json is about as JSON.

Checkpoints. The network is resnet8:width=4 for 10 classes; its weights are those of make_models.hashed_state, seed 1
for the SGD solution and seed 2 for the average; files that hold one solution hold seed 1, but averaged.pt seed 2.
Another run writes the same bytes except in papers_legacy.pt, where PyTorch names storages by their memory addresses.

Data. A set's images are z & 255 of make_models.raw_hash (names SET_train and SET_test, seed 0) in [N, C, H, W] order;
labels are chosen by `labels` so that few images show many classes. expected.safetensors holds what a reader should
return. The files' own layouts differ from that: see each writer.
"""

import argparse
import collections
import gzip
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import sys

import numpy as np
import scipy.io
import torch
import torch.nn as nn
from PIL import Image
from safetensors.torch import load_file, save_file

sys.dont_write_bytecode = True  # the next import would leave a __pycache__ in the source tree
from make_models import CifarResNet, hashed, hashed_images, hashed_state, load, raw_hash

HERE = pathlib.Path(__file__).parent
FILES = HERE / "files"
LOGIT_IMAGES = (5, 3, 16, 16)


# ------------------------------------------------------------------------------------------------------- checkpoints


def resnet8():
    return CifarResNet(8, 3, 10, width=4)


def solution(seed):
    torch.manual_seed(0)  # the start is overwritten, but should not differ from run to run
    model = resnet8()
    load(model, hashed_state(model, seed))
    return model


def logits(model):
    model = model.double().eval()
    with torch.no_grad():
        return model(hashed_images("train_images", LOGIT_IMAGES).double()).tolist()


def converted(state, dtype):
    return collections.OrderedDict((k, v.to(dtype) if v.is_floating_point() else v) for k, v in state.items())


def contiguous(state):
    return {name: tensor.contiguous().clone() for name, tensor in state.items()}


class Trap:
    """Runs a command when a pickle that holds it is loaded by a reader that obeys pickles."""

    def __reduce__(self):
        return os.system, ("touch /tmp/valleyscope-was-here",)


def write_checkpoints():
    sgd, swa = solution(1), solution(2)
    state = sgd.state_dict()

    optimizer = torch.optim.SGD(sgd.parameters(), lr=0.05, momentum=0.9, weight_decay=3e-4)
    for name, parameter in sgd.named_parameters():
        parameter.grad = torch.from_numpy(hashed(name, 4, parameter.numel())).float().reshape(parameter.shape)
    optimizer.step()  # fills the momentum buffers, and moves the parameters
    load(sgd, hashed_state(sgd, 1))
    papers = {
        "epoch": 225,
        "state_dict": state,
        "swa_state_dict": swa.state_dict(),
        "swa_n": 100,
        "optimizer": optimizer.state_dict(),
    }
    torch.save(papers, FILES / "papers.pt")
    torch.save(papers, FILES / "papers_legacy.pt", _use_new_zipfile_serialization=False)

    parallel = collections.OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())
    torch.save(parallel, FILES / "parallel.pt")
    averaged = torch.optim.swa_utils.AveragedModel(swa)
    averaged.update_parameters(swa)
    torch.save(averaged.state_dict(), FILES / "averaged.pt")

    for name, dtype in (("half", torch.float16), ("bfloat16", torch.bfloat16), ("double", torch.float64)):
        torch.save(converted(state, dtype), FILES / f"{name}.pt")
    save_file(contiguous(state), FILES / "plain.safetensors")
    save_file(contiguous(converted(state, torch.bfloat16)), FILES / "bfloat16.safetensors")

    for parameter in sgd.parameters():
        parameter.grad = None
    torch.save(sgd, FILES / "whole_model.pt")

    broken = collections.OrderedDict((name, tensor.clone()) for name, tensor in state.items())
    broken["layer2.0.conv1.weight"][3, 1, 2, 0] = float("nan")
    torch.save(broken, FILES / "nan.pt")
    torch.save({"state_dict": state, "note": Trap()}, FILES / "callable.pt")

    record = {
        "torch": torch.__version__,
        "model": "resnet8:width=4",
        "images": list(LOGIT_IMAGES),
        "state_dict": logits(solution(1)),
        "swa_state_dict": logits(solution(2)),
    }
    (FILES / "logits.json").write_text(json.dumps(record, indent=1) + "\n")


def check(path):
    model = resnet8().double()
    model.load_state_dict(load_file(path), strict=True)
    print(json.dumps({"torch": torch.__version__, "strict": True, "logits": logits(model)}))


# -------------------------------------------------------------------------------------------------------------- data


def pixels(name, shape):
    return (raw_hash(name, 0, int(np.prod(shape))) & np.uint64(255)).astype(np.uint8).reshape(shape)


def labels(count, classes, start):
    return np.array([(start + 7 * index) % classes for index in range(count)], dtype=np.int64)


class Expected:
    """Collects what a reader should return."""

    def __init__(self):
        self.tensors = {}

    def add(self, name, train_images, train_labels, test_images, test_labels):
        for kind, values in (
            ("train_images", train_images),
            ("train_labels", train_labels),
            ("test_images", test_images),
            ("test_labels", test_labels),
        ):
            self.tensors[f"{name}.{kind}"] = torch.from_numpy(values.copy())  # safetensors refuses shared memory

    def hashed(self, name, shape, train, test, classes):
        """A set's splits by the rules at the head of this file."""
        splits = (
            pixels(f"{name}_train", (train, *shape)),
            labels(train, classes, 3),
            pixels(f"{name}_test", (test, *shape)),
            labels(test, classes, 0),
        )
        self.add(name, *splits)
        return splits


def folder(name):
    path = FILES / name
    path.mkdir(parents=True)
    return path


class Python2Pickler(pickle._Pickler):
    """Protocol 2 as Python 2 wrote it: strings as byte strings, and numpy under its old module names. Python 3 would
    write byte strings as calls of _codecs.encode."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_string(self, value):
        raw = value.encode("ascii") if isinstance(value, str) else value
        if len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[bytes] = save_string
    dispatch[str] = save_string

    def save_global(self, obj, name=None):
        if getattr(obj, "__name__", None) == "_reconstruct":
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch[type(pickle.dumps)] = save_global


def python2_pickle(path, value):
    raw = io.BytesIO()
    Python2Pickler(raw).dump(value)
    path.write_bytes(raw.getvalue())
    read = pickle.loads(raw.getvalue(), encoding="bytes")
    for key, entry in value.items():  # Python 3 must read back what went in
        assert np.array_equal(read[key], entry), (path, key)


CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
CIFAR100_COARSE = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things "
    "large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates "
    "people reptiles small_mammals trees vehicles_1 vehicles_2"
).split()
CIFAR100_FINE = (
    "beaver dolphin otter seal whale aquarium_fish flatfish ray shark trout orchid poppy rose sunflower tulip bottle "
    "bowl can cup plate apple mushroom orange pear sweet_pepper clock keyboard lamp telephone television bed chair "
    "couch table wardrobe bee beetle butterfly caterpillar cockroach bear leopard lion tiger wolf bridge castle house "
    "road skyscraper cloud forest mountain plain sea camel cattle chimpanzee elephant kangaroo fox porcupine possum "
    "raccoon skunk crab lobster snail spider worm baby boy girl man woman crocodile dinosaur lizard snake turtle "
    "hamster mouse rabbit shrew squirrel maple_tree oak_tree palm_tree pine_tree willow_tree bicycle bus motorcycle "
    "pickup_truck train lawn_mower rocket streetcar tank tractor"
).split()
STL10_CLASSES = "airplane bird car cat deer dog horse monkey ship truck".split()


def coarse(fine):
    """Not the true superclasses: only some other number, so that a reader that takes the wrong byte is found out."""
    return (fine * 3 + 1) % 20


def write_cifar10(expected):
    path = folder("cifar10-binary")
    train, train_labels, test, test_labels = expected.hashed("cifar10-binary", (3, 32, 32), 10, 3, 10)

    def record(images, numbers):
        return b"".join(bytes([number]) + image.tobytes() for image, number in zip(images, numbers))

    for batch in range(5):
        part = slice(2 * batch, 2 * batch + 2)
        (path / f"data_batch_{batch + 1}.bin").write_bytes(record(train[part], train_labels[part]))
    (path / "test_batch.bin").write_bytes(record(test, test_labels))
    (path / "batches.meta.txt").write_text("\n".join(CIFAR10_CLASSES) + "\n\n")

    path = folder("cifar10-python")
    train, train_labels, test, test_labels = expected.hashed("cifar10-python", (3, 32, 32), 10, 3, 10)

    def batch_of(title, images, numbers):
        return {
            b"batch_label": title,
            b"labels": [int(number) for number in numbers],
            b"data": images.reshape(len(images), -1),
            b"filenames": [f"image_s_{index:06}.png".encode() for index in range(len(images))],
        }

    for batch in range(5):
        part = slice(2 * batch, 2 * batch + 2)
        title = f"training batch {batch + 1} of 5".encode()
        python2_pickle(path / f"data_batch_{batch + 1}", batch_of(title, train[part], train_labels[part]))
    python2_pickle(path / "test_batch", batch_of(b"testing batch 1 of 1", test, test_labels))
    python2_pickle(
        path / "batches.meta",
        {
            b"num_cases_per_batch": 2,
            b"label_names": [name.encode() for name in CIFAR10_CLASSES],
            b"num_vis": 3072,
        },
    )


def write_cifar100(expected):
    assert len(set(CIFAR100_FINE)) == 100 and len(set(CIFAR100_COARSE)) == 20
    path = folder("cifar100-binary")
    train, train_labels, test, test_labels = expected.hashed("cifar100-binary", (3, 32, 32), 3, 2, 100)
    for name, images, numbers in (("train", train, train_labels), ("test", test, test_labels)):
        records = (bytes([coarse(n), n]) + image.tobytes() for image, n in zip(images, numbers.tolist()))
        (path / f"{name}.bin").write_bytes(b"".join(records))
    (path / "fine_label_names.txt").write_text("\n".join(CIFAR100_FINE) + "\n")
    (path / "coarse_label_names.txt").write_text("\n".join(CIFAR100_COARSE) + "\n")

    path = folder("cifar100-python")
    train, train_labels, test, test_labels = expected.hashed("cifar100-python", (3, 32, 32), 3, 2, 100)
    for name, title, images, numbers in (
        ("train", b"training batch 1 of 1", train, train_labels),
        ("test", b"testing batch 1 of 1", test, test_labels),
    ):
        python2_pickle(
            path / name,
            {
                b"filenames": [f"image_s_{index:06}.png".encode() for index in range(len(images))],
                b"batch_label": title,
                b"fine_labels": numbers.tolist(),
                b"coarse_labels": [coarse(number) for number in numbers.tolist()],
                b"data": images.reshape(len(images), -1),
            },
        )
    python2_pickle(
        path / "meta",
        {
            b"fine_label_names": [name.encode() for name in CIFAR100_FINE],
            b"coarse_label_names": [name.encode() for name in CIFAR100_COARSE],
        },
    )


def write_svhn(expected):
    path = folder("svhn")
    train, train_labels, test, test_labels = expected.hashed("svhn", (3, 32, 32), 4, 2, 10)
    assert 0 in train_labels and 0 in test_labels
    for name, images, numbers, compressed in (
        ("train", train, train_labels, True),
        ("test", test, test_labels, False),
    ):
        file = path / f"{name}_32x32.mat"
        digits = np.where(numbers == 0, 10, numbers).astype(np.uint8).reshape(-1, 1)
        scipy.io.savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": digits}, do_compression=compressed)
        raw = bytearray(file.read_bytes())
        title = b"MATLAB 5.0 MAT-file, Platform: posix"  # without the date, so that a second run writes the same
        raw[:116] = title.ljust(116)
        file.write_bytes(raw)


def write_stl10(expected):
    path = folder("stl10")
    train, train_labels, test, test_labels = expected.hashed("stl10", (3, 96, 96), 2, 1, 10)
    for name, images, numbers in (("train", train, train_labels), ("test", test, test_labels)):
        (path / f"{name}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())  # columns one after another
        (path / f"{name}_y.bin").write_bytes((numbers + 1).astype(np.uint8).tobytes())
    (path / "class_names.txt").write_text("\n".join(STL10_CLASSES) + "\n")


def write_mnist(expected):
    for name, compressed in (("mnist", True), ("fashion-mnist", False)):
        path = folder(name)
        train, train_labels, test, test_labels = expected.hashed(name, (1, 28, 28), 7, 4, 10)
        for prefix, images, numbers in (("train", train, train_labels), ("t10k", test, test_labels)):
            for kind, header, body in (
                ("images-idx3", struct.pack(">4i", 0x803, len(images), 28, 28), images.tobytes()),
                ("labels-idx1", struct.pack(">2i", 0x801, len(images)), numbers.astype(np.uint8).tobytes()),
            ):
                raw = header + body
                file = path / f"{prefix}-{kind}-ubyte{'.gz' if compressed else ''}"
                file.write_bytes(gzip.compress(raw, mtime=0) if compressed else raw)


def write_folder(expected):
    """Classes and files count in the order of their names: a10 comes before a2. JPEG images are smooth, because
    decoders agree on smooth images to within a few levels; what is expected of them is what Pillow decodes."""
    path = folder("folder")
    height, width = 10, 12
    layout = {
        "train": {"cat": ["a1.png", "a10.jpg", "a2.png"], "dog": ["b1.png", "b2.jpg"]},
        "test": {"cat": ["c1.png"], "dog": ["c1.png", "c2.png"]},
    }
    splits, jpeg = [], {}
    for split, classes in layout.items():
        names = [(number, kind, file) for number, kind in enumerate(sorted(classes)) for file in sorted(classes[kind])]
        values = pixels(f"folder_{split}", (len(names), 3, height, width))
        for index, (_, kind, file) in enumerate(names):
            (path / split / kind).mkdir(parents=True, exist_ok=True)
            target = path / split / kind / file
            if file.endswith(".png"):
                Image.fromarray(values[index].transpose(1, 2, 0)).save(target)
                continue
            y, x = np.mgrid[0:height, 0:width]
            ramps = np.stack([40 + 15 * x, 200 - 12 * y, 60 + 5 * x + 8 * y], 2).astype(np.uint8)
            # One with all colour information, one with the usual halved colour planes.
            Image.fromarray(ramps).save(target, quality=95, subsampling=0 if kind == "cat" else 2)
            jpeg.setdefault(split, []).append(index)
            with Image.open(target) as image:
                values[index] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        splits += [values, np.array([number for number, _, _ in names], dtype=np.int64)]
    expected.add("folder", *splits)
    return jpeg


def write_tensors(expected):
    train, train_labels, test, test_labels = expected.hashed("tensors-u8", (2, 6, 5), 5, 3, 3)
    save_file(
        {
            "train_images": torch.from_numpy(train),
            "train_labels": torch.from_numpy(train_labels),
            "test_images": torch.from_numpy(test),
            "test_labels": torch.from_numpy(test_labels),
        },
        FILES / "tensors-u8.safetensors",
    )
    train = hashed_images("tensors-f32_train", (5, 2, 6, 5))
    test = hashed_images("tensors-f32_test", (3, 2, 6, 5))
    save_file(
        {
            "train_images": train,
            "train_labels": torch.from_numpy(train_labels.astype(np.int32)),
            "test_images": test,
            "test_labels": torch.from_numpy(test_labels.astype(np.int32)),
        },
        FILES / "tensors-f32.safetensors",
    )
    expected.add("tensors-f32", train.numpy(), train_labels, test.numpy(), test_labels)


def main():
    parser = argparse.ArgumentParser(description="Writes the small files that tests/ reads.")
    parser.add_argument("--check", metavar="FILE", help="load a safetensors file and print its logits")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.check:
        check(arguments.check)
        return
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    write_checkpoints()
    expected = Expected()
    write_cifar10(expected)
    write_cifar100(expected)
    write_svhn(expected)
    write_stl10(expected)
    write_mnist(expected)
    jpeg = write_folder(expected)
    write_tensors(expected)
    save_file(expected.tensors, FILES / "expected.safetensors", {"folder.jpeg": json.dumps(jpeg)})
    print("JPEG images in folder:", jpeg, file=sys.stderr)


if __name__ == "__main__":
    main()
