"""What batches save: the test preset (108 plots of four cities) in batches, and as one run a plot.

    cargo build --release && python3 benches/batches.py [--scale 20] [--jobs 2] [--rounds 3]

The model's start-up takes 17.2 s and a plot 2.07 s, as the real one's do, divided by `--scale`.
Where a Docker daemon answers, runs are containers; otherwise they are processes.
Both ways are taken in turns, each from an empty cache, so that whatever else the machine does meets both alike.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import grid

STARTUP, PLOT = 17.2, 2.07
IMAGE = "jheem-bench-rw-model"


def model(target):
    """Builds the example model, linked statically so that it can be an image of its own."""
    about = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"(?m)^host: (.*)$", about).group(1)
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path",
                    grid.REPOSITORY / "examples/ryan-white/model/Cargo.toml", "--target-dir", target, "--target", host],
                   check=True, env={**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"})
    return target / host / "release/rw-model"


def image(program):
    """An image of the program alone; none where no daemon answers."""
    if shutil.which("docker") is None or subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
        return None
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(program, f"{context}/rw-model")
        shutil.copy(grid.REPOSITORY / "examples/ryan-white/Dockerfile", f"{context}/Dockerfile")
        subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, context], check=True, capture_output=True)
    return IMAGE


def lay(folder, start, alone, scale, simulations):
    """The root's pipeline without its simulations, which are inputs here; one run a plot if asked."""
    text = (grid.REPOSITORY / "Jheemfile.toml").read_text()
    sections = re.split(r"(?m)^(?=\[)", text)
    dropped = ("[step.", "[input.", "[runner.cargo]", "[publish.")
    text = "".join(s for s in sections if not s.startswith(dropped))
    runner = f'{start}\nenv = {{ RW_STARTUP_SECONDS = "{STARTUP / scale}", RW_PLOT_SECONDS = "{PLOT / scale}" }}\n'
    text = text.replace('built_by = "step.model.program"\nknown_by = "sources"\n', runner)
    text = text.replace('"step.base.simset"', '"input.base"').replace('"step.prerun.simset"', '"input.prerun"')
    if alone:
        text = text.replace('file = "jheem-jobs" }', 'file = "jheem-jobs", size = 1 }')
    text += ('\n[input.base]\npath = "simulations/ryan-white/base/{city}_base.Rdata"\n'
             '[input.prerun]\npath = "simulations/ryan-white/prerun/{city}/{scenario}.Rdata"\n')
    folder.mkdir()
    (folder / "Jheemfile.toml").write_text(text)
    shutil.copytree(simulations, folder / "simulations")


def simulate(program, folder):
    """A baseline and every scenario of the four cities."""
    text = (grid.REPOSITORY / "Jheemfile.toml").read_text()
    for city in grid.axis(text, "city"):
        for scenario in ["base", *grid.axis(text, "scenario")]:
            path = f"base/{city}_base.Rdata" if scenario == "base" else f"prerun/{city}/{scenario}.Rdata"
            output = folder / "ryan-white" / path
            output.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([program, "simulate", "--city", city, "--scenario", scenario, "--draws", "20",
                            "--parameters", grid.REPOSITORY / f"examples/ryan-white/parameters/{city}.yaml",
                            "--output", output], check=True, capture_output=True)


def build(jheem, folder, jobs):
    """Seconds and runs of a build from nothing."""
    begun = time.perf_counter()
    done = subprocess.run([jheem, "build", "--format", "json", "--jobs", str(jobs)], cwd=folder,
                          capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    end = json.loads(done.stdout.splitlines()[-1])
    if not end.get("ok") or end["targets"]["built"] != 108:
        raise SystemExit(f"the build went wrong: {end}\n{done.stderr}")
    return seconds, end["runs"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jheem", default=grid.REPOSITORY / "target/release/jheem", type=pathlib.Path)
    arguments.add_argument("--scale", default=20, type=float)
    arguments.add_argument("--jobs", default=2, type=int)
    arguments.add_argument("--rounds", default=3, type=int)
    given = arguments.parse_args()
    jheem = str(given.jheem.resolve())
    with tempfile.TemporaryDirectory(prefix="jheem-bench-") as temporary:
        temporary = pathlib.Path(temporary)
        program = model(grid.REPOSITORY / "target/model/static")
        simulate(program, temporary / "simulations")
        tag = image(program)
        # jheem knows a program by its bytes wherever it lies, but it must lie in the project.
        start = (f'image = "{tag}"\ndirs = {{ "/app/simulations" = "simulations", "/app/plots" = "plots", '
                 '"/app/configs" = "{batch}" }') if tag else 'program = "./rw-model"'
        print(f"{'containers' if tag else 'processes'}, start-up {STARTUP / given.scale:.2f} s, "
              f"a plot {PLOT / given.scale:.3f} s, {given.jobs} at once, {given.rounds} rounds in turns\n", flush=True)
        ways = {"in batches": False, "one run a plot": True}
        measured = {way: [] for way in ways}
        for round in range(given.rounds):
            for way, alone in ways.items():
                folder = temporary / f"{way.replace(' ', '-')}-{round}"
                lay(folder, start, alone, given.scale, temporary / "simulations")
                shutil.copy(program, folder / "rw-model")
                measured[way].append(build(jheem, folder, given.jobs))
        print(f"{'':16}{'runs':>6}{'median s':>10}{'best s':>10}{'/ batches':>11}")
        for way, runs in measured.items():
            ratio = statistics.median(a[0] / b[0] for a, b in zip(runs, measured["in batches"]))
            print(f"{way:16}{runs[-1][1]:6}{statistics.median(r[0] for r in runs):10.2f}"
                  f"{min(r[0] for r in runs):10.2f}{ratio:11.2f}")


if __name__ == "__main__":
    main()
