#!/usr/bin/env python3
"""Nothing is committed that belongs to one machine: registries' addresses, paths, merge marks."""

import re

import sources

# Written in pieces, so that this file passes its own check.
HOSTS = [("registry.npm", "js.org"), ("registry.yarn", "pkg.com"), ("py", "pi.org"),
         ("python", "hosted.org"), ("crates", ".io"), ("proxy.golang", ".org"),
         ("deb.debian", ".org"), ("docker", ".io"), ("ghcr", ".io"), ("quay", ".io"),
         ("arti", "factory")]
FORBIDDEN = [
    (re.compile("|".join(re.escape(a + b) for a, b in HOSTS)), "address of a package registry"),
    (re.compile(r"(?<![\w.*}])/(?:home|root|work|Users)/\w"), "path of somebody's machine"),
    (re.compile(r"(?<!\w)/tmp/build-\w"), "path of somebody's machine"),
    (re.compile(r"^(?:<{7} |>{7} |={7}$)", re.MULTILINE), "merge mark"),
    (re.compile(r"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----\n"), "private key"),
]
LARGEST = 512 * 1024


def problems_in(name, text):
    found = []
    for pattern, what in FORBIDDEN:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name}:{line}: {what}: {match.group(0).strip()}")
    return found


def check_the_check():
    for a, b in HOSTS:
        assert problems_in("x", f"https://{a + b}/y")
    assert problems_in("x", "cd " + "/wo" + "rk/main")
    assert not problems_in("x", "a/home/b ./work/x /workers/")


check_the_check()
problems = []
for file in sources.files("*"):
    if (sources.ROOT / file).stat().st_size > LARGEST:
        problems.append(f"{file}: larger than {LARGEST} bytes")
    problems += problems_in(file, sources.read(file))
sources.report(problems)
