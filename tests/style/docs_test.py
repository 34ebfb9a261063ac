#!/usr/bin/env python3
"""What the documents name exists: files, tests, functions and the reason codes they list."""

import re

import sources

DOCUMENTS = ["README.md", *sources.files("docs/*.md")]
# Printed from a table, or only here by way of example.
NOT_OURS = {"docs/config_support.md"}
EXAMPLES = {"Suite.Name"}

PATH = re.compile(r"(?:[\w-]+/)+[\w*.-]*|[\w-]+\.(?:h|cc|py|md|pml|json|yaml)")
TEST = re.compile(r"[A-Z]\w+\.(?:\*|[A-Z]\w+)")
FUNCTION = re.compile(r"([A-Z]\w+)::(\w+)")
TOP = {name.split("/")[0] for name in sources.files("*") if "/" in name}

TESTS = set()
for file in sources.files("tests/*.cc"):
    for suite, name in re.findall(r"^\w*TEST\w*\((\w+),\s*(\w+)\)?", sources.read(file), re.M):
        TESTS.add(f"{suite}.{name}")
WORDS = set()
for file in sources.files("*.h", "*.cc"):
    if not file.startswith("tests/"):
        WORDS.update(re.findall(r"\w+", sources.read(file)))


def has_test(name):
    if name.endswith("*"):
        return any(test.startswith(name[:-1]) for test in TESTS)
    return name in TESTS


def has_path(name):
    if name.split("/")[0] not in TOP:
        return True  # an address, a flag's value, a product of the build
    return any((sources.ROOT).glob(name.rstrip("/")))


def problems_in(document, text):
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if PATH.fullmatch(quoted) and "/" in quoted and not has_path(quoted):
            yield f"{document}: no such file: {quoted}"
        if TEST.fullmatch(quoted) and quoted not in EXAMPLES and not has_test(quoted):
            yield f"{document}: no such test: {quoted}"
        for owner, name in FUNCTION.findall(quoted):
            if not {owner, name} <= WORDS:
                yield f"{document}: no such function: {owner}::{name}"


def check_the_check():
    assert list(problems_in("x", "`base/no_such.h` `RouteTable::no_such` `H1Cases.NoSuchCase`"))
    assert not list(problems_in("x", "`base/hazard.h` `tests/fuzz/*_fuzz.cc` `RouteTable::match`"))


check_the_check()
problems = []
for file in DOCUMENTS:
    if file not in NOT_OURS:
        problems += problems_in(file, sources.read(file))
sources.report(problems)
