#include "tests/support/fault_vfs.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <new>
#include <string>
#include <vector>

#include "core/base/mutex.h"

namespace gwq::testing {
namespace {

// What a change replaced: `bytes` at `offset`, and the size of the file.
struct Before {
  sqlite3_int64 size = 0;
  sqlite3_int64 offset = 0;
  std::vector<char> bytes;
};

// One open file. SQLite allocates it as szOsFile bytes; the default VFS's own file follows in the same memory.
struct FaultFile {
  sqlite3_file base;
  sqlite3_file* real;
  std::string* path;
  std::vector<Before>* unsynced;
  bool created;  // and not synced since
};

struct Registry {
  FaultFileSystem* files = nullptr;
  sqlite3_vfs* real = nullptr;
  sqlite3_vfs vfs{};
  Mutex mutex;
  std::list<FaultFile*> open ABSL_GUARDED_BY(mutex);
};

// SQLite's interface is C functions without a context, so there is one in a process.
Registry& TheRegistry() {
  static auto* const registry = new Registry;
  return *registry;
}

FaultFile& Of(sqlite3_file* file) { return *reinterpret_cast<FaultFile*>(file); }

// One operation; SQLITE_IOERR where the machine has crashed.
bool Counted() { return TheRegistry().files->CountOperation().ok(); }

int Remember(FaultFile& file, sqlite3_int64 offset, sqlite3_int64 length) {
  Before before;
  before.offset = offset;
  const int sized = file.real->pMethods->xFileSize(file.real, &before.size);
  if (sized != SQLITE_OK) return sized;
  before.bytes.resize(static_cast<size_t>(std::clamp<sqlite3_int64>(before.size - offset, 0, length)));
  if (!before.bytes.empty()) {
    const int read =
        file.real->pMethods->xRead(file.real, before.bytes.data(), static_cast<int>(before.bytes.size()), offset);
    if (read != SQLITE_OK) return read;
  }
  file.unsynced->push_back(std::move(before));
  return SQLITE_OK;
}

void Undo(FaultFile& file) {
  const sqlite3_io_methods& real = *file.real->pMethods;
  for (auto before = file.unsynced->rbegin(); before != file.unsynced->rend(); ++before) {
    if (!before->bytes.empty()) {
      (void)real.xWrite(file.real, before->bytes.data(), static_cast<int>(before->bytes.size()), before->offset);
    }
    (void)real.xTruncate(file.real, before->size);
  }
  if (file.created) ::unlink(file.path->c_str());
}

int Close(sqlite3_file* base) {
  FaultFile& file = Of(base);
  Registry& registry = TheRegistry();
  MutexLock lock(registry.mutex);
  registry.open.remove(&file);
  const int code = file.real->pMethods->xClose(file.real);
  delete file.path;
  delete file.unsynced;
  return code;
}

int Read(sqlite3_file* base, void* to, int bytes, sqlite3_int64 offset) {
  return Of(base).real->pMethods->xRead(Of(base).real, to, bytes, offset);
}

int Write(sqlite3_file* base, const void* from, int bytes, sqlite3_int64 offset) {
  if (!Counted()) return SQLITE_IOERR_WRITE;
  FaultFile& file = Of(base);
  MutexLock lock(TheRegistry().mutex);
  if (const int code = Remember(file, offset, bytes); code != SQLITE_OK) return code;
  return file.real->pMethods->xWrite(file.real, from, bytes, offset);
}

int Truncate(sqlite3_file* base, sqlite3_int64 size) {
  if (!Counted()) return SQLITE_IOERR_TRUNCATE;
  FaultFile& file = Of(base);
  MutexLock lock(TheRegistry().mutex);
  sqlite3_int64 now = 0;
  if (const int code = file.real->pMethods->xFileSize(file.real, &now); code != SQLITE_OK) return code;
  if (const int code = Remember(file, size, std::max<sqlite3_int64>(now - size, 0)); code != SQLITE_OK) return code;
  return file.real->pMethods->xTruncate(file.real, size);
}

// No fsync: only a crash of ours takes bytes away.
int Sync(sqlite3_file* base, int /*flags*/) {
  if (!Counted()) return SQLITE_IOERR_FSYNC;
  FaultFile& file = Of(base);
  MutexLock lock(TheRegistry().mutex);
  file.unsynced->clear();
  file.created = false;
  return SQLITE_OK;
}

int FileSize(sqlite3_file* base, sqlite3_int64* size) {
  return Of(base).real->pMethods->xFileSize(Of(base).real, size);
}
int Lock(sqlite3_file* base, int level) { return Of(base).real->pMethods->xLock(Of(base).real, level); }
int Unlock(sqlite3_file* base, int level) { return Of(base).real->pMethods->xUnlock(Of(base).real, level); }
int CheckReservedLock(sqlite3_file* base, int* held) {
  return Of(base).real->pMethods->xCheckReservedLock(Of(base).real, held);
}
int FileControl(sqlite3_file* base, int what, void* argument) {
  return Of(base).real->pMethods->xFileControl(Of(base).real, what, argument);
}
int SectorSize(sqlite3_file* base) { return Of(base).real->pMethods->xSectorSize(Of(base).real); }
int DeviceCharacteristics(sqlite3_file* base) { return Of(base).real->pMethods->xDeviceCharacteristics(Of(base).real); }

// Version 1: no shared memory and no mapping, which would write past us.
constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = FileSize,
    .xLock = Lock,
    .xUnlock = Unlock,
    .xCheckReservedLock = CheckReservedLock,
    .xFileControl = FileControl,
    .xSectorSize = SectorSize,
    .xDeviceCharacteristics = DeviceCharacteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int Open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* base, int flags, int* out_flags) {
  Registry& registry = TheRegistry();
  auto* const file = new (base) FaultFile{};
  file->real = reinterpret_cast<sqlite3_file*>(file + 1);
  struct stat status{};
  const bool missing = name != nullptr && ::stat(name, &status) != 0;
  if (missing && !Counted()) return SQLITE_CANTOPEN;
  const int code = registry.real->xOpen(registry.real, name, file->real, flags, out_flags);
  if (code != SQLITE_OK) return code;
  file->path = new std::string(name == nullptr ? "" : name);
  file->unsynced = new std::vector<Before>;
  file->created = missing;
  file->base.pMethods = &kMethods;
  MutexLock lock(registry.mutex);
  registry.open.push_back(file);
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* /*vfs*/, const char* name, int sync_folder) {
  if (!Counted()) return SQLITE_IOERR_DELETE;
  return TheRegistry().real->xDelete(TheRegistry().real, name, sync_folder);
}

}  // namespace

void InstallFaultVfs(FaultFileSystem& files) {
  Registry& registry = TheRegistry();
  registry.files = &files;
  registry.real = sqlite3_vfs_find(nullptr);
  registry.vfs = *registry.real;  // what is not about files stays as it is
  registry.vfs.zName = "gwq-fault";
  registry.vfs.szOsFile = static_cast<int>(sizeof(FaultFile)) + registry.real->szOsFile;
  registry.vfs.pNext = nullptr;
  registry.vfs.xOpen = Open;
  registry.vfs.xDelete = Delete;
  sqlite3_vfs_register(&registry.vfs, /*makeDflt=*/1);
}

void UndoUnsyncedDatabaseWrites() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Registry& registry = TheRegistry();
  registry.mutex.Lock();  // for good
  for (FaultFile* file : registry.open) Undo(*file);
}

}  // namespace gwq::testing
