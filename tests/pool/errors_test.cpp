#include "pool/pool_test.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <variant>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::RemoteError;

template <class Task>
std::exception_ptr error_of(const Task& task) {
  return pool().map_outcomes(task, {0}).at(0).exception();
}

template <class Caught>
std::string text_as(const std::exception_ptr& error) {
  return text_of_thrown<Caught>([&] { std::rethrow_exception(error); });
}

/// A task's E is caught by every clause that would catch an E, and by the pool's own.
template <class E, class... Bases>
void expect_caught_as(const std::exception_ptr& error, const std::string& text) {
  EXPECT_EQ(text_as<E>(error), text);
  EXPECT_EQ(text_as<std::exception>(error), text);
  EXPECT_EQ(text_as<RemoteError>(error), text);
  EXPECT_EQ(text_as<rankpool::Error>(error), text);
  for (const std::string& by_base : std::vector<std::string>{text_as<Bases>(error)...}) EXPECT_EQ(by_base, text);
}

// --- types -----------------------------------------------------------------------------------------------------------

template <class E>
int throw_text(int /*unused*/) {
  throw E("what went wrong");
}
template <class E>
int throw_plain(int /*unused*/) {
  throw E();
}

template <class E, class... Bases>
void expect_text_travels() {
  expect_caught_as<E, Bases...>(error_of(throw_text<E>), E("what went wrong").what());
}
template <class E, class... Bases>
void expect_plain_travels() {
  expect_caught_as<E, Bases...>(error_of(throw_plain<E>), E().what());
}

TEST(Exception, of_a_standard_type_arrives_as_that_type) {
  expect_text_travels<std::logic_error>();
  expect_text_travels<std::invalid_argument, std::logic_error>();
  expect_text_travels<std::domain_error, std::logic_error>();
  expect_text_travels<std::length_error, std::logic_error>();
  expect_text_travels<std::out_of_range, std::logic_error>();
  expect_text_travels<std::runtime_error>();
  expect_text_travels<std::range_error, std::runtime_error>();
  expect_text_travels<std::overflow_error, std::runtime_error>();
  expect_text_travels<std::underflow_error, std::runtime_error>();
  expect_plain_travels<std::bad_alloc>();
  expect_plain_travels<std::bad_array_new_length, std::bad_alloc>();
  expect_plain_travels<std::bad_cast>();
  expect_plain_travels<std::bad_typeid>();
  expect_plain_travels<std::bad_function_call>();
  expect_plain_travels<std::bad_optional_access>();
  expect_plain_travels<std::bad_variant_access>();
  expect_plain_travels<std::bad_weak_ptr>();
}

TEST(Exception, of_the_library_thrown_by_a_task_is_the_tasks) {
  expect_text_travels<rankpool::TimeoutError, std::runtime_error>();
  expect_text_travels<rankpool::CancelledError, std::runtime_error>();
  expect_text_travels<rankpool::SerializationError, std::runtime_error>();
}

TEST(Exception, of_the_system_keeps_its_code) {
  const auto error = error_of(
      [](int) -> int { throw std::system_error(std::make_error_code(std::errc::no_space_on_device), "writing"); });
  const std::string text = std::system_error(std::make_error_code(std::errc::no_space_on_device), "writing").what();
  expect_caught_as<std::system_error, std::runtime_error>(error, text);
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& caught) {
    EXPECT_EQ(caught.code(), std::errc::no_space_on_device);
  }
}

TEST(Exception, that_a_real_failure_throws_arrives) {
  EXPECT_TRUE(is_a<std::out_of_range>(error_of([](int) { return std::vector<int>(1).at(7); })));
  EXPECT_TRUE(is_a<std::invalid_argument>(error_of([](int) { return std::stoi("seven"); })));
  EXPECT_TRUE(is_a<std::filesystem::filesystem_error>(
      error_of([](int) { return std::filesystem::file_size("/no/such/file"); })));
}

struct Unregistered : std::out_of_range {
  using std::out_of_range::out_of_range;
};
struct Registered : std::runtime_error {
  Registered() : std::runtime_error("registered") {}
  explicit Registered(int new_code) : std::runtime_error("code " + std::to_string(new_code)), code(new_code) {}
  int code = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& code;
  }
};

TEST(Exception, of_a_registered_type_arrives_as_that_type_with_its_state) {
  const auto error = error_of([](int) -> int { throw Registered(77); });
  expect_caught_as<Registered, std::runtime_error>(error, "code 77");
  try {
    std::rethrow_exception(error);
  } catch (const Registered& caught) {
    EXPECT_EQ(caught.code, 77);
  }
}

TEST(Exception, of_another_type_arrives_as_its_nearest_standard_base) {
  const auto error = error_of(throw_text<Unregistered>);
  expect_caught_as<std::out_of_range, std::logic_error>(error, "what went wrong");
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& caught) {
    EXPECT_TRUE(contains(caught.type_name(), "Unregistered")) << caught.type_name();
  }
}

struct NotAnException {
  int code;
};

TEST(Exception, without_a_standard_base_arrives_with_its_types_name) {
  const auto type_of = [](const std::exception_ptr& error) -> std::string {
    EXPECT_TRUE(is_a<std::exception>(error));
    try {
      std::rethrow_exception(error);
    } catch (const RemoteError& caught) {
      EXPECT_FALSE(std::string(caught.what()).empty());
      return caught.type_name();
    }
  };
  EXPECT_EQ(type_of(error_of([](int) -> int { throw 42; })), "int");
  EXPECT_TRUE(contains(type_of(error_of([](int) -> int { throw NotAnException{1}; })), "NotAnException"));
  EXPECT_TRUE(contains(type_of(error_of([](int) -> int { throw "text"; })), "char const*"));
  EXPECT_TRUE(contains(type_of(error_of([](int) -> int { throw std::string("text"); })), "string"));
}

TEST(Exception, keeps_the_texts_of_its_causes) {
  const auto error = error_of([](int) -> int {
    try {
      try {
        throw std::invalid_argument("innermost");
      } catch (...) {
        std::throw_with_nested(std::out_of_range("middle"));
      }
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outermost"));
    }
  });
  expect_caught_as<std::runtime_error>(error, "outermost");
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& caught) {
    EXPECT_EQ(caught.causes(), (std::vector<std::string>{"middle", "innermost"}));
    EXPECT_TRUE(contains(caught.describe(), "innermost")) << caught.describe();
  }
}

TEST(Exception, tells_where_it_was_thrown) {
  const auto fails_at_17 = [](int i) {
    if (i == 17) throw std::runtime_error("seventeen");
    return i;
  };
  try {
    (void)pool().map(fails_at_17, numbers(40), {.chunksize = 4});
    FAIL() << "nothing was thrown";
  } catch (const RemoteError& error) {
    EXPECT_EQ(error.task(), 17U);
    EXPECT_EQ(error.index(), 17U);
    EXPECT_EQ(error.attempt(), 1U);
    EXPECT_GE(error.rank(), 0);
    EXPECT_GE(error.slot(), 0);
    EXPECT_FALSE(error.host().empty());
    EXPECT_EQ(error.type_name(), "std::runtime_error");
    EXPECT_TRUE(contains(error.describe(), "seventeen")) << error.describe();
    EXPECT_TRUE(contains(error.describe(), error.host())) << error.describe();
  }
}

TEST(Exception, leaves_apply_and_starmap_too) {
  EXPECT_THROW((void)pool().apply(throw_text<std::domain_error>, 1), std::domain_error);
  const auto divide = [](int a, int b) {
    if (b == 0) throw std::invalid_argument("division by zero");
    return a / b;
  };
  EXPECT_THROW((void)pool().starmap(divide, {std::pair{1, 1}, std::pair{1, 0}}), std::invalid_argument);
  EXPECT_THROW(pool().map([](int) { throw std::runtime_error("void"); }, {1}), std::runtime_error);
}

TEST(Exception, is_never_tried_again) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    if (i % 2 == 0) throw std::runtime_error("even");
  };
  (void)pool().map_outcomes(rankpool::bind(task, file.path()), numbers(50), {.max_attempts = 5});
  EXPECT_EQ(file.numbers<std::vector<int>>().size(), 50U);
}

// --- which error -----------------------------------------------------------------------------------------------------

TEST(Map, throws_the_error_of_the_lowest_index_after_all_have_ended) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    if (i == 3) std::this_thread::sleep_for(50ms);  // the lowest fails last
    append_line(path, std::to_string(i));
    if (i >= 3 && i % 2 == 1) throw std::runtime_error("task " + std::to_string(i));
    return i;
  };
  for (const int chunksize : {1, 2, 7, 50}) {
    const auto before = file.numbers<std::vector<int>>().size();
    EXPECT_EQ(text_of_thrown<std::runtime_error>(
                  [&] { (void)pool().map(rankpool::bind(task, file.path()), numbers(30), {.chunksize = chunksize}); }),
              "task 3");
    EXPECT_EQ(file.numbers<std::vector<int>>().size(), before + 30);
  }
}

TEST(Outcomes, hold_every_value_and_every_error) {
  const auto task = [](int i) {
    if (i % 3 == 0) throw std::out_of_range("task " + std::to_string(i));
    return 10 * i;
  };
  for (const int chunksize : {0, 1, 4, 100}) {
    const auto outcomes = pool().map_outcomes(task, numbers(30), {.chunksize = chunksize});
    ASSERT_EQ(outcomes.size(), 30U);
    for (int i = 0; i < 30; ++i) {
      const auto& outcome = outcomes[static_cast<std::size_t>(i)];
      ASSERT_EQ(outcome.has_value(), i % 3 != 0) << i;
      if (outcome) {
        EXPECT_EQ(*outcome, 10 * i);
        EXPECT_EQ(outcome.exception(), nullptr);
      } else {
        EXPECT_EQ(outcome.error_text(), "task " + std::to_string(i));
        EXPECT_THROW((void)outcome.value(), std::out_of_range);
      }
    }
  }
}

TEST(Outcomes, of_tuples_and_of_nothing) {
  const auto divide = [](int a, int b) {
    if (b == 0) throw std::invalid_argument("division by zero");
    return a / b;
  };
  const auto quotients = pool().starmap_outcomes(divide, {std::pair{6, 3}, std::pair{1, 0}});
  EXPECT_EQ(quotients.at(0).value(), 2);
  EXPECT_TRUE(is_a<std::invalid_argument>(quotients.at(1).exception()));
  const auto nothing = pool().map_outcomes(
      [](int i) {
        if (i == 1) throw std::runtime_error("one");
      },
      {0, 1, 2});
  EXPECT_TRUE(nothing.at(0).has_value());
  EXPECT_EQ(nothing.at(1).error_text(), "one");
  EXPECT_NO_THROW(nothing.at(2).value());
}

// --- pools inside tasks ----------------------------------------------------------------------------------------------

int run_again() {
  char name[] = "program";
  char* arguments[] = {name, nullptr};
  return rankpool::run(1, arguments, [](rankpool::Pool&) {});
}

TEST(InsideATask, run_is_refused) {
  const auto text = text_of_thrown<std::logic_error>([] { (void)pool().apply(run_again); });
  EXPECT_TRUE(contains(text, "inside a task")) << text;
  EXPECT_TRUE(contains(text, "run()")) << text;
  EXPECT_EQ(pool().map(square, {4}), std::vector{16});
}

TEST(InsideATask, prefork_is_refused) {
  EXPECT_THROW(pool().apply([] { rankpool::prefork(); }), std::logic_error);
}

TEST(InsideATask, every_pool_is_refused) {
  const auto text = text_of_thrown<std::logic_error>([] {
    (void)pool().apply([] {
      rankpool::Pool none(nullptr);
      return none.processes();
    });
  });
  EXPECT_TRUE(contains(text, "inside a task")) << text;
}

}  // namespace

int main(int argc, char** argv) {
  rankpool::register_exception<Registered>();
  return run_cases(argc, argv);
}
