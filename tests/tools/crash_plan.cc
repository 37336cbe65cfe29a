#include "tests/tools/crash_plan.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "tests/support/fault_vfs.h"

namespace gwq::testing {
namespace {

std::string PlanPath() {
  const char* const path = std::getenv("CRASH_PLAN");
  return path == nullptr ? "" : path;
}

}  // namespace

FaultFileSystem& PlannedCrashFileSystem() {
  static auto* const files = [] {
    std::ifstream plan(PlanPath());
    int64_t step = -1;
    std::string kind;
    plan >> step >> kind;
    const bool undo = kind != "keep";
    auto* const made = new FaultFileSystem(LocalFileSystem(), [undo] {
      if (undo) UndoUnsyncedDatabaseWrites();
      ::unlink(PlanPath().c_str());
      ::kill(::getpid(), SIGKILL);
    });
    const std::map<std::string, CrashKind> kinds = {
        {"drop", CrashKind::kDropUnsynced}, {"zero", CrashKind::kZeroUnsynced}, {"keep", CrashKind::kKeepUnsynced}};
    if (const auto found = kinds.find(kind); found != kinds.end()) made->CrashAt(step, found->second);
    return made;
  }();
  return *files;
}

}  // namespace gwq::testing
