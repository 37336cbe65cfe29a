#!/usr/bin/env python3
"""Proves that check_layers.py goes red: each bad include, alone in a tree that is otherwise good, is one violation."""
import os
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_layers.py")
GOOD = {
    "core/base/status.h": "#include <string>\n",
    "core/io/gguf.h": '#include "core/base/status.h"\n',
    "core/backend/backend.h": '#include "core/base/status.h"\n',
    "core/backend/cpu/cpu_backend.h": '#include "core/backend/backend.h"\n',
    "core/backend/registry.cc": '#include "core/backend/cpu/cpu_backend.h"\n',
    "core/backend/torch/torch_backend.cc": '#include <ATen/core/Tensor.h>\n#include "core/backend/backend.h"\n',
    "core/backend/torch/torch_backend.h": '#include "core/backend/backend.h"\n',
    "core/calibration/walk.cc": '#include "core/backend/torch/torch_backend.h"\n',
    "core/engine/engine.h": '#include "core/backend/backend.h"\n',
    "core/jobs/sqlite_job_store.cc": "#include <sqlite3.h>\n",
    "server/infer/main.cc": '#include <grpcpp/grpcpp.h>\n#include "core/engine/engine.h"\n#include "gwq/v1/infer.pb.h"\n',
    "client/client.h": '#include "gwq/v1/jobs.grpc.pb.h"\n',
    "tests/core/io/gguf_test.cc": '#include "core/io/gguf.h"\n',
}
BAD = [
    ("core/base/bad.h", '#include "core/io/gguf.h"'),
    ("core/engine/bad.cc", '#include "core/backend/torch/torch_backend.h"'),
    ("core/backend/bad.cc", '#include "core/backend/cpu/cpu_backend.h"'),
    ("core/io/bad.h", '#include "core/engine/engine.h"'),
    ("core/io/bad.h", '#include "server/infer/main.cc"'),
    ("core/jobs/bad.cc", '#include "client/client.h"'),
    ("core/jobs/bad.cc", "#include <grpcpp/grpcpp.h>"),
    ("core/jobs/bad.cc", "#include <google/protobuf/message.h>"),
    ("core/jobs/bad.cc", '#include "gwq/v1/jobs.pb.h"'),
    ("tests/core/io/bad_test.cc", "#include <grpcpp/grpcpp.h>"),
    ("core/engine/bad.cc", "#include <torch/torch.h>"),
    ("core/engine/bad.cc", "  #  include <c10/core/Device.h>"),
    ("server/infer/bad.cc", "#include <ATen/ATen.h>"),
    ("server/jobs/bad.cc", "#include <sqlite3.h>"),
    ("server/jobs/bad.cc", '#include "client/client.h"'),
    ("client/bad.cc", '#include "server/infer/main.cc"'),
    ("core/io/bad.cc", '#include "gguf.h"'),
    ("core/io/bad.cc", '#include "core/io/missing.h"'),
    ("core/io/bad.cc", '#include "tests/core/io/gguf_test.cc"'),
    ("core/quant/bad.cc", "#include <ATen/ATen.h>"),
    ("core/quant/bad.cc", '#include "core/backend/torch/torch_backend.h"'),
    ("client/bad.cc", '#include "core/backend/backend.h"'),
    ("core/unheard/bad.cc", "#include <string>"),
]


def run_on(files):
    """The check's exit status and output on a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                out.write(text)
        done = subprocess.run([sys.executable, CHECK, "--root", root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class CheckLayersTest(unittest.TestCase):
    def test_passes_a_tree_that_follows_the_layers(self):
        self.assertEqual(run_on(GOOD), (0, f"layers: {len(GOOD)} files, 0 violations\n"))

    def test_names_each_bad_include(self):
        for path, line in BAD:
            with self.subTest(path=path, line=line):
                status, output = run_on({**GOOD, path: line + "\n"})
                self.assertEqual(status, 1, output)
                self.assertTrue(output.startswith(path), output)
                self.assertIn(", 1 violations", output)


if __name__ == "__main__":
    unittest.main()
