"""Times this program against PyTorch: the same networks, weights, data and points, one machine.

    python benches/against_pytorch.py [CASE ...]

needs torch, numpy and a release build of the program (cargo build --release), on Linux or macOS.
`valleyscope bench CASE --json` says what it measured, PyTorch then does the same, and the two take
turns `--repeats` times. Each side counts with its best rate, PyTorch with the faster of two memory
layouts. Weights, statistics, images and labels come from the integer hash of
tests/reference/make_models.py, which both sides repeat to the bit; where the losses differ all the
same, the script says so and exits with status 1.

A line is timed in points a second: write the point's parameters into the network, under
`recompute` pass over the images once for the statistics, then take loss and accuracy over the
images. A training step is forward, loss, backward and SGD with momentum and weight decay. PyTorch
runs eagerly, with as many threads as the program, and evaluates in inference mode.
"""

import argparse
import functools
import json
import math
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True  # the import leaves nothing behind in the tests' folder
sys.path.insert(0, str(ROOT / "tests" / "reference"))
import make_models as models  # noqa: E402

CASES = ("demo", "preresnet20", "vgg16", "densenet100")
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
INTERVALS = 40  # point i of a line lies at i / INTERVALS
PATIENCE = 6.0  # seconds after which one turn at one task starts no further point or step
STEPS = 60  # training steps of a turn, at most
WARM_UP_STEPS = 3
TOLERANCE = 1e-4  # relative difference of losses
REPORT_KEYS = {"device", "threads", "peak_gflops", "version", "measurements"}
MEASUREMENT_KEYS = {"case", "model", "input", "classes", "task", "policy", "points", "images"}
MEASUREMENT_KEYS |= {"batch_size", "rate", "multiply_adds", "loss"}
# A child's peak memory starts at that of the process that starts it, here PyTorch's: hence a small
# process between the two, which adds the peak in the system's unit as a last line of errors.
LAUNCHER = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
MEMORY_UNITS_IN_MIB = 2**20 if sys.platform == "darwin" else 2**10


def find_binary(given):
    """The program's path: the given one, the usual one, or the one where cargo builds."""
    binary = given or ROOT / "target" / "release" / "valleyscope"
    if given is None and not binary.is_file():
        command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
        try:
            answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"{binary} is missing and cargo failed ({error}); give the path with --binary")
        target = pathlib.Path(json.loads(answer.stdout)["target_directory"])
        binary = target / "release" / "valleyscope"
    if not binary.is_file():
        sys.exit(f"{binary} is missing: run cargo build --release, or give the path with --binary")
    return binary.resolve()


def run_ours(binary, case):
    """What the program reports on a case, and its peak memory in MiB."""
    command = [str(binary), "bench", case, "--json", "--device", "cpu"]
    launched = [sys.executable, "-c", LAUNCHER, *command]
    answer = subprocess.run(launched, capture_output=True, text=True)
    shown = " ".join(command)
    if answer.returncode != 0:
        sys.exit(f"{shown} failed:\n{answer.stderr}")
    try:
        report = json.loads(answer.stdout)
        missing = REPORT_KEYS - report.keys()
        for measurement in report.get("measurements", []):
            missing |= MEASUREMENT_KEYS - measurement.keys()
    except (ValueError, AttributeError) as error:
        sys.exit(f"{shown} did not print the JSON document that this script reads: {error}")
    if missing:
        sys.exit(f"{shown} did not print {', '.join(sorted(missing))}; is it of another version?")
    if report["threads"] != torch.get_num_threads():
        sys.exit(
            f"the program has {report['threads']} threads, PyTorch {torch.get_num_threads()}: "
            "set RAYON_NUM_THREADS and OMP_NUM_THREADS to the same number"
        )
    return report, int(answer.stderr.splitlines()[-1]) / MEMORY_UNITS_IN_MIB


@functools.cache
def hashed_solutions(model, shape, classes):
    """Parameters and statistics of the two solutions."""
    network = models.build(model, shape, classes)
    return models.hashed_state(network, 1), models.hashed_state(network, 2)


@functools.cache
def hashed_data(shape, classes, count):
    """The first training images and their labels."""
    images = models.hashed_images("train_images", (count, *shape))
    return images, models.hashed_labels("train_labels", count, classes)


def prepare(measurement, layout):
    """The network in a memory layout, its two solutions, the data by batches (a step's is one)."""
    model, classes = measurement["model"], measurement["classes"]
    shape = tuple(measurement["input"])
    size = measurement["batch_size" if measurement["task"] == "line" else "images"]
    network = models.build(model, shape, classes).to(memory_format=LAYOUTS[layout])
    images, labels = hashed_data(shape, classes, measurement["images"])
    images = images.contiguous(memory_format=LAYOUTS[layout])
    batches = list(zip(images.split(size), labels.split(size)))
    return network, hashed_solutions(model, shape, classes), batches


def recompute_statistics(network, layers, batches):
    """One pass in which b images after n others enter the statistics with momentum b / (n + b)."""
    network.train()
    seen = 0
    for images, _ in batches:
        seen += len(images)
        for layer in layers:
            layer.momentum = len(images) / seen
        network(images)


def evaluate(network, batches):
    """Mean loss and accuracy."""
    network.eval()
    loss = correct = count = 0
    for images, labels in batches:
        logits = network(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(1) == labels).sum().item()
        count += len(labels)
    return loss / count, correct / count


def time_line(measurement, layout):
    """Points a second, and the loss at the first point."""
    network, (first, second), batches = prepare(measurement, layout)
    layers = models.batch_norm_layers(network)
    parameters = list(network.parameters())
    models.load(network, second)
    end = [parameter.detach().clone() for parameter in parameters]
    models.load(network, first)
    start = [parameter.detach().clone() for parameter in parameters]

    def measure_point(index):
        for parameter, here, there in zip(parameters, start, end):
            torch.lerp(here, there, index / INTERVALS, out=parameter)
        if measurement["policy"] == "recompute":
            recompute_statistics(network, layers, batches)
        return evaluate(network, batches)

    with torch.inference_mode():
        loss, _ = measure_point(0)  # warms up, too
        count, seconds = 0, 0.0
        before = time.perf_counter()
        while count < measurement["points"] and seconds < PATIENCE:
            measure_point(count)
            count += 1
            seconds = time.perf_counter() - before
    return count / seconds, loss


def time_training_step(measurement, layout):
    """Steps a second by the median step, and the loss of the first step."""
    network, (first, _), [(images, labels)] = prepare(measurement, layout)
    models.load(network, first)
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=3e-4)
    losses, times = [], []
    while len(times) < WARM_UP_STEPS + STEPS and sum(times[WARM_UP_STEPS:]) < PATIENCE:
        before = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        times.append(time.perf_counter() - before)
    return 1.0 / statistics.median(times[WARM_UP_STEPS:]), losses[0]


TIMERS = {
    ("line", "running"): time_line,
    ("line", "recompute"): time_line,
    ("training step", "batch"): time_training_step,
}


def compare(case, binary, repeats):
    """Both sides by turns: the program's reports, the rates at each task, wrong losses."""
    reports, comparisons, wrong = [], {}, {}
    for repeat in range(1, repeats + 1):
        report, memory = run_ours(binary, case)
        reports.append(report)
        for measurement in report["measurements"]:
            key = task, policy = measurement["task"], measurement["policy"]
            if key not in TIMERS:
                sys.exit(f"{case}: this script does not know the task {task} under {policy}")
            where = f"{case}, {task}, {policy}"
            new = {name: measurement[name] for name in ("case", "task", "policy", "multiply_adds")}
            new |= {"ours": [], "pytorch": {layout: [] for layout in LAYOUTS}, "memory_mib": 0.0}
            comparison = comparisons.setdefault(key, new)
            comparison["ours"].append(measurement["rate"])
            comparison["memory_mib"] = max(comparison["memory_mib"], memory)
            for layout, rates in comparison["pytorch"].items():
                rate, loss = TIMERS[key](measurement, layout)
                rates.append(rate)
                expected = math.nan if measurement["loss"] is None else measurement["loss"]
                if not math.isclose(loss, expected, rel_tol=TOLERANCE):
                    wrong[key, layout] = f"{where}: {expected}, PyTorch {loss} ({layout})"
            fastest = max(rates[-1] for rates in comparison["pytorch"].values())
            said = f"{measurement['rate']:.2f} a second, PyTorch {fastest:.2f}"
            print(f"{where}, turn {repeat} of {repeats}: {said}", file=sys.stderr, flush=True)
    return reports, list(comparisons.values()), list(wrong.values())


def processor():
    """The processor's name."""
    information = pathlib.Path("/proc/cpuinfo")
    for line in information.read_text().splitlines() if information.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def row(comparison, peak):
    """A comparison's cells in the table."""
    ours = max(comparison["ours"])
    pytorch, layout = max((max(rates), name) for name, rates in comparison["pytorch"].items())
    unit = "points/s" if comparison["task"] == "line" else "steps/s"
    cells = [comparison["case"], comparison["task"], comparison["policy"]]
    for rate in (ours, pytorch):
        share = f"{2e-9 * comparison['multiply_adds'] * rate / peak:.0%}" if peak else "-"
        cells += [f"{rate:.2f} {unit}", share]
    return [*cells, layout, f"{ours / pytorch:.2f}", f"{comparison['memory_mib']:.0f} MiB"]


def table(comparisons, peak, markdown):
    """The comparisons as lines of text."""
    header = ["case", "task", "batch norm", "Valleyscope", "of peak", "PyTorch", "of peak"]
    header += ["layout", "ratio", "our memory"]
    to_the_left = [name in ("case", "task", "batch norm", "layout") for name in header]
    rows = [row(comparison, peak) for comparison in comparisons]
    if markdown:
        rule = [":--" if left else "--:" for left in to_the_left]
        return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    return [
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(cells, widths, to_the_left)
        )
        for cells in (header, *rows)
    ]


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"all of {', '.join(CASES)}")
    parser.add_argument("--binary", type=pathlib.Path, help="the program (the release build)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side (3)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="keep the numbers, too")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error("--repeats must be at least 1")
    return arguments


def main():
    """Compares the cases and prints the table; gives the exit status."""
    arguments = parse_arguments()
    binary = find_binary(arguments.binary)
    reports, comparisons, wrong = [], [], []
    for case in arguments.cases or CASES:
        case_reports, case_comparisons, case_wrong = compare(case, binary, arguments.repeats)
        reports += case_reports
        comparisons += case_comparisons
        wrong += case_wrong
    summary = {
        "processor": processor(),
        "threads": reports[0]["threads"],
        "peak_gflops": max(report["peak_gflops"] or 0.0 for report in reports),
        "device": reports[0]["device"],
        "version": reports[0]["version"],
        "torch": torch.__version__,
    }
    peak = summary["peak_gflops"]
    shown_peak = f"measured peak {peak:.0f} GFLOP/s" if peak else "peak unknown"
    print(f"{summary['processor']}, {summary['threads']} threads, {shown_peak}")
    print(f"Valleyscope {summary['version']}, {summary['device']}; PyTorch {summary['torch']}\n")
    print("\n".join(table(comparisons, peak, arguments.markdown)))
    if arguments.json:
        numbers = summary | {"comparisons": comparisons, "wrong_losses": wrong}
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")
    for line in wrong:
        print(f"*** WRONG LOSS *** {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
