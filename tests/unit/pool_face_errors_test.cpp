// Errors of a pool's calls, and what may be called inside a task.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "serial_runner.hpp"
#include "task/this_task.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Pool;

namespace {

/// Refuses to be written, or to be read, where told to.
struct Fussy {
  int value = 0;
  bool unwritable = false;
  bool unreadable = false;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    if (Archive::is_saving::value && unwritable) throw std::length_error("can't be written");
    archive& value;
    archive& unreadable;
    if (Archive::is_loading::value && unreadable) throw std::length_error("can't be read");
  }
};
int value_of(const Fussy& fussy) { return fussy.value; }
Fussy make_fussy(int value) { return {.value = value, .unwritable = value == 1, .unreadable = value == 2}; }

}  // namespace

// --- errors ---------------------------------------------------------------------------------------------------------

TEST(PoolFace, map_throws_the_error_of_the_lowest_index) {
  for (const int chunksize : {1, 2, 10}) {
    Pool pool = reversed_pool();
    EXPECT_EQ(error_of([&] { (void)pool.map(odd_only, {1, 3, 6, 5, 4, 2}, {.chunksize = chunksize}); }), "6 is even");
    EXPECT_EQ(error_of([&] {
                (void)pool.map([](int x) { return shout(std::to_string(odd_only(x))); }, {1, 8, 2});
              }),
              "8 is even");
  }
}

TEST(PoolFace, map_outcomes_keeps_every_value_and_error) {
  for (const int chunksize : {1, 3, 10}) {
    const auto outcomes = reversed_pool().map_outcomes(odd_only, {1, 2, 3, 4, 5}, {.chunksize = chunksize});
    ASSERT_EQ(outcomes.size(), 5U);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(outcomes[i].has_value(), i % 2 == 0);
    EXPECT_EQ(outcomes[4].value(), 5);
    EXPECT_THROW((void)outcomes[1].value(), std::out_of_range);
  }
}

TEST(PoolFace, an_argument_that_cannot_be_written_is_an_error_at_the_caller) {
  Pool pool = serial_pool();
  const std::vector<Fussy> arguments{{.value = 1}, {.value = 2, .unwritable = true}};
  for (int times = 0; times < 2; ++times) {
    EXPECT_THROW((void)pool.map(value_of, arguments), std::length_error);
    EXPECT_THROW((void)pool.map_outcomes(value_of, arguments), std::length_error);
    EXPECT_THROW((void)pool.apply(value_of, arguments[1]), std::length_error);
  }
  EXPECT_EQ(pool.apply(value_of, arguments[0]), 1);
}

TEST(PoolFace, an_argument_that_cannot_be_read_is_its_tasks_error) {
  const std::vector<Fussy> arguments{{.value = 1}, {.value = 2, .unreadable = true}, {.value = 3}};
  const auto outcomes = serial_pool().map_outcomes(value_of, arguments, {.chunksize = 3});
  EXPECT_EQ(outcomes[0].value(), 1);
  EXPECT_EQ(outcomes[1].error_text(), "can't be read");
  EXPECT_EQ(outcomes[2].value(), 3);
}

TEST(PoolFace, a_result_that_cannot_be_written_is_a_serialization_error) {
  Pool pool = serial_pool();
  for (int times = 0; times < 20; ++times) {
    EXPECT_THROW((void)pool.apply(make_fussy, 1), rankpool::SerializationError);
  }
  const auto outcomes = pool.map_outcomes(make_fussy, {0, 1, 3}, {.chunksize = 3});
  EXPECT_EQ(outcomes[0].value().value, 0);
  EXPECT_THROW((void)outcomes[1].value(), rankpool::SerializationError);
  EXPECT_EQ(outcomes[2].value().value, 3);
}

TEST(PoolFace, a_result_that_cannot_be_read_is_its_tasks_error) {
  Pool pool = serial_pool();
  const auto outcomes = pool.map_outcomes(make_fussy, {0, 2, 3}, {.chunksize = 3});
  EXPECT_EQ(outcomes[0].value().value, 0);
  EXPECT_EQ(outcomes[1].error_text(), "can't be read");
  EXPECT_EQ(outcomes[2].value().value, 3);
  EXPECT_THROW((void)pool.map(make_fussy, {0, 2, 3}), std::length_error);
  EXPECT_THROW((void)pool.apply(make_fussy, 2), std::length_error);
}

TEST(PoolFace, a_pointer_hidden_in_an_argument_is_refused) {
  struct Hidden {
    Hidden() = default;
    explicit Hidden(const int* to) : address(reinterpret_cast<std::uintptr_t>(to)) {}
    std::uintptr_t address = 0;
    int more[40] = {};
  };
  const auto more = [](const Hidden& hidden) { return hidden.more[0]; };
  static const int target = 0;
  Pool pool = serial_pool();
  EXPECT_EQ(pool.apply(more, Hidden()), 0);
  EXPECT_THROW((void)pool.apply(more, Hidden(&target)), rankpool::PointerCapture);
  EXPECT_THROW((void)pool.map(more, std::vector{Hidden(&target)}), rankpool::PointerCapture);
  EXPECT_THROW((void)pool.map(more, std::list{Hidden(&target)}), rankpool::PointerCapture);
}

TEST(PoolFace, a_lambda_that_captures_by_reference_is_refused) {
  Pool pool = serial_pool();
  int offset = 3;
  EXPECT_THROW((void)pool.map([&offset](int x) { return x + offset; }, {1, 2}), rankpool::PointerCapture);
  EXPECT_EQ(pool.map([offset](int x) { return x + offset; }, {1, 2}), (std::vector<int>{4, 5}));
}

// --- inside a task --------------------------------------------------------------------------------------------------

TEST(PoolFace, calls_inside_a_task_are_refused_by_name) {
  Pool pool = serial_pool();
  const rankpool::task::TaskContext context{};
  const rankpool::task::CurrentTask current(context);
  const auto refused = [](const std::string& text, const std::string& call) {
    return text.find(call + " was called inside a task") != std::string::npos;
  };
  EXPECT_TRUE(refused(error_of([&] { (void)pool.map(square, {1}); }), "map"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.map_outcomes(square, {1}); }), "map_outcomes"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.starmap(square, {{1}}); }), "starmap"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.starmap_outcomes(square, {{1}}); }), "starmap_outcomes"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.apply(square, 1); }), "apply"));
  EXPECT_TRUE(refused(error_of([&] { pool.close(); }), "close"));
  EXPECT_TRUE(refused(error_of([&] { pool.join(); }), "join"));
  EXPECT_TRUE(refused(error_of([&] { pool.terminate(); }), "terminate"));
  EXPECT_TRUE(refused(error_of([&] { pool.shutdown(); }), "shutdown"));
  EXPECT_THROW((void)pool.map(square, {1}), std::logic_error);
}

TEST(ThisTask, answers_for_the_running_task) {
  rankpool::test::HeapResults results(42);
  const rankpool::task::Workplace workplace{.rank = 1, .slot = 5, .host = "n1"};
  const rankpool::task::TaskContext context{.results = &results, .workplace = &workplace, .attempt = 3};
  const rankpool::task::CurrentTask current(context);
  EXPECT_EQ(rankpool::this_task::index(), 42U);
  results.commit(0);
  EXPECT_EQ(rankpool::this_task::index(), 43U);
  EXPECT_EQ(rankpool::this_task::attempt(), 3U);
  EXPECT_EQ(rankpool::this_task::rank(), 1);
  EXPECT_EQ(rankpool::this_task::slot(), 5);
  EXPECT_EQ(rankpool::this_task::host(), "n1");
}

TEST(ThisTask, hears_when_it_is_to_stop) {
  std::atomic<std::uint32_t> stop{0};
  const rankpool::task::TaskContext context{.stop = &stop};
  const rankpool::task::CurrentTask current(context);
  EXPECT_FALSE(rankpool::this_task::stop_requested());
  stop = 1;
  EXPECT_TRUE(rankpool::this_task::stop_requested());
}

TEST(ThisTask, outside_a_task_says_so) {
  EXPECT_THROW((void)rankpool::this_task::index(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::attempt(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::rank(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::slot(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::rng(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::stop_requested(), std::logic_error);
  const std::string text = error_of([] { (void)rankpool::this_task::host(); });
  EXPECT_NE(text.find("this_task::host() was called outside a task"), std::string::npos) << text;
}
