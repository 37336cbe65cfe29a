#!/usr/bin/env python3
"""Runs clang's thread-safety analysis over the sources of a configured build: every member guarded by a mutex is touched only under it.

usage: check_threads.py BUILD_FOLDER [--without CLANG_BUILD] [--jobs N]

Needs clang++-19 (deploy/setup --checks). Nothing is compiled to code. Looks at files of core/, server/ and client/ whose own text, or whose own
headers, name a guarded member or a mutex; the others hold no locks. --without leaves out the files of a build by clang, which analysed them
as it compiled them. Exit status 1 and clang's messages for each violation.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

COMPILER = "clang++-19"
INCLUDE = re.compile(r'^\s*#\s*include\s*"((?:core|server|client)/[^"]+)"', re.M)
LOCKS = re.compile(r"core/base/mutex\.h|ABSL_GUARDED_BY|\bMutex\b")


def uses_locks(path, root, known):
    """Whether the file, or an own header it includes, names a lock; `known` remembers the answers."""
    if path not in known:
        known[path] = False  # ends a circle of includes
        try:
            with open(os.path.join(root, path), encoding="utf-8") as source:
                text = source.read()
        except FileNotFoundError:  # generated
            return False
        known[path] = bool(LOCKS.search(text)) or any(uses_locks(name, root, known) for name in INCLUDE.findall(text))
    return known[path]


def commands(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as database:
        return json.load(database)


def analysis_command(entry):
    """The file's own compile command with clang as compiler, no output and only this warning."""
    words = shlex.split(entry["command"])
    first = next(i for i, word in enumerate(words) if os.path.basename(word) not in ("ccache",))
    kept, skip = [], False
    for word in words[first + 1:]:
        if skip or word.startswith("-W") and not word.startswith("-Wl,"):
            skip = False
        elif word in ("-o", "-MF", "-MT", "-include"):  # what g++ precompiled
            skip = True
        elif word not in ("-c", "-MD", "-O3") and not word.startswith("-fno-tree"):
            kept.append(word)
    return [COMPILER, "-fsyntax-only", "-Wno-everything", "-Wthread-safety", "-Werror=thread-safety", *kept]


def analyse(entry):
    done = subprocess.run(analysis_command(entry), cwd=entry["directory"], capture_output=True, text=True, check=False)
    return entry["file"], done.returncode, done.stderr


def main():
    parser = argparse.ArgumentParser(description="thread-safety analysis")
    parser.add_argument("build")
    parser.add_argument("--without", metavar="CLANG_BUILD")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    analysed = {entry["file"] for entry in commands(options.without) if COMPILER in entry["command"]} if options.without else set()
    known = {}
    entries = [entry for entry in commands(options.build)
               if re.match(r"(core|server|client)/", name := os.path.relpath(entry["file"], root)) and uses_locks(name, root, known)
               and entry["file"] not in analysed]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for file, status, messages in pool.map(analyse, entries):
            if status != 0:
                failed += 1
                print(f"{os.path.relpath(file, root)}:\n{messages}")
    print(f"thread safety: {len(entries)} files with locks, {failed} with violations")
    return 1 if failed or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
