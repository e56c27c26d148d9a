#include "host/lot_book.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace {

using rankpool::host::Lot;
using rankpool::host::LotAccount;

Lot lot_of(std::uint64_t first, std::uint64_t count) {
  Lot lot;
  lot.first = first;
  lot.count = count;
  return lot;
}

TEST(LotAccount, settles_each_task_once) {
  LotAccount account(lot_of(1000, 200));
  EXPECT_TRUE(account.settle(1063, 66));
  EXPECT_EQ(account.outstanding(), 134U);
  EXPECT_FALSE(account.settle(1128, 1));
  EXPECT_FALSE(account.settle(1000, 64));
  EXPECT_FALSE(account.settle(1128, 72));
  EXPECT_EQ(account.outstanding(), 134U);
  EXPECT_TRUE(account.settle(1129, 71));
  EXPECT_TRUE(account.settle(1000, 63));
  EXPECT_EQ(account.outstanding(), 0U);
}

TEST(LotAccount, refuses_tasks_that_are_not_the_lots) {
  LotAccount account(lot_of(1000, 200));
  EXPECT_FALSE(account.settle(999, 2));
  EXPECT_FALSE(account.settle(1199, 2));
  EXPECT_FALSE(account.settle(1000, ~std::uint64_t{0}));
  EXPECT_EQ(account.outstanding(), 200U);
}

TEST(LotAccount, agrees_with_a_list_of_tasks_whatever_is_settled) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t count = 1 + random() % 300;
    LotAccount account(lot_of(50, count));
    std::vector<bool> settled(count);
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t begin = random() % count;
      const std::uint64_t tasks = 1 + random() % (count - begin);
      const auto at = settled.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto end = at + static_cast<std::ptrdiff_t>(tasks);
      const bool all_outstanding = std::find(at, end, true) == end;
      EXPECT_EQ(account.is_outstanding(50 + begin, tasks), all_outstanding);
      ASSERT_EQ(account.settle(50 + begin, tasks), all_outstanding);
      if (all_outstanding) std::fill(at, end, true);
      ASSERT_EQ(account.outstanding(), static_cast<std::uint64_t>(std::count(settled.begin(), settled.end(), false)));
    }
  }
}

}  // namespace
