// A manifest that is accepted has one canonical form, which is accepted too and names the same digest.
#include "core/manifest/manifest.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto manifest = gwq::ParseManifest(gwq::fuzz::Text(data, size));
  if (!manifest.ok()) return 0;
  const auto again = gwq::ParseManifest(gwq::ManifestJson(*manifest));
  gwq::fuzz::Require(again.ok() && gwq::ManifestDigest(*again) == gwq::ManifestDigest(*manifest));
  return 0;
}
