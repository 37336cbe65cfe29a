#!/usr/bin/env python3
"""Checks that every include follows the layers, and that what is linked follows them too.

usage: check_layers.py [--root DIR]        the includes of the sources below DIR (default: this repository)
       check_layers.py --programs BIN_DIR  the libraries that the built programs load

Exit status 1 and one line for each violation: file, line, include, the rule it breaks.
"""
import argparse
import os
import re
import subprocess
import sys

# Low to high: a folder may include itself and what stands before it.
CORE = ["base", "io", "storage", "format", "manifest", "spec", "text", "vision", "backend", "models", "artifact", "prompt", "engine", "calibration",
        "evaluation", "quant", "export", "jobs"]
SOURCE = (".cc", ".h", ".cu", ".cuh", ".cpp", ".hpp")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

GRPC = re.compile(r"^(grpc|grpcpp|grpc\+\+|google/(protobuf|rpc|longrunning)|gwq/v1)/|\.pb\.h$")
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
SQLITE = re.compile(r"^sqlite3")
TORCH_FOLDERS = ("core/backend/torch/", "tests/core/backend/torch/")
SQLITE_FOLDERS = ("core/jobs/", "tests/core/jobs/", "tests/support/fault_vfs")
OWN = re.compile(r"^(core|server|client|proto|tests)/")
# Implementations of the backend interface: who may name one, apart from itself, the programs and the tests.
BACKENDS = {"core/backend/torch/": ("core/calibration/",), "core/backend/cpu/": ("core/backend/registry",)}
# What the client may know of the core: it links no backend.
CLIENT_ROOMS = ("base", "io", "storage", "format", "manifest", "spec", "vision")
# Programs that must start and serve without LibTorch.
WITHOUT_TORCH = ("gwq", "gwq-jobs", "gwq-infer")


def core_rank(path):
    parts = path.split("/")
    return CORE.index(parts[1]) if len(parts) > 2 and parts[0] == "core" and parts[1] in CORE else None


def broken_rule(source, kind, included, exists):
    """The rule that this include breaks, or None. Paths are relative to the root."""
    in_core, in_tests = source.startswith("core/"), source.startswith("tests/")
    if GRPC.search(included) and (in_core or source.startswith("tests/core/")):
        return "core includes no gRPC or protobuf header; translate in server/ or client/"
    if TORCH.search(included) and not source.startswith(TORCH_FOLDERS):
        return f"only {TORCH_FOLDERS[0]} includes LibTorch"
    if SQLITE.search(included) and not source.startswith(SQLITE_FOLDERS):
        return "only core/jobs/ opens the database; use its JobStore"
    if kind != '"' or GRPC.search(included):
        return None
    if not OWN.search(included):
        beside = exists(os.path.join(os.path.dirname(source), included))
        return "own headers are included by their path from the root" if beside or "/" not in included else None
    if not exists(included):
        return "there is no such file"
    return None if in_tests else broken_order(source, included)


def broken_order(source, included):
    if included.startswith("tests/"):
        return "only tests include tests"
    if source.startswith("core/"):
        if not included.startswith("core/"):
            return "core includes nothing above itself"
        if core_rank(source) is not None and core_rank(included) > core_rank(source):
            return f"{source.split('/')[1]} stands below {included.split('/')[1]} in: {' < '.join(CORE)}"
    for folder, other in (("server/", "client/"), ("client/", "server/")):
        if source.startswith(folder) and included.startswith(other):
            return f"{folder} and {other} stand side by side: neither includes the other"
    if source.startswith("client/") and included.startswith("core/") and included.split("/")[1] not in CLIENT_ROOMS:
        return f"client/ includes only core/{', core/'.join(CLIENT_ROOMS)}"
    for backend, users in BACKENDS.items():
        if included.startswith(backend) and source.startswith("core/") and not source.startswith((backend, *users)):
            return f"only {', '.join(users)} and programs name {backend}; use core/backend/backend.h and registry.h"
    return None


def sources(root):
    for top in ("core", "server", "client", "tests"):
        for folder, subfolders, files in os.walk(os.path.join(root, top)):
            subfolders[:] = sorted(name for name in subfolders if name not in ("target", "__pycache__"))
            for name in sorted(files):
                if name.endswith(SOURCE):
                    yield os.path.relpath(os.path.join(folder, name), root)


def check_includes(root):
    violations, count = [], 0
    for source in sources(root):
        count += 1
        parts = source.split("/")
        if parts[0] == "core" and core_rank(source) is None:
            violations.append(f"{source}: core/{parts[1]} is in no layer: {' < '.join(CORE)}")
        with open(os.path.join(root, source), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if match := INCLUDE.match(line):
                    rule = broken_rule(source, match[1], match[2], lambda path: os.path.exists(os.path.join(root, path)))
                    if rule:
                        violations.append(f"{source}:{number}: {match[2]}: {rule}")
    return violations, f"{count} files"


def check_programs(folder):
    """Looks at every library that the loader would bring in, not only at those the program names itself."""
    violations, count = [], 0
    for name in WITHOUT_TORCH:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            violations.append(f"{path}: not built")
            continue
        count += 1
        loaded = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"^\s*(lib(?:torch|c10|cudart|cupti)\S*)", loaded, re.M):
            violations.append(f"{path}: loads {library}: only gwq-worker may")
    return violations, f"{count} programs"


def main():
    parser = argparse.ArgumentParser(description="checks the layers")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--programs", metavar="BIN_DIR")
    options = parser.parse_args()
    violations, what = check_programs(options.programs) if options.programs else check_includes(options.root)
    for violation in violations:
        print(violation)
    print(f"layers: {what}, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
