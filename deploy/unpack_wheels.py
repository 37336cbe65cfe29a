#!/usr/bin/env python3
"""Unpacks the parts of downloaded wheels that deploy/wheels.txt names.

usage: unpack_wheels.py WHEELS_TXT WHEEL_FOLDER TARGET_FOLDER

pip has checked the hashes. Every pattern must match something, so that a wheel laid out anew is noticed here and not at link time.
"""
import fnmatch
import os
import re
import shutil
import sys
import zipfile


def entries(path):
    """Yields (name, version, patterns) of every requirement line; the patterns come from the "# unpack:" line above it."""
    patterns = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# unpack:"):
                patterns = line.split(":", 1)[1].split()
            elif match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", line):
                yield match[1], match[2], patterns
                patterns = []


def wheel_file(folder, name, version):
    prefix = f"{name.replace('-', '_')}-{version}-"
    found = [file for file in os.listdir(folder) if file.startswith(prefix) and file.endswith(".whl")]
    if len(found) != 1:
        sys.exit(f"{folder}: expected one wheel {prefix}*.whl, found {len(found)}; delete the folder and run deploy/setup again")
    return os.path.join(folder, found[0])


def unpack(wheel, patterns, target):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for pattern in patterns:
            wanted = fnmatch.filter(names, pattern)
            if not wanted:
                sys.exit(f"{os.path.basename(wheel)} holds nothing that matches '{pattern}': correct deploy/wheels.txt")
            for name in wanted:
                path = os.path.join(target, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(name) as source, open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)


def main():
    list_file, folder, target = sys.argv[1:]
    for name, version, patterns in entries(list_file):
        if not patterns:
            sys.exit(f"{list_file}: no '# unpack:' line before {name}")
        unpack(wheel_file(folder, name, version), patterns, target)


if __name__ == "__main__":
    main()
