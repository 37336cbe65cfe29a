// What tests/golden/make_images.py wrote: images, their pixels and their patches as transformers makes them.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "core/vision/image.h"

namespace gwq::testing {

// The bytes of tests/golden/data/images/`name`; ends the test program if there is no such file.
[[nodiscard]] std::string GoldenFile(const std::string& name);
[[nodiscard]] const nlohmann::json& Goldens();  // goldens.json

[[nodiscard]] std::span<const std::byte> BytesOf(std::string_view text);
[[nodiscard]] Image GoldenImage(const std::string& name);  // decoded
[[nodiscard]] std::string HexSha256(std::span<const std::byte> bytes);

}  // namespace gwq::testing
