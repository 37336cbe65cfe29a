// Where libjpeg keeps the coefficients of an image whose scans it must read all before the first row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <vector>

// After <cstdio>, which it needs.
#include <jpeglib.h>

#include "absl/status/status.h"
#include "core/io/scratch_memory.h"

namespace gwq {

// Takes the place of libjpeg's virtual arrays of blocks (libjpeg.txt, "Memory management"), which are heap in the
// builds of today: here they are ScratchMemory, since two bytes per coefficient are more than the decoded image.
class JpegCoefficients {
 public:
  JpegCoefficients() = default;
  JpegCoefficients(const JpegCoefficients&) = delete;
  JpegCoefficients& operator=(const JpegCoefficients&) = delete;

  // Once, between jpeg_create_decompress and jpeg_start_decompress; takes jpeg.client_data. Must outlive the decoding.
  void Install(jpeg_decompress_struct& jpeg);

  // Why there was no memory, after libjpeg failed for that; OK otherwise.
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  struct BlockArray {
    size_t blocks_per_row = 0;
    size_t row_count = 0;
    std::vector<JBLOCKROW> rows;
  };

  static JpegCoefficients& Of(j_common_ptr jpeg) { return *static_cast<JpegCoefficients*>(jpeg->client_data); }
  static jvirt_barray_ptr Request(j_common_ptr jpeg, int pool, boolean zeroed, JDIMENSION blocks_per_row,
                                  JDIMENSION rows, JDIMENSION at_once);
  static void Realize(j_common_ptr jpeg);
  static JBLOCKARRAY Access(j_common_ptr jpeg, jvirt_barray_ptr array, JDIMENSION first, JDIMENSION count,
                            boolean writable);
  bool Allocate();

  std::array<BlockArray, MAX_COMPONENTS> arrays_;
  size_t array_count_ = 0;
  void (*realize_samples_)(j_common_ptr) = nullptr;
  ScratchMemory memory_;
  absl::Status status_;
};

}  // namespace gwq
