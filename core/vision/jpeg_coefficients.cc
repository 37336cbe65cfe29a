#include "core/vision/jpeg_coefficients.h"

#include <jerror.h>

#include <cstdlib>
#include <utility>

#include "absl/status/statusor.h"

namespace gwq {
namespace {

[[noreturn]] void Fail(j_common_ptr jpeg, int code) {
  jpeg->err->msg_code = code;
  jpeg->err->msg_parm.i[0] = jpeg->err->msg_parm.i[1] = 0;
  jpeg->err->error_exit(jpeg);
  std::abort();  // error_exit does not return
}

}  // namespace

void JpegCoefficients::Install(jpeg_decompress_struct& jpeg) {
  jpeg.client_data = this;
  realize_samples_ = jpeg.mem->realize_virt_arrays;
  jpeg.mem->request_virt_barray = Request;
  jpeg.mem->realize_virt_arrays = Realize;
  jpeg.mem->access_virt_barray = Access;
}

jvirt_barray_ptr JpegCoefficients::Request(j_common_ptr jpeg, int, boolean, JDIMENSION blocks_per_row, JDIMENSION rows,
                                           JDIMENSION) {
  JpegCoefficients& self = Of(jpeg);
  if (self.array_count_ == self.arrays_.size()) Fail(jpeg, JERR_COMPONENT_COUNT);
  BlockArray& array = self.arrays_[self.array_count_++];
  array.blocks_per_row = blocks_per_row;
  array.row_count = rows;
  return reinterpret_cast<jvirt_barray_ptr>(&array);  // opaque to the library
}

void JpegCoefficients::Realize(j_common_ptr jpeg) {
  JpegCoefficients& self = Of(jpeg);
  self.realize_samples_(jpeg);
  if (!self.Allocate()) Fail(jpeg, JERR_OUT_OF_MEMORY);
}

bool JpegCoefficients::Allocate() {
  size_t blocks = 0;
  for (const BlockArray& array : arrays_) blocks += array.blocks_per_row * array.row_count;
  auto memory = ScratchMemory::Create(blocks * sizeof(JBLOCK));
  status_ = memory.status();
  if (!status_.ok()) return false;
  memory_ = *std::move(memory);
  auto* row = reinterpret_cast<JBLOCKROW>(memory_.bytes().data());
  for (BlockArray& array : arrays_) {
    array.rows.resize(array.row_count);
    for (JBLOCKROW& at : array.rows) at = std::exchange(row, row + array.blocks_per_row);
  }
  return true;
}

JBLOCKARRAY JpegCoefficients::Access(j_common_ptr jpeg, jvirt_barray_ptr opaque, JDIMENSION first, JDIMENSION count,
                                     boolean) {
  auto& array = *reinterpret_cast<BlockArray*>(opaque);
  if (size_t{first} + count > array.rows.size()) Fail(jpeg, JERR_BAD_VIRTUAL_ACCESS);
  return array.rows.data() + first;
}

}  // namespace gwq
