// SQLite on the same crashes as the files: a VFS whose changes count as operations of a FaultFileSystem, and whose
// un-synced changes are undone by a crash.
#pragma once

#include "core/io/fault_file_system.h"

namespace gwq::testing {

// Makes it SQLite's default VFS for the rest of the process. Once in a process; `files` is never destroyed. Databases
// need locking_mode=EXCLUSIVE set before journal_mode=WAL, because there is no shared memory.
void InstallFaultVfs(FaultFileSystem& files);

// Takes away what was written to databases since their last sync, newest first, and stops every later change: the
// calling thread is about to kill the process.
void UndoUnsyncedDatabaseWrites();

}  // namespace gwq::testing
