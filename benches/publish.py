"""How long it takes to publish everything, beside `s5cmd` uploading the same files to the same server.

    cargo build --release && python3 benches/publish.py --s3 URL --dynamodb URL [--pairs 3] [--cities 31] [--size 21000] [--folder F]

Builds the grid once, as if every one of its 62,496 cells could exist, then publishes the plots to a new bucket and
their rows to a new table, and has `s5cmd` copy the same files to another new bucket, in turns. jheem writes the rows
too, and its manifest; s5cmd only the objects. Then publishes again, with nothing changed, and counts the requests.
`aws`, if it is there, does 20 of each one process at a time, as the
original pipeline did; that is multiplied.
`AWS_ACCESS_KEY_ID` and its like are those of the servers.
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


def timed(command, **how):
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - begun, done.stdout


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jheem", default=grid.REPOSITORY / "target/release/jheem", type=pathlib.Path)
    arguments.add_argument("--s5cmd", default="s5cmd")
    arguments.add_argument("--s3", required=True)
    arguments.add_argument("--dynamodb", required=True)
    arguments.add_argument("--pairs", default=3, type=int)
    arguments.add_argument("--cities", default=31, type=int)
    arguments.add_argument("--size", default=21_000, type=int, help="bytes of a plot")
    arguments.add_argument("--folder", type=pathlib.Path)
    given = arguments.parse_args()
    folder = given.folder or pathlib.Path(tempfile.mkdtemp(prefix="jheem-publish-"))
    environment = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", **os.environ,
                   "AWS_ENDPOINT_URL_S3": given.s3, "AWS_ENDPOINT_URL_DYNAMODB": given.dynamodb}
    environment.setdefault("AWS_ENDPOINT_URL", given.dynamodb)
    jheem = str(given.jheem.resolve())
    if not (folder / "Jheemfile.toml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        grid.lay(folder, published="afar", cities=given.cities, size=given.size)
        whole(folder / "Jheemfile.toml")
        timed([jheem, "build", "plot.rw", "--jobs", "2", "--quiet"], cwd=folder, env=environment)
    plots = sorted(path for path in (folder / "plots").glob("*/*/*.json") if not path.name.endswith("_metadata.json"))
    flat = folder / "flat"
    if not flat.exists():
        for path in plots:
            to = flat / path.relative_to(folder / "plots")
            to.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, to)
    text = (folder / "Jheemfile.toml").read_text()
    ours, theirs = [], []
    for pair in range(given.pairs):
        name = f"jheem-bench-{os.getpid()}-{pair}"
        (folder / "bench.toml").write_text(
            text.replace("jheem-test-tiny-bucket", name).replace("dynamodb://jheem-test-tiny", f"dynamodb://{name}"))
        bench = [jheem, "--file", "bench.toml"]
        timed(bench + ["provision"], cwd=folder, env=environment)
        timed([given.s5cmd, "--endpoint-url", given.s3, "mb", f"s3://{name}-s5cmd"], env=environment)
        seconds, said = timed(bench + ["--format", "json", "publish"], cwd=folder, env=environment)
        finished = json.loads(said.splitlines()[-1])
        ours.append(seconds)
        seconds, _ = timed([given.s5cmd, "--endpoint-url", given.s3, "cp", f"{flat}/", f"s3://{name}-s5cmd/"], env=environment)
        theirs.append(seconds)
        print(f"pair {pair + 1}: jheem {ours[-1]:.1f} s for {finished['published']['objects']} objects and "
              f"{finished['published']['rows']} rows; s5cmd {theirs[-1]:.1f} s for {len(plots)} objects; "
              f"ratio {ours[-1] / theirs[-1]:.2f}", flush=True)
        seconds, said = timed(bench + ["--format", "json", "publish"], cwd=folder, env=environment)
        events = [json.loads(line) for line in said.splitlines()]
        asked = [event["requests"] for event in events if event["event"] == "requests"]
        print(f"  again, with nothing changed: {seconds:.2f} s, requests {asked}", flush=True)
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(f"median: jheem {statistics.median(ours):.1f} s, s5cmd {statistics.median(theirs):.1f} s, "
          f"paired ratio {statistics.median(ratios):.2f}")
    if shutil.which("aws"):
        one_by_one(plots[:20], name, given, environment, len(plots), statistics.median(ours))
    if given.folder is None:
        shutil.rmtree(folder)


def whole(jheemfile):
    """Every cell can exist, and only plots are published."""
    text = re.sub(r"(?m)^\[\[plot\.rw\.absent\]\].*\n(.*=.*\n)+", "", jheemfile.read_text())
    text = re.sub(r"(?m)^\[publish\.plots\.object\.metadata\]\n(.*=.*\n)+", "", text)
    jheemfile.write_text(text)


def one_by_one(some, name, given, environment, count, ours):
    """One process for each object and for each row, as the original pipeline does it."""
    begun = time.perf_counter()
    for path in some:
        key = "/".join(path.parts[-3:])
        item = {"city_scenario": {"S": path.parts[-3]}, "outcome_stat_facet": {"S": path.name}}
        timed(["aws", "--endpoint-url", given.s3, "s3", "cp", str(path), f"s3://{name}-s5cmd/one/{key}"], env=environment)
        timed(["aws", "--endpoint-url", given.dynamodb, "dynamodb", "put-item", "--table-name", name,
               "--item", json.dumps(item)], env=environment)
    seconds = (time.perf_counter() - begun) / len(some) * count
    print(f"one process for each: {seconds:.0f} s for all of them, {seconds / ours:.0f} times jheem's")


if __name__ == "__main__":
    main()
