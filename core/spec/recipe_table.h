// How a struct of a recipe or a task is described by a table of its fields, and what the table is used for: printing,
// strict parsing and checking. Internal to core/spec.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/recipe_names.h"

namespace gwq::recipe_table {

using Json = nlohmann::json;

// One field of the struct S. `print` adds the field to an object (an unset optional adds nothing), `parse` reads the
// field's JSON value, `check` tests its limits. `path` is the field's own path, "recipe.rules[2].bits". `inner` lists
// the leaf fields of a nested struct.
template <class S>
struct Field {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  std::function<void(const S&, Json&)> print;
  std::function<absl::Status(const Json&, std::string_view path, S&)> parse;
  std::function<absl::Status(const S&, std::string_view path)> check;
  std::vector<std::pair<std::string, std::pair<std::string_view, std::string_view>>> inner = {};
};
template <class S>
using Table = std::vector<Field<S>>;

// What a number may be: one of `allowed`, or anything in [low, high] that `step` divides.
struct Limits {
  double low = 0;
  double high = 0;
  std::vector<int> allowed = {};
  int step = 1;
};

template <class T>
struct Bare {
  using type = T;
};
template <class T>
struct Bare<std::optional<T>> {
  using type = T;
};
template <class T>
inline constexpr bool kIsOptional = !std::is_same_v<T, typename Bare<T>::type>;

template <class T>
absl::Status CheckNumber(T value, const Limits& limits, std::string_view path) {
  if (!limits.allowed.empty()) {
    for (const int one : limits.allowed) {
      if (value == static_cast<T>(one)) return absl::OkStatus();
    }
    return InvalidField(path, fmt::format("{} is not one of {}", value, fmt::join(limits.allowed, ", ")));
  }
  // Written so that a NaN fails.
  if (!(static_cast<double>(value) >= limits.low && static_cast<double>(value) <= limits.high)) {
    return InvalidField(path, fmt::format("{} is not in [{}, {}]", value, limits.low, limits.high));
  }
  if constexpr (std::is_integral_v<T>) {
    if (value % static_cast<T>(limits.step) != 0) {
      return InvalidField(path, fmt::format("{} is not a multiple of {}", value, limits.step));
    }
  }
  return absl::OkStatus();
}

template <class T>
absl::Status ParseNumber(const Json& json, std::string_view path, T& out) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) return InvalidField(path, fmt::format("is a {}, not a number", json.type_name()));
    out = json.get<T>();
  } else {
    if (!json.is_number_integer()) return InvalidField(path, fmt::format("is a {}, not an integer", json.type_name()));
    // A JSON integer is held as uint64_t where it is not negative, and as int64_t where it is.
    const bool fits =
        json.is_number_unsigned()
            ? json.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<T>::max())
            : std::is_signed_v<T> && json.get<int64_t>() >= static_cast<int64_t>(std::numeric_limits<T>::min());
    if (!fits) return InvalidField(path, fmt::format("{} does not fit its type", json.dump()));
    out = json.get<T>();
  }
  return absl::OkStatus();
}

inline absl::Status ParseText(const Json& json, std::string_view path, std::string& out) {
  if (!json.is_string()) return InvalidField(path, fmt::format("is a {}, not a string", json.type_name()));
  out = json.get<std::string>();
  return absl::OkStatus();
}

template <class E>
absl::Status ParseEnum(const Json& json, std::string_view path, E& out) {
  std::string text;
  GWQ_RETURN_IF_ERROR(ParseText(json, path, text));
  const std::optional<E> value = EnumOf<E>(text);
  if (!value.has_value()) return InvalidField(path, fmt::format("'{}' is not one of {}", text, EnumChoices<E>()));
  out = *value;
  return absl::OkStatus();
}

// An int, int64_t, uint64_t or double, or an optional one.
template <class S, class M>
Field<S> Number(std::string_view name, M S::* member, Limits limits, std::string_view help) {
  using T = typename Bare<M>::type;
  Field<S> field{name, std::is_floating_point_v<T> ? "double" : "int", help, {}, {}, {}, {}};
  field.print = [name, member](const S& from, Json& object) {
    if constexpr (kIsOptional<M>) {
      if ((from.*member).has_value()) object[std::string(name)] = *(from.*member);
    } else {
      object[std::string(name)] = from.*member;
    }
  };
  field.parse = [member](const Json& json, std::string_view path, S& out) {
    T value{};
    GWQ_RETURN_IF_ERROR(ParseNumber(json, path, value));
    out.*member = value;
    return absl::OkStatus();
  };
  field.check = [member, limits = std::move(limits)](const S& from, std::string_view path) {
    if constexpr (kIsOptional<M>) {
      return (from.*member).has_value() ? CheckNumber(*(from.*member), limits, path) : absl::OkStatus();
    } else {
      return CheckNumber(from.*member, limits, path);
    }
  };
  return field;
}

template <class S>
Field<S> Flag(std::string_view name, bool S::* member, std::string_view help) {
  Field<S> field{name, "bool", help, {}, {}, {}, {}};
  field.print = [name, member](const S& from, Json& object) { object[std::string(name)] = from.*member; };
  field.parse = [member](const Json& json, std::string_view path, S& out) {
    if (!json.is_boolean()) return InvalidField(path, fmt::format("is a {}, not true or false", json.type_name()));
    out.*member = json.get<bool>();
    return absl::OkStatus();
  };
  field.check = [](const S&, std::string_view) { return absl::OkStatus(); };
  return field;
}

template <class S, class M>
Field<S> Choice(std::string_view name, M S::* member, std::string_view help) {
  using E = typename Bare<M>::type;
  Field<S> field{name, "enum", help, {}, {}, {}, {}};
  field.print = [name, member](const S& from, Json& object) {
    if constexpr (kIsOptional<M>) {
      if ((from.*member).has_value()) object[std::string(name)] = std::string(EnumText(*(from.*member)));
    } else {
      object[std::string(name)] = std::string(EnumText(from.*member));
    }
  };
  field.parse = [member](const Json& json, std::string_view path, S& out) {
    E value{};
    GWQ_RETURN_IF_ERROR(ParseEnum(json, path, value));
    out.*member = value;
    return absl::OkStatus();
  };
  field.check = [](const S&, std::string_view) { return absl::OkStatus(); };
  return field;
}

// UTF-8 of at most `max_bytes`; where `choices` is given, one of them.
template <class S>
Field<S> Text(std::string_view name, std::string S::* member, size_t max_bytes, std::vector<std::string_view> choices,
              std::string_view help) {
  Field<S> field{name, "string", help, {}, {}, {}, {}};
  field.print = [name, member](const S& from, Json& object) { object[std::string(name)] = from.*member; };
  field.parse = [member](const Json& json, std::string_view path, S& out) {
    return ParseText(json, path, out.*member);
  };
  field.check = [member, max_bytes, choices = std::move(choices)](const S& from, std::string_view path) {
    const std::string& text = from.*member;
    if (text.size() > max_bytes) {
      return InvalidField(path, fmt::format("has {} bytes, the limit is {}", text.size(), max_bytes));
    }
    if (!IsValidUtf8(text)) return InvalidField(path, "is not valid UTF-8");
    if (choices.empty()) return absl::OkStatus();
    for (const std::string_view one : choices) {
      if (text == one) return absl::OkStatus();
    }
    return InvalidField(path, fmt::format("'{}' is not one of '{}'", text, fmt::join(choices, "', '")));
  };
  return field;
}

// A list of integers, each within `limits`.
template <class S>
Field<S> Integers(std::string_view name, std::vector<int32_t> S::* member, size_t max_count, Limits limits,
                  std::string_view help) {
  Field<S> field{name, "repeated", help, {}, {}, {}, {}};
  field.print = [name, member](const S& from, Json& object) { object[std::string(name)] = from.*member; };
  field.parse = [member](const Json& json, std::string_view path, S& out) {
    if (!json.is_array()) return InvalidField(path, fmt::format("is a {}, not an array", json.type_name()));
    (out.*member).resize(json.size());
    for (size_t i = 0; i < json.size(); ++i) {
      GWQ_RETURN_IF_ERROR(ParseNumber(json[i], fmt::format("{}[{}]", path, i), (out.*member)[i]));
    }
    return absl::OkStatus();
  };
  field.check = [member, max_count, limits = std::move(limits)](const S& from, std::string_view path) {
    const std::vector<int32_t>& values = from.*member;
    if (values.size() > max_count) {
      return InvalidField(path, fmt::format("has {} entries, the limit is {}", values.size(), max_count));
    }
    for (size_t i = 0; i < values.size(); ++i) {
      GWQ_RETURN_IF_ERROR(CheckNumber(values[i], limits, fmt::format("{}[{}]", path, i)));
    }
    return absl::OkStatus();
  };
  return field;
}

template <class S>
Json PrintRecord(const Table<S>& table, const S& from) {
  Json object = Json::object();
  for (const Field<S>& field : table) field.print(from, object);
  return object;
}

template <class S>
absl::Status ParseRecord(const Table<S>& table, const Json& json, std::string_view path, S& out) {
  if (!json.is_object()) return InvalidField(path, fmt::format("is a {}, not an object", json.type_name()));
  for (const auto& [key, value] : json.items()) {
    const Field<S>* found = nullptr;
    for (const Field<S>& field : table) {
      if (field.name == key) found = &field;
    }
    const std::string inner = fmt::format("{}.{}", path, key);
    if (found == nullptr) return InvalidField(inner, "is not a field of a recipe; remove it or correct its name");
    GWQ_RETURN_IF_ERROR(found->parse(value, inner, out));
  }
  return absl::OkStatus();
}

template <class S>
absl::Status CheckRecord(const Table<S>& table, const S& from, std::string_view path) {
  for (const Field<S>& field : table) {
    GWQ_RETURN_IF_ERROR(field.check(from, fmt::format("{}.{}", path, field.name)));
  }
  return absl::OkStatus();
}

// The leaves of `table` with their paths below `prefix` ("" or "rules.").
template <class S>
auto Leaves(const Table<S>& table, std::string_view prefix) {
  decltype(Field<S>::inner) out;
  for (const Field<S>& field : table) {
    if (field.inner.empty()) out.push_back({fmt::format("{}{}", prefix, field.name), {field.type, field.help}});
    for (const auto& [name, about] : field.inner) out.push_back({fmt::format("{}{}", prefix, name), about});
  }
  return out;
}

// A nested struct with a table of its own.
template <class S, class T>
Field<S> Record(std::string_view name, T S::* member, const Table<T>& table) {
  Field<S> field{name, "record", "", {}, {}, {}, {}};
  field.inner = Leaves(table, fmt::format("{}.", name));
  field.print = [name, member, &table](const S& from, Json& object) {
    object[std::string(name)] = PrintRecord(table, from.*member);
  };
  field.parse = [member, &table](const Json& json, std::string_view path, S& out) {
    return ParseRecord(table, json, path, out.*member);
  };
  field.check = [member, &table](const S& from, std::string_view path) {
    return CheckRecord(table, from.*member, path);
  };
  return field;
}

template <class S, class T>
Field<S> Records(std::string_view name, std::vector<T> S::* member, const Table<T>& table, size_t max_count) {
  Field<S> field{name, "repeated", "", {}, {}, {}, {}};
  field.inner = Leaves(table, fmt::format("{}.", name));
  field.print = [name, member, &table](const S& from, Json& object) {
    Json list = Json::array();
    for (const T& one : from.*member) list.push_back(PrintRecord(table, one));
    object[std::string(name)] = std::move(list);
  };
  field.parse = [member, &table](const Json& json, std::string_view path, S& out) {
    if (!json.is_array()) return InvalidField(path, fmt::format("is a {}, not an array", json.type_name()));
    (out.*member).assign(json.size(), T{});
    for (size_t i = 0; i < json.size(); ++i) {
      GWQ_RETURN_IF_ERROR(ParseRecord(table, json[i], fmt::format("{}[{}]", path, i), (out.*member)[i]));
    }
    return absl::OkStatus();
  };
  field.check = [member, &table, max_count](const S& from, std::string_view path) {
    const std::vector<T>& list = from.*member;
    if (list.size() > max_count) {
      return InvalidField(path, fmt::format("has {} entries, the limit is {}", list.size(), max_count));
    }
    for (size_t i = 0; i < list.size(); ++i) {
      GWQ_RETURN_IF_ERROR(CheckRecord(table, list[i], fmt::format("{}[{}]", path, i)));
    }
    return absl::OkStatus();
  };
  return field;
}

}  // namespace gwq::recipe_table
