// Whether to look again and again before sleeping.
#include "support/spin.hpp"

#include <gtest/gtest.h>

namespace {

using rankpool::support::SpinTrust;

void lose_trust(SpinTrust& trust) {
  for (int i = 0; i < 100; ++i) trust.note_failure();
}

/// @returns how many misses it takes until spinning is tried again.
int misses_until_a_try(SpinTrust& trust) {
  int misses = 0;
  for (; !trust.worth_trying() && misses < 1000; ++misses) trust.note_miss();
  return misses;
}

TEST(SpinTrust, ends_after_some_failures_in_a_row) {
  SpinTrust trust;
  int failures = 0;
  for (; trust.worth_trying() && failures < 100; ++failures) trust.note_failure();
  EXPECT_GT(failures, 1);
  EXPECT_LT(failures, 20);
}

TEST(SpinTrust, lasts_where_spinning_helps_now_and_then) {
  SpinTrust trust;
  for (int i = 0; i < 100; ++i) {
    trust.note_failure();
    trust.note_failure();
    trust.note_success();
  }
  EXPECT_TRUE(trust.worth_trying());
}

TEST(SpinTrust, is_renewed_when_something_new_begins) {
  SpinTrust trust;
  lose_trust(trust);
  trust.renew();
  EXPECT_TRUE(trust.worth_trying());
}

TEST(SpinTrust, tries_once_more_after_ever_more_misses) {
  SpinTrust trust;
  lose_trust(trust);
  int before = misses_until_a_try(trust);
  EXPECT_LE(before, 2);
  for (int i = 0; i < 10; ++i) {
    trust.note_failure();  // one try, in vain
    EXPECT_FALSE(trust.worth_trying());
    const int misses = misses_until_a_try(trust);
    EXPECT_GE(misses, before);
    before = misses;
  }
  EXPECT_EQ(before, 64);
}

TEST(SpinTrust, tries_soon_again_once_a_try_has_helped) {
  SpinTrust trust;
  lose_trust(trust);
  for (int i = 0; i < 10; ++i) {
    (void)misses_until_a_try(trust);
    trust.note_failure();
  }
  (void)misses_until_a_try(trust);
  trust.note_success();
  lose_trust(trust);
  EXPECT_LE(misses_until_a_try(trust), 2);
}

}  // namespace
