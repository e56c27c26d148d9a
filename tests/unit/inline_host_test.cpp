#include "host/inline_host.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;
namespace host = rankpool::host;
namespace detail = rankpool::detail;

using Asks = decltype([](int) { return rankpool::this_task::stop_requested(); });

/// Takes the results of one task at a time.
class Results final : public host::HostListener {
 public:
  void on_results(host::LotId, std::uint64_t, std::uint64_t, std::int64_t, detail::Bytes encoded) override {
    last = encoded[0] != std::byte{0};
  }
  void on_task_failed(host::LotId, std::uint64_t, std::int64_t, host::Place, detail::Bytes) override {}
  void on_task_died(host::LotId, std::uint64_t, const rankpool::task::DeathReport&) override {}
  void on_tasks_returned(host::LotId, std::uint64_t, std::uint64_t) override {}
  void on_retracted(host::LotId) override {}
  void on_initializer_failed(host::Place, detail::Bytes) override {}
  void on_executors(std::uint32_t, const std::string&) override {}
  void on_rank_lost(const host::RankLoss&, std::uint32_t) override {}
  void on_question(const host::Question&) override {}
  void on_executor_gone(std::uint32_t) override {}
  void on_blocked(const host::Blocked&) override {}
  void on_far_rung() override {}
  void on_broken(const std::string&) override {}

  std::optional<bool> last;
};

/// Runs tasks that tell whether they are asked to stop.
struct InlineHostTest : testing::Test {
  host::InlineHost inline_host{0, "here", std::nullopt};
  Results results;
  host::LotId lots = 0;

  void open(host::CallId id) {
    host::CallImage call;
    call.id = id;
    call.kernel = detail::address_of(&detail::kernel_for<Asks, bool, int>);
    call.input_stride = sizeof(int);
    inline_host.open_call(call);
  }

  std::optional<bool> asked(host::CallId id) {
    const std::uint64_t block = inline_host.allocate(sizeof(int));
    host::Lot lot;
    lot.id = ++lots;
    lot.call = id;
    lot.piece.data = block;
    lot.count = lot.piece.count = 1;
    inline_host.post(lot);
    inline_host.wait(0ns);
    inline_host.poll(results);
    inline_host.release(block);
    return std::exchange(results.last, std::nullopt);
  }
};

TEST_F(InlineHostTest, tells_the_tasks_of_a_stopped_call_and_no_others) {
  open(1);
  open(2);
  EXPECT_EQ(asked(1), false);
  inline_host.stop_call(1);
  inline_host.stop_call(3);  // not open
  EXPECT_EQ(asked(1), true);
  EXPECT_EQ(asked(2), false);
}

}  // namespace
