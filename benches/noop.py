"""How long it takes to find out that nothing is to be done, beside Ninja on the same files.

    cargo build --release && python3 benches/noop.py [--pairs 15] [--cities 31] [--folder F]

Builds the full grid once (62,496 cells, 44,361 plots of two tiny files; some minutes), then runs
`jheem` and `ninja` in turns, so that whatever else the machine does meets both alike, and
prints the medians, the median of the paired ratios, and peak memory. `--folder` keeps the grid
and takes it up again. Without Ninja it measures jheem alone.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import grid


def run(command, folder):
    """Wall seconds, processor seconds and peak MiB of a command that must end well."""
    null = os.open(os.devnull, os.O_WRONLY)
    begun = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=null, stderr=null)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    os.close(null)
    if child.returncode != 0:
        raise SystemExit(f"{command} ended with code {child.returncode} in {folder}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jheem", default=grid.REPOSITORY / "target/release/jheem", type=pathlib.Path)
    arguments.add_argument("--pairs", default=15, type=int)
    arguments.add_argument("--cities", default=None, type=int, help="a smaller grid")
    arguments.add_argument("--folder", default=None, type=pathlib.Path)
    given = arguments.parse_args()
    jheem = str(given.jheem.resolve())
    with tempfile.TemporaryDirectory(prefix="jheem-bench-") as temporary:
        folder = given.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "Jheemfile.toml").exists():
            grid.lay(folder, cities=given.cities)
        begun = time.perf_counter()
        # The second run hashes what was too young to be trusted by its times; the third is like all later ones.
        for _ in range(3):
            run([jheem, "build", "--quiet"], folder)
        print(f"prepared in {time.perf_counter() - begun:.0f} s", flush=True)
        commands = {
            "jheem plot.rw": [jheem, "build", "--quiet", "plot.rw"],
            "jheem, with publishing": [jheem, "build", "--quiet"],
            "jheem plan": [jheem, "plan", "--quiet"],
        }
        ninja = shutil.which("ninja")
        if ninja:
            if not (folder / "build.ninja").exists():
                grid.ninja(folder)
            run([ninja, "--quiet"], folder)
            commands["ninja"] = [ninja, "--quiet"]
        else:
            print("ninja is not installed: jheem is measured alone")
        measured = {name: [] for name in commands}
        for _ in range(given.pairs):
            for name, command in commands.items():
                measured[name].append(run(command, folder))
        plots = sum(1 for _ in (folder / "plots").glob("*/*/*_metadata.json"))
        print(f"{plots} plots, {2 * plots} files, {given.pairs} runs of each, in turns\n")
        print(f"{'':24}{'median s':>10}{'best s':>10}{'cpu s':>10}{'MiB':>8}{'/ ninja':>10}")
        for name, runs in measured.items():
            seconds = [r[0] for r in runs]
            ratio = ""
            if ninja:
                ratio = f"{statistics.median(a[0] / b[0] for a, b in zip(runs, measured['ninja'])):.2f}"
            print(f"{name:24}{statistics.median(seconds):10.3f}{min(seconds):10.3f}"
                  f"{statistics.median(r[1] for r in runs):10.3f}{max(r[2] for r in runs):8.0f}{ratio:>10}")


if __name__ == "__main__":
    main()
