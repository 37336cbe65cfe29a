// Where one code stands in a unit of a matrix's tiles (kernels/matrix_tiles.h): for filling tiles and reading single
// weights. The kernels read whole units.
#pragma once

#include <cstdint>

#include "core/backend/cpu/kernels/matrix_tiles.h"

namespace gwq {

// `encoding` is one of codes, kU2 to kU8; `col` is below UnitCols(encoding), `lane` below kTileRows, and the code fits
// the encoding's width. The code's place holds zeros before.
void PutCode(Encoding encoding, uint8_t* unit, int64_t lane, int64_t col, uint8_t code);

[[nodiscard]] uint8_t CodeAt(Encoding encoding, const uint8_t* unit, int64_t lane, int64_t col);

}  // namespace gwq
