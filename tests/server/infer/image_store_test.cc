#include "server/infer/image_store.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace gwq::testing {
namespace {

std::string File(char fill, size_t size = 100) { return std::string(size, fill); }

TEST(ImageStore, FindsWhatThePrincipalPutAndNobodyElse) {
  ImageStore store(1000);
  const auto digest = store.Put("alice", File('a'));
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(*digest, Sha256Of(File('a')));
  EXPECT_EQ(**store.Find("alice", *digest), File('a'));
  EXPECT_TRUE(absl::IsNotFound(store.Find("bob", *digest).status()));
  EXPECT_TRUE(absl::IsNotFound(store.Find("alice", Digest{}).status()));
}

TEST(ImageStore, TheSameFileTwiceIsKeptOnce) {
  ImageStore store(1000);
  ASSERT_TRUE(store.Put("alice", File('a')).ok());
  ASSERT_TRUE(store.Put("alice", File('a')).ok());
  EXPECT_EQ(store.bytes(), 100u);
}

TEST(ImageStore, WhoHoldsMostLosesWhatItUsedLongestAgo) {
  ImageStore store(500);
  const Digest modest = *store.Put("bob", File('b'));
  std::vector<Digest> many;
  for (char c = 'c'; c < 'g'; ++c) many.push_back(*store.Put("alice", File(c)));
  ASSERT_TRUE(store.Find("alice", many[0]).ok()) << "used now";
  const auto held = *store.Find("alice", many[1]);
  ASSERT_TRUE(store.Find("alice", many[2]).ok());
  ASSERT_TRUE(store.Find("alice", many[0]).ok());
  ASSERT_TRUE(store.Find("alice", many[1]).ok());
  const Digest last = *store.Put("alice", File('z'));
  EXPECT_TRUE(absl::IsNotFound(store.Find("alice", many[3]).status())) << "used longest ago";
  for (const Digest& kept : {many[0], many[1], many[2], last}) EXPECT_TRUE(store.Find("alice", kept).ok());
  EXPECT_TRUE(store.Find("bob", modest).ok()) << "alice pushed out what bob holds";
  EXPECT_EQ(store.bytes(), 500u);
  EXPECT_EQ(*held, File('d')) << "a request that holds a file keeps it";
}

TEST(ImageStore, AFileAboveTheLimitIsRefused) {
  ImageStore store(50);
  EXPECT_TRUE(absl::IsResourceExhausted(store.Put("alice", File('a')).status()));
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(ImageStore, AFileThatWouldBeTheFirstToGoIsRefusedAndNotForgotten) {
  ImageStore store(250);
  const Digest first = *store.Put("bob", File('b')), second = *store.Put("carol", File('c'));
  const auto large = store.Put("alice", File('a', 101));
  EXPECT_TRUE(absl::IsResourceExhausted(large.status()));
  EXPECT_EQ(MessageOf(large.status()),
            "the image has 101 bytes, and all uploaded images together may have 250, of which others use 200; send it "
            "with the request");
  EXPECT_TRUE(store.Find("bob", first).ok() && store.Find("carol", second).ok());
  EXPECT_EQ(store.bytes(), 200u);
  ASSERT_TRUE(store.Put("alice", File('s', 50)).ok());
}

TEST(ImageStore, OnesOwnOlderImageGoesBeforeTheNewOne) {
  ImageStore store(250);
  ASSERT_TRUE(store.Put("bob", File('b')).ok());
  const Digest old = *store.Put("alice", File('a'));
  const auto fresh = store.Put("alice", File('f', 150));
  ASSERT_TRUE(fresh.ok());
  EXPECT_TRUE(absl::IsNotFound(store.Find("alice", old).status()));
  EXPECT_TRUE(store.Find("alice", *fresh).ok());
}

}  // namespace
}  // namespace gwq::testing
