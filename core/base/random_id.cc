#include "core/base/random_id.h"

#include <sys/random.h>

#include <string_view>

namespace gwq {

std::string RandomId() {
  constexpr std::string_view kDigits = "abcdefghijklmnopqrstuvwxyz234567";
  unsigned char bytes[26];
  size_t have = 0;
  while (have < sizeof(bytes)) {
    const ssize_t got = getrandom(bytes + have, sizeof(bytes) - have, 0);
    if (got > 0) have += static_cast<size_t>(got);
  }
  std::string id;
  for (const unsigned char byte : bytes) id.push_back(kDigits[byte % 32]);
  return id;
}

}  // namespace gwq
