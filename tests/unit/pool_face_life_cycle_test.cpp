// The life of a pool, and what it tells its core.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "serial_runner.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Pool;
using rankpool::PoolState;
using rankpool::Schedule;

// --- life cycle -----------------------------------------------------------------------------------------------------

TEST(PoolFace, a_pool_that_goes_out_of_scope_closes_and_joins) {
  const auto seen = std::make_shared<Seen>();
  { const Pool pool(std::make_unique<SerialRunner>(seen)); }
  EXPECT_EQ(seen->life, (std::vector<std::string>{"close", "join"}));
}

TEST(PoolFace, a_pool_that_an_exception_destroys_terminates) {
  const auto seen = std::make_shared<Seen>();
  try {
    const Pool pool(std::make_unique<SerialRunner>(seen));
    throw std::runtime_error("flying");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(seen->life, (std::vector<std::string>{"terminate", "join"}));
  }
}

TEST(PoolFace, a_pool_used_while_another_exception_flies_closes_and_joins) {
  const auto seen = std::make_shared<Seen>();
  struct Cleanup {
    std::shared_ptr<Seen> seen;
    ~Cleanup() { const Pool pool(std::make_unique<SerialRunner>(seen)); }
  };
  try {
    const Cleanup cleanup{seen};
    throw std::runtime_error("flying");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(seen->life, (std::vector<std::string>{"close", "join"}));
  }
}

TEST(PoolFace, a_moved_pool_is_ended_once) {
  const auto first = std::make_shared<Seen>();
  const auto second = std::make_shared<Seen>();
  {
    Pool pool(std::make_unique<SerialRunner>(first));
    Pool moved(std::move(pool));
    EXPECT_TRUE(first->life.empty());
    EXPECT_EQ(moved.apply(square, 3), 9);
    EXPECT_THROW((void)pool.apply(square, 3), rankpool::PoolClosed);  // NOLINT(bugprone-use-after-move): says so
    moved = Pool(std::make_unique<SerialRunner>(second));
    EXPECT_EQ(first->life, (std::vector<std::string>{"close", "join"}));
    EXPECT_TRUE(second->life.empty());
  }
  EXPECT_EQ(first->life.size(), 2U);
  EXPECT_EQ(second->life, (std::vector<std::string>{"close", "join"}));
}

TEST(PoolFace, shutdown_closes_cancels_and_waits_as_told) {
  using Life = std::vector<std::string>;
  const auto life_of = [](rankpool::ShutdownOptions options) {
    const auto seen = std::make_shared<Seen>();
    Pool pool(std::make_unique<SerialRunner>(seen));
    pool.shutdown(options);
    return seen->life;
  };
  EXPECT_EQ(life_of({}), (Life{"close", "join"}));
  EXPECT_EQ(life_of({.wait = false}), (Life{"close"}));
  EXPECT_EQ(life_of({.cancel_pending = true}), (Life{"close", "cancel_pending", "join"}));
  EXPECT_EQ(life_of({.cancel_pending = true, .wait = false}), (Life{"close", "cancel_pending"}));
}

TEST(PoolFace, a_closed_pool_takes_no_calls) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.state(), PoolState::running);
  EXPECT_EQ(pool.processes(), 1);
  EXPECT_EQ(pool.name(), "serial");
  EXPECT_EQ(error_of([&] { pool.join(); }), "the pool is still running");
  pool.close();
  EXPECT_EQ(pool.state(), PoolState::closed);
  EXPECT_EQ(error_of([&] { (void)pool.map(square, {1}); }), "Pool not running");
  pool.terminate();
  EXPECT_EQ(pool.state(), PoolState::terminated);
  EXPECT_THROW((void)pool.apply(square, 1), rankpool::PoolClosed);
}

TEST(PoolFace, a_call_tells_its_options_and_its_name) {
  using namespace std::chrono_literals;
  const auto seen = std::make_shared<Seen>();
  Pool pool(std::make_unique<SerialRunner>(seen));
  (void)pool.map(square, {1, 2}, {.chunksize = 7, .max_attempts = 2, .schedule = Schedule::guided, .timeout = 1500ms});
  EXPECT_EQ(seen->spec->what, "map");
  EXPECT_EQ(seen->spec->chunksize, 7U);
  EXPECT_EQ(seen->spec->max_attempts, 2U);
  EXPECT_EQ(seen->spec->schedule, Schedule::guided);
  EXPECT_EQ(seen->spec->timeout->count(), 1.5);
  EXPECT_EQ(seen->spec->input_stride, sizeof(int));
  (void)pool.starmap_outcomes(power, {{2, 2}});
  EXPECT_EQ(seen->spec->what, "starmap_outcomes");
  EXPECT_EQ(seen->spec->chunksize, 0U);
  EXPECT_FALSE(seen->spec->max_attempts || seen->spec->schedule || seen->spec->timeout);
  (void)pool.map(shout, {"a"});
  EXPECT_EQ(seen->spec->input_stride, rankpool::detail::variable_stride);
  (void)pool.apply([] { return 1; });
  EXPECT_EQ(seen->spec->input_stride, 0U);
  EXPECT_EQ(seen->spec->what, "apply");
}
