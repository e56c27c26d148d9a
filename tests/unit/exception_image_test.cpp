#include "task/exception_image.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <any>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rankpool/errors.hpp>

#include "sent_exceptions.hpp"

namespace {

using namespace rankpool::test;
using rankpool::Error;
using rankpool::Remote;
using rankpool::RemoteError;
using rankpool::task::ExceptionImage;

// --- every clause, for every kind of thrown type --------------------------------------------------------------------

template <class... Bases>
struct Expect {};

/// What a task throws, and the bases that must catch it.
template <class E, class... Bases>
struct Thrown {
  using Type = E;
  using AllBases = Expect<Bases..., std::exception>;
};

template <class E>
E sample() {
  if constexpr (std::is_same_v<E, std::system_error>) {
    return {ENOENT, std::generic_category(), "opening it"};
  } else if constexpr (std::is_same_v<E, std::filesystem::filesystem_error>) {
    return {"copying", "/a", "/b", std::make_error_code(std::errc::file_exists)};
  } else if constexpr (std::is_same_v<E, std::future_error>) {
    return std::future_error(std::future_errc::broken_promise);
  } else if constexpr (std::is_same_v<E, std::regex_error>) {
    return std::regex_error(std::regex_constants::error_brack);
  } else if constexpr (std::constructible_from<E, const char*>) {
    return E("what went wrong");
  } else {
    return E();
  }
}

template <class Case>
class EveryKind : public testing::Test {};

using std::logic_error;
using std::runtime_error;
using EveryThrown = testing::Types<
    Thrown<std::exception>, Thrown<runtime_error>, Thrown<logic_error>, Thrown<std::invalid_argument, logic_error>,
    Thrown<std::domain_error, logic_error>, Thrown<std::length_error, logic_error>,
    Thrown<std::out_of_range, logic_error>, Thrown<std::range_error, runtime_error>,
    Thrown<std::overflow_error, runtime_error>, Thrown<std::underflow_error, runtime_error>, Thrown<std::bad_alloc>,
    Thrown<std::bad_array_new_length, std::bad_alloc>, Thrown<std::bad_cast>, Thrown<std::bad_any_cast, std::bad_cast>,
    Thrown<std::bad_typeid>, Thrown<std::bad_exception>, Thrown<std::bad_weak_ptr>, Thrown<std::bad_function_call>,
    Thrown<std::bad_optional_access>, Thrown<std::bad_variant_access>, Thrown<std::system_error, runtime_error>,
    Thrown<std::ios_base::failure, std::system_error, runtime_error>,
    Thrown<std::filesystem::filesystem_error, std::system_error, runtime_error>, Thrown<std::future_error, logic_error>,
    Thrown<std::regex_error, runtime_error>, Thrown<rankpool::TimeoutError, runtime_error>,
    Thrown<rankpool::PoolClosed, runtime_error>, Thrown<rankpool::CancelledError, runtime_error>,
    Thrown<rankpool::SerializationError, runtime_error>, Thrown<rankpool::BrokenPool, runtime_error>,
    Thrown<rankpool::BinaryMismatch, runtime_error>, Thrown<rankpool::PointerCapture, runtime_error>,
    Thrown<rankpool::WorkerLost, runtime_error>, Thrown<rankpool::TaskTimeout, runtime_error>>;
TYPED_TEST_SUITE(EveryKind, EveryThrown);

template <class... Bases>
void expect_bases(const std::exception_ptr& error, Expect<Bases...> /*bases*/) {
  const auto expect_one = [](bool caught, const char* base) { EXPECT_TRUE(caught) << base; };
  (expect_one(is_caught_as<Bases>(error), typeid(Bases).name()), ...);
}

TYPED_TEST(EveryKind, is_caught_as_itself_its_bases_RemoteError_and_Error) {
  using E = typename TypeParam::Type;
  const auto error = sent([] { throw sample<E>(); });
  EXPECT_TRUE(is_caught_as<E>(error));
  EXPECT_TRUE((is_caught_as<Remote<E>>(error)));
  EXPECT_TRUE(is_caught_as<RemoteError>(error));
  EXPECT_TRUE(is_caught_as<Error>(error));
  expect_bases(error, typename TypeParam::AllBases{});
}

TYPED_TEST(EveryKind, keeps_its_text_through_every_base_and_by_value) {
  using E = typename TypeParam::Type;
  const E original = sample<E>();
  const auto error = sent([&original] { throw original; });
  expect_caught<std::exception>(error, [&](const auto& caught) { EXPECT_STREQ(caught.what(), original.what()); });
  expect_caught<Error>(error, [&](const auto& caught) { EXPECT_STREQ(caught.what(), original.what()); });
  expect_caught<E>(error, [&](const E& caught) {
    const E sliced = caught;  // NOLINT: the E inside must have the text as well
    EXPECT_STREQ(sliced.what(), original.what());
  });
}

TYPED_TEST(EveryKind, tells_type_and_place) {
  const auto error = sent([] { throw sample<typename TypeParam::Type>(); });
  expect_caught<RemoteError>(error, [](const RemoteError& remote) {
    EXPECT_FALSE(contains(remote.type_name(), "__"));
    EXPECT_TRUE(remote.type_name().starts_with("std::") || remote.type_name().starts_with("rankpool::"));
    EXPECT_EQ(remote.rank(), 3);
    EXPECT_EQ(remote.host(), "node07");
    EXPECT_EQ(remote.slot(), 5);
    EXPECT_EQ(remote.task(), 17U);
    EXPECT_EQ(remote.attempt(), 2U);
    EXPECT_TRUE(remote.causes().empty());
  });
}

// --- what standard exceptions carry ---------------------------------------------------------------------------------

TEST(ExceptionImage, of_a_system_error_keeps_its_code) {
  const auto error = sent([] { throw std::system_error(EACCES, std::system_category(), "reading: it"); });
  expect_caught<std::system_error>(error, [](const std::system_error& caught) {
    EXPECT_EQ(caught.code(), std::error_code(EACCES, std::system_category()));
    EXPECT_EQ(caught.code(), std::errc::permission_denied);
  });
}

class MyCategory : public std::error_category {
 public:
  const char* name() const noexcept override { return "solver"; }
  std::string message(int value) const override { return "residual " + std::to_string(value); }
  std::error_condition default_error_condition(int value) const noexcept override {
    return value == 1 ? std::make_error_condition(std::errc::timed_out) : std::error_condition(value, *this);
  }
};

TEST(ExceptionImage, of_a_code_of_the_programs_own_category_keeps_value_name_message_and_condition) {
  static const MyCategory category;
  const auto error = sent([] { throw std::system_error(1, category, "step 4"); });
  expect_caught<std::system_error>(error, [](const std::system_error& caught) {
    EXPECT_EQ(caught.code().value(), 1);
    EXPECT_STREQ(caught.code().category().name(), "solver");
    EXPECT_EQ(caught.code().message(), "residual 1");
    EXPECT_EQ(caught.code(), std::errc::timed_out);
    EXPECT_STREQ(caught.what(), "step 4: residual 1");
  });
  const auto other = sent([] { throw std::system_error(2, category); });
  expect_caught<std::system_error>(other, [](const std::system_error& caught) {
    EXPECT_EQ(caught.code().message(), "residual 2");
    EXPECT_NE(caught.code(), std::errc::timed_out);
  });
}

TEST(ExceptionImage, of_a_filesystem_error_keeps_its_paths) {
  const auto error = sent([] { throw sample<std::filesystem::filesystem_error>(); });
  expect_caught<std::filesystem::filesystem_error>(error, [](const auto& caught) {
    EXPECT_EQ(caught.path1(), "/a");
    EXPECT_EQ(caught.path2(), "/b");
    EXPECT_EQ(caught.code(), std::errc::file_exists);
  });
}

TEST(ExceptionImage, of_what_streams_throw_is_an_ios_failure) {
  const auto error = sent([] {
    std::ios stream(nullptr);
    stream.exceptions(std::ios_base::badbit);
  });
  EXPECT_TRUE(is_caught_as<std::ios_base::failure>(error));
  EXPECT_EQ(remote_type(error), "std::ios_base::failure");
}

TEST(ExceptionImage, of_a_worker_lost_thrown_by_a_task_keeps_its_signal) {
  const auto error = sent([] { throw rankpool::WorkerLost("inner pool", {}, 11, {}, 99); });
  expect_caught<rankpool::WorkerLost>(error, [](const rankpool::WorkerLost& caught) {
    EXPECT_EQ(caught.signal(), 11);
    EXPECT_EQ(caught.exit_code(), std::nullopt);
    EXPECT_EQ(caught.pid(), 99);
    EXPECT_EQ(caught.rank(), 3);
  });
}

// --- types nobody registered ----------------------------------------------------------------------------------------

struct Unregistered : std::out_of_range {
  using out_of_range::out_of_range;
};
struct WithoutBase {};
enum class Colour { red };
struct NullText : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
struct TwoBases : std::runtime_error, std::logic_error {
  TwoBases() : std::runtime_error("first"), std::logic_error("second") {}
};

TEST(ExceptionImage, of_an_unregistered_type_is_its_nearest_standard_base) {
  const auto error = sent([] { throw Unregistered("row 9"); });
  EXPECT_TRUE(is_caught_as<Remote<std::out_of_range>>(error));
  EXPECT_FALSE(is_caught_as<Unregistered>(error));
  EXPECT_EQ(remote_text(error), "row 9");
  EXPECT_TRUE(contains(remote_type(error), "Unregistered"));
}

TEST(ExceptionImage, of_a_type_without_standard_base_is_a_RemoteError_with_the_types_name) {
  const auto error = sent([] { throw WithoutBase(); });
  EXPECT_TRUE(contains(remote_type(error), "WithoutBase"));
  EXPECT_TRUE(contains(remote_text(error), "WithoutBase"));
  EXPECT_TRUE(contains(remote_type(sent([] { throw Colour::red; })), "Colour"));
}

TEST(ExceptionImage, of_a_plain_value_tells_the_value) {
  EXPECT_EQ(remote_text(sent([] { throw 42; })), "exception of type int: 42");
  EXPECT_EQ(remote_type(sent([] { throw 42; })), "int");
  EXPECT_EQ(remote_text(sent([] { throw -7L; })), "exception of type long: -7");
  EXPECT_EQ(remote_text(sent([] { throw 2.5; })), "exception of type double: 2.5");
  EXPECT_EQ(remote_text(sent([] { throw true; })), "exception of type bool: true");
  EXPECT_EQ(remote_text(sent([] { throw 'x'; })), "exception of type char: x");
  EXPECT_EQ(remote_text(sent([] { throw "boom"; })), "exception of type char const*: boom");
  EXPECT_EQ(remote_text(sent([] { throw std::string("boom"); })), "exception of type std::string: boom");
  EXPECT_TRUE(contains(remote_text(sent([] { throw static_cast<const char*>(nullptr); })), "char const*"));
  EXPECT_TRUE(contains(remote_text(sent([] { throw std::make_error_code(std::errc::timed_out); })), "timed out"));
}

TEST(ExceptionImage, of_a_null_what_has_a_text) {
  const std::string text = remote_text(sent([] { throw NullText(); }));
  EXPECT_TRUE(contains(text, "NullText without a text")) << text;
}

TEST(ExceptionImage, of_a_type_with_two_std_exceptions_is_a_RemoteError) {
  const auto error = sent([] { throw TwoBases(); });
  EXPECT_TRUE(contains(remote_type(error), "TwoBases"));
}

TEST(ExceptionImage, cuts_a_text_that_is_longer_than_anyone_reads) {
  const std::string text = remote_text(sent([] { throw std::runtime_error(std::string(10'000'000, 'x')); }));
  EXPECT_LT(text.size(), 100'000U);
  EXPECT_TRUE(text.starts_with("xxx"));
}

// --- nested exceptions ----------------------------------------------------------------------------------------------

void throw_three_deep() {
  try {
    try {
      throw std::invalid_argument("no such column");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("reading the table"));
    }
  } catch (...) {
    std::throw_with_nested(std::out_of_range("task setup"));
  }
}

TEST(ExceptionImage, keeps_the_texts_of_nested_exceptions) {
  const auto error = sent([] { throw_three_deep(); });
  EXPECT_TRUE(is_caught_as<std::out_of_range>(error));
  expect_caught<RemoteError>(error, [](const RemoteError& remote) {
    EXPECT_STREQ(remote.what(), "task setup");
    EXPECT_EQ(remote.type_name(), "std::out_of_range");
    EXPECT_EQ(remote.causes(), (std::vector<std::string>{"reading the table", "no such column"}));
    EXPECT_TRUE(contains(remote.describe(), "caused by: no such column"));
  });
}

TEST(ExceptionImage, keeps_a_nested_value_without_base) {
  const auto error = sent([] {
    try {
      throw 42;
    } catch (...) {
      std::throw_with_nested(WithoutBase());
    }
  });
  expect_caught<RemoteError>(error, [](const RemoteError& remote) {
    EXPECT_FALSE(contains(remote.type_name(), "_Nested")) << remote.type_name();
    EXPECT_EQ(remote.causes(), std::vector<std::string>{"exception of type int: 42"});
  });
}

// --- a result that can't be encoded ---------------------------------------------------------------------------------

ExceptionImage encoding_failure(std::string_view result_type) {
  try {
    throw_three_deep();
  } catch (...) {
    return rankpool::task::capture_encoding_failure(result_type);
  }
  return {};
}

TEST(EncodingFailure, is_a_SerializationError_that_names_the_result_and_the_inner_text) {
  const auto error = rankpool::task::rebuild(encoding_failure("Mesh"), here);
  EXPECT_TRUE(is_caught_as<rankpool::SerializationError>(error));
  EXPECT_FALSE(is_caught_as<std::out_of_range>(error));
  expect_caught<RemoteError>(error, [](const RemoteError& remote) {
    EXPECT_STREQ(remote.what(),
                 "the task's result of type Mesh could not be serialized: std::out_of_range: task setup");
    EXPECT_EQ(remote.causes(), (std::vector<std::string>{"task setup", "reading the table", "no such column"}));
    EXPECT_EQ(remote.type_name(), "rankpool::SerializationError");
  });
}

TEST(EncodingFailure, does_without_the_results_type) {
  EXPECT_EQ(remote_text(rankpool::task::rebuild(encoding_failure({}), here)),
            "the task's result could not be serialized: std::out_of_range: task setup");
}

// --- out of memory --------------------------------------------------------------------------------------------------

/// Throws bad_alloc with every byte of the heap in use, and leaves it so.
[[noreturn]] void use_up_memory() {
  const rlimit limit{64 << 20, 64 << 20};
  setrlimit(RLIMIT_DATA, &limit);
  setrlimit(RLIMIT_AS, &limit);
  for (std::size_t size = 1 << 20; size >= 16; size /= 2) {
    while (void* memory = std::malloc(size)) static_cast<volatile char*>(memory)[0] = 1;
  }
  throw std::bad_alloc();
}

TEST(ExceptionCapture, uses_its_reserve_when_all_memory_is_used_up) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator ends the program instead";
#endif
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    try {
      use_up_memory();
    } catch (...) {
      const ExceptionImage image = rankpool::task::capture_current_exception();
      _exit(write(ends[1], image.data(), image.size()) == static_cast<ssize_t>(image.size()) ? 0 : 1);
    }
  }
  close(ends[1]);
  ExceptionImage image(4096);
  image.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(ends[0], image.data(), image.size()))));
  close(ends[0]);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(is_caught_as<std::bad_alloc>(rankpool::task::rebuild(image, here)));
}

}  // namespace
