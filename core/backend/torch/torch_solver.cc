#include "core/backend/torch/torch_solver.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/backend/torch/seam.h"
#include "core/backend/torch/tensors.h"

namespace gwq {
namespace {

// Both dimensions in reverse.
at::Tensor ReversedCopy(std::span<const float> matrix, int64_t size) {
  at::Tensor out = EmptyFloats({size, size});
  std::reverse_copy(matrix.begin(), matrix.end(), out.mutable_data_ptr<float>());
  return out;
}

// [n, width] on the values themselves, which outlive it and are not written where they are const.
at::Tensor View(std::span<const float> values, int64_t width) {
  Require(width > 0 && static_cast<int64_t>(values.size()) % width == 0, "solver: {} values in rows of {}",
          values.size(), width);
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(values.size()) / width, width},
                       at::TensorOptions(at::kFloat));
}

}  // namespace

// With J the reversal of the order, J A J = L L^T gives A = R R^T for the upper triangular R = J L J, so that A^-1 =
// (R^-1)^T R^-1 and U = R^-1 = J L^-1 J. One factorization and one triangular inverse, where inverting first and
// factoring the inverse takes two factorizations and loses accuracy.
absl::StatusOr<std::vector<float>> TorchSolver::InverseFactor(std::span<const float> matrix, int64_t size) const {
  at::set_num_threads(threads_);
  std::vector<float> factor;
  GWQ_RETURN_IF_ERROR(Guarded([&] {
    const c10::AutoGradMode no_record(false);
    Require(static_cast<int64_t>(matrix.size()) == size * size, "solver: {} values for a matrix of {} rows",
            matrix.size(), size);
    at::Tensor reversed = ReversedCopy(matrix, size);
    auto [lower, info] = at::linalg_cholesky_ex(reversed);
    reversed = at::Tensor();
    if (const int failed = info.item<int>(); failed != 0) {
      return absl::FailedPreconditionError(
          fmt::format("the matrix of {} rows is not positive definite at its row {}", size, size - failed));
    }
    const at::Tensor inverse =
        at::linalg_solve_triangular(lower, at::eye(size, at::TensorOptions(at::kFloat)), /*upper=*/false).contiguous();
    const auto* values = inverse.const_data_ptr<float>();
    factor.resize(matrix.size());
    std::reverse_copy(values, values + factor.size(), factor.begin());
    return absl::OkStatus();
  }));
  return factor;
}

absl::Status TorchSolver::AddGram(std::span<const float> rows, int64_t width, std::span<float> sum) const {
  at::set_num_threads(threads_);
  return Guarded([&] {
    const c10::AutoGradMode no_record(false);
    Require(static_cast<int64_t>(sum.size()) == width * width, "solver: a sum of {} values for rows of {}", sum.size(),
            width);
    const at::Tensor x = View(rows, width);
    at::Tensor out = View(sum, width);
    at::addmm_out(out, out, x.t(), x);
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<float>> TorchSolver::Multiply(std::span<const float> rows, std::span<const float> matrix,
                                                         int64_t width) const {
  at::set_num_threads(threads_);
  std::vector<float> product(rows.size());
  GWQ_RETURN_IF_ERROR(Guarded([&] {
    const c10::AutoGradMode no_record(false);
    Require(static_cast<int64_t>(matrix.size()) == width * width, "solver: {} values for a matrix of {} rows",
            matrix.size(), width);
    at::Tensor out = View(product, width);
    at::mm_out(out, View(rows, width), View(matrix, width));
    return absl::OkStatus();
  }));
  return product;
}

}  // namespace gwq
