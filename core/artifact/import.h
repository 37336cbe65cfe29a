// Turns an upload into a model: checks everything that was declared, fills in the roles of tensors, converts GGUF.
#pragma once

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/manifest/manifest.h"
#include "core/storage/blob_store.h"

namespace gwq {

// `upload` is the manifest as the client declared it: kind "model", no architecture, tensors without dtype, shape and
// roles; its blobs are in the store, hashed when they came. Either one .gguf file, or config.json, tokenizer.json and
// one or many .safetensors (several need model.safetensors.index.json).
//
// The result is the digest of a stored manifest whose tensors have dtype, shape, kind and part. A Hugging Face
// directory keeps its files byte for byte; tensors that the family does not use (rotary buffers, a copy of a tied head)
// stay in it with kind "extra" and are never loaded. A GGUF file becomes such a directory with one safetensors file:
// every tensor in FP16 (norms too), rows of Llama's Q and K back in Hugging Face's order, config and tokenizer written
// from the metadata. A value that FP16 cannot hold is refused and not clamped.
//
// A vision-language model needs its processor's settings, which must fit its tower (stored_processor.h).
//
// INVALID_ARGUMENT naming the field: "files[...]" and "shards[...]" of the manifest, "config.<key>" of config.json,
// "metadata[<key>]" of the GGUF file, "tensors[<name>]", "tokenizer.json", "preprocessor_config.json[.<key>]" and
// "processor_config.json.<key>". UNIMPLEMENTED naming the key for settings of a processor that are known and not
// supported. After an error nothing becomes visible, and the garbage collector removes the blobs that were stored.
// Phase "import", in bytes of tensors. Memory: the small files, one header, a few MiB.
[[nodiscard]] absl::StatusOr<Digest> ImportModel(BlobStore& store, const Manifest& upload, Progress& progress);

}  // namespace gwq
