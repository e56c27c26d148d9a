// expect: this range can be neither moved nor copied into it
#include <array>
#include <atomic>

#include <rankpool/rankpool.hpp>

struct Seeds {
  std::atomic<int> asked{0};  // neither moves nor is copied
  std::array<int, 3> seeds{1, 2, 3};
  auto begin() { return seeds.begin(); }
  auto end() { return seeds.end(); }
};

double simulate(int seed);
void sweep(rankpool::Pool& pool) { pool.imap(simulate, Seeds()); }
