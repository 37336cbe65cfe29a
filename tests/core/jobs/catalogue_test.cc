#include "core/jobs/catalogue.h"

#include <gtest/gtest.h>

namespace gwq {
namespace {

TEST(UploadProduct, IsAModelOrADatasetByItsName) {
  Upload upload;
  upload.name = "m";
  EXPECT_EQ(UploadProduct(upload).kind, "model");
  upload.name = "datasets/d";
  EXPECT_EQ(UploadProduct(upload).kind, "dataset");
  EXPECT_EQ(UploadProduct(upload).id, "d");
}

}  // namespace
}  // namespace gwq
