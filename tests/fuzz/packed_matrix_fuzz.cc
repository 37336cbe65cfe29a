// A packed matrix that is accepted can be read whole: every code, scale, zero point and outlier.
#include <vector>

#include "core/format/packed_matrix.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto view = gwq::PackedView::Open(gwq::fuzz::Bytes(data, size));
  if (!view.ok()) return 0;
  const gwq::PackedShape& shape = view->shape();
  std::vector<float> dense(static_cast<size_t>(shape.rows * shape.cols));
  view->DequantizeAll(dense);
  int64_t outliers = 0;
  view->ForEachOutlier([&](const gwq::PackedView::Outlier& outlier) {
    gwq::fuzz::Require(outlier.row < shape.rows && outlier.col < shape.cols);
    ++outliers;
  });
  gwq::fuzz::Require(outliers == shape.outliers);
  return 0;
}
