#!/usr/bin/env python3
"""Checks the include order of the folders and the only home of each third-party library.

An include names its own folder or one before it in FOLDERS, by its path from the root. tools may
include all of them, tests and bench tools and each other, too.
"""

import fnmatch
import re

import sources

FOLDERS = ["base", "tls", "net", "http", "upstream", "filters", "router", "dataplane", "proto",
           "xds", "admin", "app"]
ON_TOP = ["tools", "tests", "bench"]

# (what an include starts with, the library, the files that may include it)
HOMES = [
    ("openssl/", "OpenSSL", ["tls/*"]),
    ("boost/", "Boost", ["net/*"]),
    ("ares.h", "c-ares", ["net/*"]),
    ("nghttp2/", "nghttp2", ["http/h2*"]),
    ("re2/", "RE2", ["router/*", "filters/*", "xds/validate*", "admin/*"]),
    ("spdlog/", "spdlog", ["dataplane/log.*", "cmake/spdlog.cc"]),
    ("fmt/", "fmt", ["dataplane/log.*"]),
    ("grpc", "gRPC", ["xds/*", "tools/*"]),
    ("google/protobuf/", "protobuf", ["xds/*", "tools/*"]),
    ("envoy/", "the Envoy protos", ["xds/*", "tools/*"]),
    ("validate/", "the Envoy protos", ["xds/*", "tools/*"]),
    ("opentelemetry/", "the OpenTelemetry protos", ["xds/*", "tools/*"]),
    ("yaml-cpp/", "yaml-cpp", ["xds/*", "tools/*"]),
    ("gtest/", "GoogleTest", []),
    ("gmock/", "GoogleTest", []),
    ("benchmark/", "google-benchmark", []),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def library_problem(name, included):
    """Tests and benches may use every library."""
    if name.startswith(("tests/", "bench/")):
        return None
    for prefix, library, homes in HOMES:
        if included.startswith(prefix) and not included.startswith(tuple(f + "/" for f in FOLDERS)):
            if not any(fnmatch.fnmatch(name, home) for home in homes):
                where = ", ".join(homes) or "tests/ and bench/"
                return f"{included}: {library} lives in {where}"
    return None


def order_problem(name, included):
    own, target = name.split("/")[0], included.split("/")[0]
    if target in ON_TOP and own != target and own not in ("tests", "bench"):
        return f"{included}: nothing includes {target}/"
    if own in FOLDERS and target in FOLDERS and FOLDERS.index(target) > FOLDERS.index(own):
        return f"{included}: {own}/ comes before {target}/"
    return None


def problems_in(name, text):
    found = []
    if name.endswith(".h") and "#pragma once" not in text:
        found.append(f"{name}: no #pragma once")
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        quoted, included = match.group(1) == '"', match.group(2)
        problem = library_problem(name, included) or order_problem(name, included)
        if problem is None and quoted and "/" not in included:
            problem = f"{included}: write the path from the root"
        if problem:
            found.append(f"{name}:{line}: {problem}")
    return found


def check_the_check():
    """Each of these must be found, or let through; otherwise the check proves nothing."""
    bad = [("base/a.cc", '#include "net/loop.h"'), ("http/h1.cc", "#include <nghttp2/nghttp2.h>"),
           ("net/a.h", "#include <openssl/ssl.h>\n#pragma once"), ("base/a.h", "int x;"),
           ("dataplane/worker.cc", "#include <spdlog/spdlog.h>"),
           ("dataplane/a.cc", '#include "envoy/config/a.pb.h"'),
           ("app/main.cc", "#include <grpcpp/grpcpp.h>"), ("base/a.cc", '#include "arena.h"'),
           ("router/a.cc", '#include "tests/oracle/a.h"'), ("base/a.cc", "#  include <re2/re2.h>")]
    good = [("net/a.cc", '#include "base/arena.h"\n#include <boost/asio.hpp>'),
            ("http/h2_codec.cc", "#include <nghttp2/nghttp2.h>"),
            ("dataplane/log.cc", "#include <spdlog/spdlog.h>"),
            ("xds/validate_plan.cc", "#include <re2/re2.h>"),
            ("tests/router/a.cc", '#include "tests/oracle/a.h"\n#include <gtest/gtest.h>')]
    for name, text in bad:
        assert problems_in(name, text), f"not found: {name}: {text}"
    for name, text in good:
        assert not problems_in(name, text), f"wrongly found: {problems_in(name, text)}"


check_the_check()
sources.report([problem for name in sources.files("*.h", "*.cc")
                for problem in problems_in(name, sources.read(name))])
