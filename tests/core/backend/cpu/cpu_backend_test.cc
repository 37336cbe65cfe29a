// CpuBackend on every instruction set of this machine, with one thread and with two.
#include "core/backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include "tests/core/backend/backend_suite.h"

namespace gwq::testing {
namespace {

std::vector<BackendCase> Cases() {
  std::vector<BackendCase> cases;
  for (IsaLevel level : SupportedIsaLevels()) {
    for (int threads : {1, 2}) {
      BackendCase backend;
      backend.name = std::string(IsaLevelName(level)) + "_threads" + std::to_string(threads);
      backend.create = [level, threads] { return CreateCpuBackend({threads, level}); };
      backend.tolerance = 3e-6;
      cases.push_back(backend);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cpu, BackendSuite, ::testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace gwq::testing
