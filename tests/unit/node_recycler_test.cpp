// Memory for nodes that come and go.
#include "support/node_recycler.hpp"

#include <map>
#include <memory_resource>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

using rankpool::support::NodeRecycler;

TEST(NodeRecycler, gives_the_node_freed_last_first) {
  NodeRecycler nodes;
  void* const first = nodes.allocate(40);
  void* const second = nodes.allocate(40);
  nodes.deallocate(first, 40);
  nodes.deallocate(second, 40);
  EXPECT_EQ(nodes.allocate(33), second) << "of the same sixteen bytes";
  EXPECT_EQ(nodes.allocate(48), first);
  nodes.deallocate(first, 48);
  nodes.deallocate(second, 33);
}

TEST(NodeRecycler, serves_what_is_no_node) {
  NodeRecycler nodes;
  for (const std::size_t bytes : {1025U, 100'000U}) nodes.deallocate(nodes.allocate(bytes), bytes);
  void* const aligned = nodes.allocate(64, 128);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % 128, 0U);
  nodes.deallocate(aligned, 64, 128);
}

TEST(NodeRecycler, holds_containers_whose_elements_come_and_go) {
  NodeRecycler nodes;
  std::pmr::map<int, std::string> some(&nodes);
  std::map<int, std::string> same;
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    const int key = static_cast<int>(random() % 1000);
    if (random() % 2 == 0) {
      some.insert_or_assign(key, std::to_string(round));
      same.insert_or_assign(key, std::to_string(round));
    } else {
      some.erase(key);
      same.erase(key);
    }
  }
  EXPECT_TRUE(std::equal(some.begin(), some.end(), same.begin(), same.end()));
}

}  // namespace
