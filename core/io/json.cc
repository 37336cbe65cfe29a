#include "core/io/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace gwq {
namespace {

// The parser quotes all of the value that it broke off in, which may be most of a file.
constexpr size_t kMaxErrorBytes = 500;

std::string Quoted(std::string_view text, size_t limit) {
  return ToValidUtf8(text.substr(0, limit)) + (text.size() > limit ? "..." : "");
}

// Builds the tree from parser events, and stops at the first thing that is not allowed.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Place(nullptr) != nullptr; }
  bool boolean(bool value) override { return Place(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Place(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Place(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override { return Place(value) != nullptr; }
  bool string(string_t& value) override { return Place(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Descend(nlohmann::json::object()); }
  bool start_array(std::size_t) override { return Descend(nlohmann::json::array()); }
  bool end_object() override { return Ascend(); }
  bool end_array() override { return Ascend(); }

  bool key(string_t& name) override {
    if (!Count()) return false;
    if (open_.back()->contains(name)) return Fail(fmt::format("key '{}' appears twice", Quoted(name, 100)));
    slot_ = &(*open_.back())[name];
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at ...": the part after the bracket says it.
    const std::string_view text = error.what();
    const size_t bracket = text.find("] ");
    const std::string_view what = text.substr(bracket == std::string_view::npos ? 0 : bracket + 2);
    return Fail(fmt::format("malformed JSON at byte {}: {}", position, Quoted(what, kMaxErrorBytes)));
  }

  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] nlohmann::json Take() { return std::move(root_); }

 private:
  bool Fail(std::string text) {
    if (error_.empty()) error_ = std::move(text);
    return false;
  }

  bool Count() {
    if (++values_ <= limits_.max_values) return true;
    return Fail(fmt::format("more than {} values", limits_.max_values));
  }

  nlohmann::json* Place(nlohmann::json value) {
    if (!Count()) return nullptr;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool Descend(nlohmann::json container) {
    if (open_.size() >= static_cast<size_t>(limits_.max_depth)) {
      return Fail(fmt::format("nested deeper than {} levels", limits_.max_depth));
    }
    nlohmann::json* const placed = Place(std::move(container));
    if (placed == nullptr) return false;
    open_.push_back(placed);
    return true;
  }

  bool Ascend() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  nlohmann::json root_;
  std::vector<nlohmann::json*> open_;  // stable: a container's children are placed only while it is the innermost
  nlohmann::json* slot_ = nullptr;     // where the value of the last key goes
  size_t values_ = 0;
  std::string error_;
};

// Of the character at the beginning of `text`, which is not empty; 0 if none is whole and valid.
size_t CharacterBytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  uint32_t code = length == 1 ? lead : lead & (0x7FU >> length);
  for (size_t k = 1; k < length; ++k) {
    const auto next = static_cast<unsigned char>(text[k]);
    if ((next & 0xC0) != 0x80) return 0;
    code = (code << 6) | (next & 0x3FU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  return overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : length;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(std::string_view field, std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return InvalidField(field, fmt::format("{} bytes of JSON, at most {} are read", text.size(), limits.max_bytes));
  }
  Builder builder(limits);
  if (!nlohmann::json::sax_parse(text, &builder)) return InvalidField(field, builder.error());
  return builder.Take();
}

std::string CanonicalJson(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = CharacterBytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string ToValidUtf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = CharacterBytes(text);
    out += length == 0 ? "\xEF\xBF\xBD" : text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace gwq
