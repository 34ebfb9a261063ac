"""The files of this repository, tracked or about to be, for the style checks."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(*patterns):
    """Paths relative to the root that match one of the patterns, e.g. '*.h'."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    names = sorted(set(listing.decode().split("\0")) - {""})
    return [name for name in names if (ROOT / name).is_file()]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def report(problems):
    """Prints problems and ends the program accordingly."""
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    raise SystemExit(1 if problems else 0)
