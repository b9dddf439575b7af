"""How fast, and in how much memory, a large checkpoint is read symbolically.

    OMP_NUM_THREADS=1 python benchmarks/pickles.py

Writes a pickle as NVIDIA's code does, with random weights under the names and shapes of the published 1024 px StyleGAN2
(G, D and G_ema: 370 MB), and the same tensors as a torch file. Each is then read several times, in a fresh process each
time, and the median is given: seconds, processor seconds, and the most memory that was resident above what the imports
took, over the file's size (from the kernel; Linux). `torch.load` stands beside, for the torch file that it can read
without executing anything. The last row converts the pickle to a model folder: reading, converting, writing G_ema and
both players, hashing. The file is in the system's cache: what is measured is reading, not the disk.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parents[1] / "tests"
READERS = {
    "ganzoo, pickle": ("network.pkl", "from ganzoo.layouts import open_file as read"),
    "ganzoo, torch file": ("network.pth", "from ganzoo.layouts import open_file as read"),
    "torch.load, torch file": (
        "network.pth",
        "import functools, torch; read = functools.partial(torch.load, weights_only=True)",
    ),
    "ganzoo, converted": (
        "network.pkl",
        "import ganzoo, ganzoo.layouts, ganzoo.training.saving, ganzoo.families.stylegan2\n"
        "ganzoo.layouts.layouts()\n"
        "read = lambda path: ganzoo.convert(path, to=Path(path).parent / 'model')",
    ),
}
MEASURE = """
import json, sys, time
from pathlib import Path
import torch
{importing}

def resident(key):
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)

torch.zeros(4).numpy()
before = resident("VmRSS")
wall, cpu = time.perf_counter(), time.process_time()
kept = read(sys.argv[1])
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, resident("VmHWM") - before]))
"""


def write(folder: Path, table: str) -> None:
    """The two files, of equal tensors."""
    sys.path.insert(0, str(TESTS))
    import parity_files

    networks = {
        name: ("Discriminator" if name == "D" else "Generator", {"z_dim": 512}, parity_files.from_table(tensors, seed))
        for seed, (name, tensors) in enumerate(parity_files.keys(table).items())
    }
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for _, _, tensors in networks.values():  # the one constant that is checked when StyleGAN2 is converted
        tensors |= {name: torch.outer(taps, taps) for name in tensors if name.endswith("resample_filter")}
    networks["G"] = networks["G_ema"]  # a module of its own in the file, with bytes of its own
    parity_files.write_nvidia(folder / "network.pkl", networks)
    torch.save(
        {name: {key: value.clone() for key, value in tensors.items()} for name, (_, _, tensors) in networks.items()},
        folder / "network.pth",
    )


def main() -> None:
    """Writes, reads and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="stylegan2_ada.ffhq1024", help="names and shapes: a fixture's keys.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result here too")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), options.table)
        for title, (file, importing) in READERS.items():
            path = Path(name, file)
            size = path.stat().st_size
            command = [sys.executable, "-c", MEASURE.format(importing=importing), str(path)]
            rounds = [
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                for _ in range(options.rounds + 1)
            ][1:]  # the first brings the file into the cache
            wall, cpu, peak = (statistics.median(values) for values in zip(*rounds, strict=True))
            results[title] = {"size": size, "seconds": wall, "cpu": cpu, "peak": peak, "memory": peak / size}
            print(f"{title:24} {size / 1e6:6.0f} MB {wall:7.2f} s {cpu:7.2f} cpu-s {peak / size:6.2f} x its size")
    facts = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    if options.json:
        options.json.write_text(json.dumps({"results": results, **facts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
