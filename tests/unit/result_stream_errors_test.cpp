// Errors in streams of results: of tasks, and of inputs.
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "stream_helpers.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Outcome;
using rankpool::OutcomeStream;
using rankpool::RemoteError;

namespace {

// --- errors of tasks -------------------------------------------------------------------------------------------------

TEST(ResultStream, throws_a_tasks_error_in_its_place_and_goes_on) {
  for (const int chunksize : {1, 2, 5, 6, 7, 20}) {
    Streams streams(shuffled(4));
    auto stream = streams.pool.imap(odd_only, numbers(7), {.chunksize = chunksize});
    for (int x = 0; x < 7; ++x) {
      if (x % 2 == 1) {
        EXPECT_EQ(stream.next(1s), x);
      } else {
        EXPECT_EQ(error_of<std::out_of_range>([&] { (void)stream.next(); }), std::to_string(x) + " is even");
      }
    }
    expect_end(stream);
  }
}

TEST(ResultStream, a_loop_throws_a_tasks_error_and_another_goes_on) {
  Streams streams;
  auto stream = streams.pool.imap(odd_only, numbers(5), {.chunksize = 3});
  std::vector<int> seen;
  std::vector<std::string> errors;
  for (bool more = true; more;) {
    try {
      for (const int x : stream) seen.push_back(x);
      more = false;
    } catch (const std::out_of_range& error) {
      errors.emplace_back(error.what());
    }
  }
  EXPECT_EQ(seen, (std::vector{1, 3}));
  EXPECT_EQ(errors, (std::vector<std::string>{"0 is even", "2 is even", "4 is even"}));
  expect_end(stream);
}

TEST(ResultStream, an_iterator_at_an_error_throws_it_and_can_go_on) {
  Streams streams;
  auto stream = streams.pool.imap(odd_only, std::vector{1, 2, 3});
  auto it = stream.begin();
  EXPECT_EQ(*it, 1);
  EXPECT_THROW(++it, std::out_of_range);
  EXPECT_FALSE(it == stream.end());
  EXPECT_THROW((void)*it, std::out_of_range);
  ++it;
  EXPECT_EQ(*it, 3);
  ++it;
  EXPECT_TRUE(it == stream.end());
}

TEST(ResultStream, outcomes_give_every_value_and_every_error) {
  Streams streams(shuffled(5));
  std::vector<std::string> texts;
  for (Outcome<int>& outcome : streams.pool.imap(odd_only, numbers(4), {.chunksize = 2}).outcomes()) {
    texts.push_back(outcome ? std::to_string(*outcome) : outcome.error_text());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"0 is even", "1", "2 is even", "3"}));
}

TEST(ResultStream, and_its_outcomes_are_one_stream) {
  Streams streams;
  auto stream = streams.pool.imap(odd_only, numbers(6));
  EXPECT_FALSE(stream.outcomes().next()->has_value());
  EXPECT_EQ(stream.next(), 1);
  OutcomeStream<int> outcomes = stream.outcomes();
  stream = {};
  EXPECT_EQ(streams.core->drops(), 0);
  EXPECT_FALSE(outcomes.next(1s)->has_value());
  EXPECT_EQ(rest_of(outcomes).size(), 3U);
  EXPECT_FALSE(outcomes.next());
}

struct Unreadable {
  int value = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value;
    if (Archive::is_loading::value && value == 1) throw std::length_error("can't be read");
  }
};

TEST(ResultStream, a_result_that_cannot_be_read_is_its_tasks_error) {
  Streams streams;
  auto stream = streams.pool.imap([](int x) { return Unreadable{x}; }, numbers(3), {.chunksize = 3});
  EXPECT_EQ(stream.next()->value, 0);
  EXPECT_EQ(error_of<std::length_error>([&] { (void)stream.next(); }), "can't be read");
  EXPECT_EQ(stream.next()->value, 2);
}

// --- errors of inputs ------------------------------------------------------------------------------------------------

TEST(ResultStream, gives_all_that_was_drawn_before_an_input_threw) {
  for (const int bad : {0, 3, 7}) {
    for (const int buffersize : {0, 1, 3, 100}) {
      for (const int chunksize : {1, 4}) {
        Streams streams(shuffled(6));
        Source source(20, bad);
        auto stream = streams.pool.imap(square, source, {.buffersize = buffersize, .chunksize = chunksize});
        for (int x = 0; x < bad; ++x) EXPECT_EQ(stream.next(), x * x);
        EXPECT_EQ(error_of<std::domain_error>([&] { (void)stream.next(); }), "no item " + std::to_string(bad));
        expect_end(stream);
        EXPECT_EQ(source.throws(), 1);
        EXPECT_EQ(streams.core->drops(), 0);
      }
    }
  }
}

TEST(ResultStream, the_inputs_error_is_the_very_exception) {
  Streams streams;
  Source source(20, 0);
  auto stream = streams.pool.imap(same, source);
  try {
    (void)stream.outcomes().next();
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_EQ(typeid(error), typeid(std::domain_error));
    EXPECT_EQ(dynamic_cast<const RemoteError*>(&error), nullptr);
  }
  expect_end(stream);
}

struct Unwritable {
  int value = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    if (Archive::is_saving::value && value == 2) throw std::length_error("can't be written");
    archive& value;
  }
};

TEST(ResultStream, an_argument_that_cannot_be_written_ends_the_inputs) {
  Streams streams;
  const auto value = [](const Unwritable& unwritable) { return unwritable.value; };
  auto stream = streams.pool.imap(value, std::vector<Unwritable>{{0}, {1}, {2}, {3}});
  EXPECT_EQ(stream.next(), 0);
  EXPECT_EQ(stream.next(), 1);
  EXPECT_THROW((void)stream.next(), std::length_error);
  expect_end(stream);
}

TEST(ResultStream, options_that_make_no_sense_are_refused) {
  Streams streams;
  EXPECT_EQ(error_of<std::invalid_argument>([&] { (void)streams.pool.imap(square, numbers(3), {.buffersize = -1}); }),
            "buffersize must be 0 (automatic) or positive, not -1");
  EXPECT_THROW((void)streams.pool.map(square, numbers(3), {.buffersize = -1}), std::invalid_argument);
  EXPECT_THROW((void)streams.pool.imap(square, numbers(3), {.chunksize = -2}), std::invalid_argument);
  EXPECT_THROW((void)streams.pool.imap(square, numbers(3), {.timeout = -1s}), std::invalid_argument);
}

TEST(ResultStream, a_closed_pool_refuses_it) {
  Streams streams;
  Source source;
  streams.pool.close();
  EXPECT_THROW((void)streams.pool.imap(square, source), rankpool::PoolClosed);
  EXPECT_EQ(source.drawn(), 0);
  EXPECT_EQ(streams.core->drops(), 0);
}

TEST(ResultStream, loses_nothing_where_the_pool_may_not_be_used_for_a_moment) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(10), {.buffersize = 4, .chunksize = 2});
  EXPECT_EQ(stream.next(), 0);
  streams.core->refuse_feeding(true);
  EXPECT_EQ(error_of<std::logic_error>([&] { (void)stream.next(); }), "not here");
  streams.core->refuse_feeding(false);
  EXPECT_EQ(rest_of(stream), (std::vector{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

}  // namespace
