// Arguments and results of gigabytes, results by the million, and streams without an end in memory that doesn't grow.
#include "pool/pool_test.hpp"
#include "pool/proc.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

/// Prints how long a case took and what memory this process and all together have at its end.
class Report {
 public:
  Report() = default;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    std::cout << testing::UnitTest::GetInstance()->current_test_info()->name() << ": " << elapsed.count() << " s, "
              << resident_megabytes() << " MB here, " << resident_megabytes_of_all() << " MB in all\n";
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// --- one by one small, all together many -----------------------------------------------------------------------------

enum class Byte : std::uint8_t {};

TEST(Million, results_of_one_byte) {
  const Report report;
  constexpr int n = 1'000'000;
  const auto bytes = pool().map([](int i) { return static_cast<std::uint8_t>(i % 251); }, std::views::iota(0, n));
  const auto chars = pool().map([](int i) { return static_cast<char>(i % 127); }, std::views::iota(0, n));
  const auto bools = pool().map([](int i) { return i % 3 == 0; }, std::views::iota(0, n));
  const auto enums = pool().map([](int i) { return static_cast<Byte>(i % 253); }, std::views::iota(0, n));
  int wrong = 0;
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    wrong += bytes.at(at) == i % 251 && chars.at(at) == i % 127 && bools.at(at) == (i % 3 == 0) &&
                     enums.at(at) == static_cast<Byte>(i % 253)
                 ? 0
                 : 1;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Million, results_of_nothing) {
  struct Nothing {};
  EXPECT_EQ(pool().map([](int) { return Nothing(); }, std::views::iota(0, 1'000'000)).size(), 1'000'000U);
  pool().map([](int) {}, std::views::iota(0, 1'000'000));
}

// --- gigabytes -------------------------------------------------------------------------------------------------------

constexpr std::size_t big = 2'200'000'000;
static_assert(big > std::size_t{1} << 31U, "more than MPI counts");

char char_at(std::size_t i) { return static_cast<char>((i >> 20U) + 7 * i); }
double double_at(std::size_t i) { return 0.5 * static_cast<double>(i); }

std::vector<char> many_chars(std::size_t n) {
  std::vector<char> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = char_at(i);
  return all;
}

std::vector<double> many_doubles(std::size_t n) {
  std::vector<double> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = double_at(i);
  return all;
}

/// @returns how many are not as many_chars() made them.
std::size_t wrong_chars(const std::vector<char>& all) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < all.size(); ++i) wrong += all[i] == char_at(i) ? 0U : 1U;
  return wrong + (all.size() == big ? 0 : 1);
}

std::size_t wrong_doubles(const std::vector<double>& all) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < all.size(); ++i) wrong += all[i] == double_at(i) ? 0U : 1U;
  return wrong + (all.size() == big / sizeof(double) ? 0 : 1);
}

TEST(Gigabytes, as_an_argument) {
  const std::vector<char> argument = many_chars(big);
  const Report report;
  EXPECT_EQ(pool().apply(wrong_chars, argument), 0U);
}

TEST(Gigabytes, as_a_result) {
  const Report report;
  EXPECT_EQ(wrong_doubles(pool().apply(many_doubles, big / sizeof(double))), 0U);
}

TEST(Gigabytes, leave_the_pool_usable_and_no_memory_behind) {
  const Report report;
  EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000));
  EXPECT_LT(resident_megabytes(), 500);
}

TEST(Millions, of_results_in_a_vector) {
  const Report report;
  constexpr int n = 10'000'000;
  const auto halves = pool().map([](int i) { return 0.5 * i; }, std::views::iota(0, n));
  ASSERT_EQ(halves.size(), std::size_t{n});
  int wrong = 0;
  for (int i = 0; i < n; ++i) wrong += halves[static_cast<std::size_t>(i)] == 0.5 * i ? 0 : 1;
  EXPECT_EQ(wrong, 0);
}

TEST(Millions, of_results_whose_size_varies) {
  const Report report;
  constexpr int n = 1'000'000;
  const auto texts = pool().map([](int i) { return std::to_string(i); }, std::views::iota(0, n));
  ASSERT_EQ(texts.size(), std::size_t{n});
  int wrong = 0;
  for (int i = 0; i < n; ++i) wrong += texts[static_cast<std::size_t>(i)] == std::to_string(i) ? 0 : 1;
  EXPECT_EQ(wrong, 0);
}

// --- streams ---------------------------------------------------------------------------------------------------------

/// Memory from the first call on: how much more there is, at most.
class Growth {
 public:
  void look() {
    const double here = resident_megabytes();
    const double all = resident_megabytes_of_all();
    if (here_ == 0) {
      here_ = most_here_ = here;
      all_ = most_all_ = all;
    }
    most_here_ = std::max(most_here_, here);
    most_all_ = std::max(most_all_, all);
  }
  [[nodiscard]] double here() const { return most_here_ - here_; }
  [[nodiscard]] double all() const { return most_all_ - all_; }

 private:
  double here_ = 0;
  double all_ = 0;
  double most_here_ = 0;
  double most_all_ = 0;
};

/// Reads `n` items of an endless stream in bursts, so that executors and buffers run full in between; the memory may
/// grow by 50 MB after the first 100,000.
template <class Stream, class IsRight>
void expect_flat_memory(Stream stream, std::int64_t n, const IsRight& is_right) {
  constexpr std::int64_t warm_up = 100'000;
  Growth growth;
  std::int64_t read = 0;
  std::int64_t wrong = 0;
  for (const auto& item : stream) {
    wrong += is_right(read, item) ? 0 : 1;
    if (++read == n) break;
    if (read % 10'000 == 0) std::this_thread::sleep_for(5ms);
    if (read % warm_up == 0) growth.look();
  }
  EXPECT_EQ(read, n);
  EXPECT_EQ(wrong, 0);
  std::cout << "memory grew by " << growth.here() << " MB here, by " << growth.all() << " MB in all\n";
  EXPECT_LT(growth.here(), 50);
  EXPECT_LT(growth.all(), 50);
}

TEST(Stream, of_ten_million_numbers_stays_in_its_memory) {
  const Report report;
  expect_flat_memory(
      pool().imap([](std::int64_t i) { return 3 * i; }, std::views::iota(std::int64_t{0}), {.buffersize = 1000}),
      10'000'000, [](std::int64_t i, std::int64_t item) { return item == 3 * i; });
}

TEST(Stream, of_a_million_texts_stays_in_its_memory) {
  const Report report;
  const auto inputs = std::views::iota(0) | std::views::transform([](int i) { return std::to_string(i); });
  expect_flat_memory(pool().imap([](const std::string& text) { return text + text; }, inputs), 1'000'000,
                     [](std::int64_t i, const std::string& item) {
                       const std::string text = std::to_string(i);
                       return item == text + text;
                     });
}

TEST(Stream, of_two_million_numbers_as_they_arrive_stays_in_its_memory) {
  const Report report;
  expect_flat_memory(
      pool().imap_unordered([](std::int64_t i) { return i; }, std::views::iota(std::int64_t{0}), {.buffersize = 5000}),
      2'000'000, [](std::int64_t i, std::int64_t item) { return item >= 0 && item < i + 10'000; });
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
