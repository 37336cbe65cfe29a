// Bit streams of every width against a stream that is put together bit by bit.
#include "core/format/bit_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace gwq {
namespace {

using Bytes = std::vector<std::byte>;

void SetBit(Bytes& stream, size_t bit) { stream[bit / 8] |= static_cast<std::byte>(1 << bit % 8); }

Bytes BitByBit(const std::vector<uint8_t>& codes, size_t width) {
  Bytes stream((codes.size() * width + 7) / 8);
  for (size_t i = 0; i < codes.size(); ++i) {
    for (size_t bit = 0; bit < width; ++bit) {
      if ((codes[i] >> bit & 1) != 0) SetBit(stream, i * width + bit);
    }
  }
  return stream;
}

class BitStream : public ::testing::TestWithParam<int> {
 protected:
  // Random codes of this width, the top one among them.
  std::vector<uint8_t> Codes(size_t count) {
    std::vector<uint8_t> codes(count);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random_() % (1U << width_));
    if (count > 0) codes[count / 2] = static_cast<uint8_t>((1U << width_) - 1);
    return codes;
  }
  // Written over bytes that are not zero.
  Bytes Write(const std::vector<uint8_t>& codes) const {
    Bytes stream(BitStreamBytes(codes.size(), width_), std::byte{0xFF});
    WriteBitStream(codes, width_, stream);
    return stream;
  }

  const int width_ = GetParam();
  std::mt19937 random_{11};
};

TEST_P(BitStream, OfEveryLengthHoldsTheBitsInOrder) {
  for (size_t count = 0; count <= 40; ++count) {
    const std::vector<uint8_t> codes = Codes(count);
    ASSERT_EQ(Write(codes), BitByBit(codes, static_cast<size_t>(width_))) << count;
  }
}

TEST_P(BitStream, EveryPrefixAndEveryCodeReadBack) {
  const std::vector<uint8_t> codes = Codes(40);
  const Bytes stream = Write(codes);
  for (size_t count = 0; count <= codes.size(); ++count) {
    std::vector<uint8_t> read(count, 0xAA);
    ReadBitStream(stream, width_, read);
    ASSERT_TRUE(std::equal(read.begin(), read.end(), codes.begin())) << count;
  }
  for (size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(ReadCode(stream, width_, i), codes[i]) << i;
}

INSTANTIATE_TEST_SUITE_P(Widths, BitStream, ::testing::Range(1, 9));

}  // namespace
}  // namespace gwq
