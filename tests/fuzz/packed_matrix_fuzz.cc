// A packed matrix that is accepted can be read whole, and its content gives the same bytes again: every format and
// version.
#include <algorithm>
#include <vector>

#include "core/format/format.h"
#include "tests/core/format/read_content.h"
#include "tests/fuzz/bytes.h"

namespace {

using gwq::fuzz::Require;

// Every code, scale and zero point.
void ReadAffine(const gwq::PackedView& view, std::span<const std::byte> bytes) {
  const auto again = gwq::EncodePacked(gwq::testing::ReadContent(view));
  Require(again.ok() && std::ranges::equal(*again, bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes = gwq::fuzz::Bytes(data, size);
  const auto view = gwq::PackedView::Open(bytes);
  if (!view.ok()) return 0;
  const gwq::PackedShape& shape = view->shape();
  Require(gwq::CheckPackedShape(shape).ok() && gwq::LayoutOf(shape).total == size);
  std::vector<float> dense(static_cast<size_t>(shape.rows * shape.cols));
  view->DequantizeAll(dense);
  int64_t outliers = 0;
  view->ForEachOutlier([&](const gwq::PackedView::Outlier& outlier) {
    Require(outlier.row < shape.rows && outlier.col < shape.cols);
    ++outliers;
  });
  Require(outliers == shape.outliers);
  if (shape.format->tag == gwq::kAffine1.tag) ReadAffine(*view, bytes);
  return 0;
}
