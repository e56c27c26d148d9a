// What is thrown while arguments and results become bytes and objects again.
#include "pool/pool_test.hpp"

#include <set>
#include <stdexcept>
#include <vector>

#include <unistd.h>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::RemoteError;
using rankpool::SerializationError;

enum class Fails : std::uint8_t { never, saving, loading };

struct Fragile {
  Fails fails = Fails::never;
  int number = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& fails& number;
    if (fails == (Archive::is_saving::value ? Fails::saving : Fails::loading)) {
      throw std::domain_error(Archive::is_saving::value ? "can't be saved" : "can't be loaded");
    }
  }
};

int number_of(const Fragile& fragile) { return fragile.number; }
Fragile make_fragile(Fails fails, int number) { return {fails, number}; }

TEST(Serialization, of_an_argument_that_throws_is_the_callers_error) {
  for (int time = 0; time < 3; ++time) {
    std::vector<Fragile> inputs(20, Fragile{Fails::never, 4});
    EXPECT_EQ(pool().map(number_of, inputs), std::vector<int>(20, 4));
    inputs[11].fails = Fails::saving;
    try {
      (void)pool().map(number_of, inputs);
      FAIL() << "nothing was thrown";
    } catch (const std::domain_error& error) {
      EXPECT_STREQ(error.what(), "can't be saved");
      EXPECT_EQ(dynamic_cast<const RemoteError*>(&error), nullptr);
    }
    EXPECT_THROW((void)pool().apply(number_of, inputs[11]), std::domain_error);
    EXPECT_THROW((void)pool().apply(rankpool::bind(number_of, inputs[11])), std::domain_error);
    EXPECT_EQ(pool().map(square, numbers(20)).at(5), 25);
  }
}

TEST(Serialization, of_an_argument_that_throws_in_the_executor_is_the_tasks_error) {
  std::vector<Fragile> inputs(20, Fragile{Fails::never, 4});
  inputs[11].fails = Fails::loading;
  const auto outcomes = pool().map_outcomes(number_of, inputs, {.chunksize = 5});
  for (std::size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i].has_value(), i != 11) << i;
  EXPECT_TRUE(contains(outcomes.at(11).error_text(), "can't be loaded")) << outcomes.at(11).error_text();
}

TEST(Serialization, of_a_result_that_throws_names_both_texts_and_costs_no_executor) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(getpid()));
    return make_fragile(i % 2 == 0 ? Fails::saving : Fails::never, i);
  };
  for (int time = 0; time < 20; ++time) {
    const auto outcomes = pool().map_outcomes(rankpool::bind(task, file.path()), numbers(20), {.chunksize = 3});
    for (int i = 0; i < 20; ++i) {
      const auto& outcome = outcomes.at(static_cast<std::size_t>(i));
      ASSERT_EQ(outcome.has_value(), i % 2 == 1);
      if (outcome) {
        EXPECT_EQ(outcome->number, i);
      } else {
        ASSERT_TRUE(is_a<SerializationError>(outcome.exception())) << outcome.error_text();
        EXPECT_TRUE(is_a<RemoteError>(outcome.exception()));
        EXPECT_TRUE(contains(outcome.error_text(), "can't be saved")) << outcome.error_text();
        EXPECT_TRUE(contains(outcome.error_text(), "domain_error")) << outcome.error_text();
        EXPECT_TRUE(contains(outcome.error_text(), "result")) << outcome.error_text();
      }
    }
  }
  EXPECT_LE(file.numbers<std::set<int>>().size(), static_cast<std::size_t>(pool().processes()));
}

TEST(Serialization, of_a_result_that_throws_at_the_caller_is_that_tasks_error) {
  for (int time = 0; time < 3; ++time) {
    const auto outcomes = pool().starmap_outcomes(
        make_fragile, {std::pair{Fails::never, 1}, std::pair{Fails::loading, 2}, std::pair{Fails::never, 3}});
    EXPECT_EQ(outcomes.at(0).value().number, 1);
    EXPECT_TRUE(contains(outcomes.at(1).error_text(), "can't be loaded")) << outcomes.at(1).error_text();
    EXPECT_EQ(outcomes.at(2).value().number, 3);
    EXPECT_ANY_THROW((void)pool().apply(make_fragile, Fails::loading, 1));
  }
  EXPECT_EQ(pool().map(square, numbers(20)).at(5), 25);
}

/// Calls the pool when it is loaded, which is at the caller of the task that returned it.
struct CallsPool {
  int number = 0;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& number;
    if constexpr (Archive::is_loading::value) (void)pool().apply(square, 1);
  }
};

TEST(Serialization, of_a_result_that_calls_the_pool_is_that_tasks_error) {
  const auto make = [](int i) { return CallsPool{i}; };
  const auto outcomes = pool().map_outcomes(make, numbers(5));
  for (const auto& outcome : outcomes) {
    EXPECT_TRUE(contains(outcome.error_text(), "would wait for itself")) << outcome.error_text();
  }
  EXPECT_EQ(pool().map(square, numbers(20)).at(5), 25);
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
