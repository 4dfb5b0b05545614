"""The full grid of the original pipeline in a folder, with a program that writes tiny files in place of the model.

Reads `examples/original/Jheemfile.toml` and changes only what is run and where it is published.
Knows nothing of measuring.
"""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

# Writes what the audit of the example asks for, for every cell of the jobs file.
MODEL = '''#!/usr/bin/env python3
import itertools, json, os, sys

SIZE = 0
out = sys.argv[sys.argv.index("--output-dir") + 1]
config = sys.argv[sys.argv.index("--config") + 1]
jobs = []
for line in open(config):
    line = line.rstrip()
    if line == "jobs:":
        continue
    if line.startswith("  - "):
        jobs.append({})
    field, value = line[4:].split(": ", 1)
    value = json.loads(value)
    jobs[-1][field] = value if isinstance(value, list) else [value]
for job in jobs:
    fields = list(job.values())
    for city, scenario, outcome, statistic, facet in itertools.product(*fields):
        print(f"GENERATING: {city}/{scenario}/{outcome} ({statistic}, {facet})", flush=False)
        part = "unfaceted" if facet == "none" else f"facet_{facet}"
        folder = os.path.join(out, city, scenario)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{outcome}_{statistic}_{part}")
        name = "/".join([city, scenario, outcome, statistic, facet])
        with open(path + ".json", "w") as file:
            text = name.ljust(SIZE, "x")
            json.dump({"data": [{"x": [2025], "y": [len(name)], "name": text}], "layout": {}}, file)
        with open(path + "_metadata.json", "w") as file:
            json.dump({"city": [city], "scenario": [scenario], "outcome": [outcome], "statistic_type": [statistic],
                       "facet_choice": [facet], "has_baseline": [True]}, file)
'''


def axis(text, name):
    """The values of an axis of the example."""
    block = re.search(rf'\[axis\.{name}\]\nvalues = \[(.*?)\n?\]', text, re.S).group(1)
    return re.findall(r'"([^"]+)"', block)


def lay(folder, published=True, cities=None, size=0):
    """Writes the Jheemfile, the program and the simulation files; with fewer cities or larger plots if asked.

    Published to folders beside it, or `"afar"`: to the bucket and the table of the example.
    """
    text = (REPOSITORY / "examples/original/Jheemfile.toml").read_text()
    names = axis(text, "city")
    runner = '[runner.model]\nprogram = "./model.py"\npass_env = ["PATH"]\nexit = { partial = [1] }\n'
    text, changed = re.subn(r'\[runner\.model\]\n.*?(?=\[runner\.model\.log\])', lambda _: runner, text, flags=re.S)
    assert changed == 1, "the example's runner is written otherwise"
    text, changed = re.subn(r'(?m)^source = "s3:.*\n', "", text)
    assert changed == 2, "the example's inputs are written otherwise"
    # The local destinations take the place of the remote ones; without them nothing is published.
    start = text.index("# --- Where they go")
    publishing, profile = text[start:].split("# --- The same on this machine")
    if published is True:
        publishing = publishing.replace('"s3://jheem-test-tiny-bucket/github_actions_integration"', '"file:site"')
        publishing = publishing.replace('"dynamodb://jheem-test-tiny"', '"sqlite:site/plots.db"')
    text = text[:start] + (publishing if published else "")
    text = text.replace('default = ["plot.rw"]\n', "")
    if cities is not None:
        text = re.sub(r'(\[axis\.city\]\nvalues = )\[.*?\n\]',
                      lambda found: found.group(1) + "[" + ", ".join(f'"{c}"' for c in names[:cities]) + "]",
                      text, count=1, flags=re.S)
        text = re.sub(r'\[axis\.city\.set\.\w+\]\nvalues = .*\n', "", text)
        text = re.sub(r'(?ms)^\[preset\..*?(?=^# ---)', "", text)
        names = names[:cities]
    (folder / "Jheemfile.toml").write_text(text)
    (folder / "model.py").write_text(MODEL.replace("SIZE = 0", f"SIZE = {size}"))
    (folder / "model.py").chmod(0o755)
    simulations = folder / "simulations/ryan-white"
    for city in names:
        (simulations / "prerun" / city).mkdir(parents=True)
        (simulations / "base").mkdir(exist_ok=True)
        (simulations / "base" / f"{city}_base.Rdata").write_text(city)
        for scenario in axis(text, "scenario"):
            (simulations / "prerun" / city / f"{scenario}.Rdata").write_text(f"{city} {scenario}")


def ninja(folder):
    """Writes a `build.ninja` over the very files that stand in the folder; its commands do nothing."""
    lines = ["rule plot", "  command = true", ""]
    for metadata in sorted((folder / "plots").glob("*/*/*_metadata.json")):
        metadata = str(metadata.relative_to(folder))
        plot = metadata.removesuffix("_metadata.json") + ".json"
        _, city, scenario, _ = plot.split("/")
        simulations = "simulations/ryan-white"
        lines.append(f"build {plot} {metadata}: plot "
                     f"{simulations}/base/{city}_base.Rdata {simulations}/prerun/{city}/{scenario}.Rdata")
    (folder / "build.ninja").write_text("\n".join(lines) + "\n")
