// One width and one group size for all integers of a file. Private to core/export.
#pragma once

#include <map>
#include <span>
#include <string>

#include "core/export/integer_rows.h"

namespace gwq {

// Gives the matrices of `plan` the width of `widths` (ascending) and the group size with which the file is smallest.
// Nothing is lost: a narrower matrix gets more bits than its codes need, groups are cut into equal ones, and a matrix
// that is wider, or whose groups cannot be cut so, leaves the plan: FP16 holds it. Of equal sizes the wider groups win.
void MakeUniform(std::map<std::string, IntegerShape>& plan, std::span<const int> widths);

}  // namespace gwq
