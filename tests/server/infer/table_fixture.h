// A table of models over a source that knows what the test told it, without a server.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "core/backend/cpu/cpu_backend.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "server/infer/models/model_table.h"
#include "tests/server/infer/tiny_model.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {

class KnownSource final : public ModelSource {
 public:
  std::map<std::string, ResolvedModel> models;  // by bare name
  int releases = 0;

 private:
  absl::StatusOr<ResolvedModel> Resolve(const Caller&, const std::string& name, OnUnavailable) override {
    const auto found = models.find(name);
    if (found == models.end()) return absl::NotFoundError(name);
    return found->second;
  }
  absl::Status Release(const Caller&, const Digest&) override {
    ++releases;
    return absl::OkStatus();
  }
  int64_t hold_millis() const override { return 0; }
};

class TableFixture : public ::testing::Test {
 protected:
  // Made once for all tests of the program; the folder goes with the process.
  static BlobStore& store() { return *Stored().store; }
  static const Digest& tiny() { return Stored().tiny; }

  TableFixture() { Know("tiny", tiny()); }
  void Know(const std::string& name, const Digest& digest) {
    source.models[name] = {"models/" + name, digest, Stored().folder.path()};
  }
  // A new table, whose models may take so much together; 0: no limit.
  void Start(const LoadOptions& options = {}, uint64_t max_loaded_bytes = 0) {
    table.reset();
    holds_.reset();
    loader = std::make_unique<ModelLoader>(*backend_, metrics, SystemClock(), options);
    holds_ = std::make_unique<Holds>(source, log_);
    table = std::make_unique<ModelTable>(source, *holds_, *loader, max_loaded_bytes);
  }
  absl::StatusOr<std::shared_ptr<ServedModel>> Load(const std::string& name, int64_t context = 0) {
    return table->Load({}, name, context, [] { return absl::OkStatus(); });
  }
  // Lets its requests no time.
  absl::Status Unload(const std::string& name) {
    return table->Unload(std::string(kLocalPrincipal), name, std::chrono::steady_clock::now());
  }

  KnownSource source;
  Metrics metrics;
  std::unique_ptr<ModelLoader> loader;
  std::unique_ptr<ModelTable> table;

 private:
  struct Imported {
    TempFolder folder;
    std::unique_ptr<BlobStore> store;
    Digest tiny;
  };
  static const Imported& Stored() {
    static const Imported* const imported = [] {
      static Imported made;
      made.store = *OpenLocalBlobStore(LocalFileSystem(), made.folder.path(), SystemClock());
      made.tiny = *ImportTinyModel(*made.store, 1);
      return &made;
    }();
    return *imported;
  }

  const Log log_{"test", LogLevel::kError};
  std::unique_ptr<Backend> backend_ = *CreateCpuBackend({.threads = 1, .isa = {}});
  std::unique_ptr<Holds> holds_;
};

}  // namespace gwq::testing
