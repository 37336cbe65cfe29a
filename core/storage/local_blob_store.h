// A BlobStore in one folder of this machine.
//
//   blobs/ab/abcd...   a blob, named by its digest, in the folder of the digest's first byte
//   partial/KEY        a named blob being written, KEY percent-encoded, and KEY.sync (partial_file.h)
//   temporary/ID       an unnamed blob being written
//   lock               shared by a commit, exclusive for each removal of the garbage collector
//
// A commit syncs the bytes, renames them into blobs/ab and syncs that folder. If the blob exists already, it is
// replaced by its equal, which renews its time. A mapping of the old file stays valid.
#pragma once

#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Creates the folders. `files` and `clock` outlive the store; `clock` gives stored_wall_millis. Besides blobs,
// CollectGarbage removes temporary files that nobody has written to since its time limit, so the limit must be longer
// ago than a writer may be idle.
[[nodiscard]] absl::StatusOr<std::unique_ptr<BlobStore>> OpenLocalBlobStore(FileSystem& files, const std::string& root,
                                                                            const Clock& clock);
// Whether a store was opened in `root` before.
[[nodiscard]] bool HasLocalBlobStore(FileSystem& files, const std::string& root);

}  // namespace gwq
