// Where one code stands in a unit of a matrix's tiles (kernels/matrix_tiles.h): for filling tiles and reading single
// weights. The kernels read whole units.
#pragma once

#include <cstdint>
#include <span>

#include "core/backend/cpu/kernels/matrix_tiles.h"

namespace gwq {

// `encoding` is one of codes, kU2 to kU8, and `lane` is below kTileRows.

// Writes the codes of one output: at most UnitCols(encoding), each fitting the encoding's width. The codes of the
// columns that are not given become 0, or with kU8 stay what they are.
void PutUnit(Encoding encoding, uint8_t* unit, int64_t lane, std::span<const uint8_t> codes);

// `col` is below UnitCols(encoding).
[[nodiscard]] uint8_t CodeAt(Encoding encoding, const uint8_t* unit, int64_t lane, int64_t col);

}  // namespace gwq
