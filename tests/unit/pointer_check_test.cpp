#include <rankpool/detail/callable.hpp>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/errors.hpp>

namespace {

using rankpool::detail::check_for_pointers;

void check(std::span<const std::uint64_t> words) {
  check_for_pointers(std::as_bytes(words), typeid(std::pair<int, double>).name());
}

std::uint64_t word_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

int some_global = 1;

TEST(PointerCheck, stack_heap_globals_and_code_are_found) {
  const int local = 0;
  const auto heap = std::make_unique<int>(0);
  for (const void* pointer : {static_cast<const void*>(&local), static_cast<const void*>(heap.get()),
                              static_cast<const void*>(&some_global), reinterpret_cast<const void*>(&std::memcpy)}) {
    EXPECT_THROW(check(std::array{word_of(pointer)}), rankpool::PointerCapture) << pointer;
  }
}

TEST(PointerCheck, the_error_names_type_offset_value_and_the_way_out) {
  try {
    check(std::array{std::uint64_t{1}, word_of(&some_global)});
    FAIL() << "the pointer was not found";
  } catch (const rankpool::PointerCapture& error) {
    const std::string text = error.what();
    for (const char* part : {"offset 8", "std::pair<int, double>", "0x", "rankpool::bind"}) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    }
  }
}

TEST(PointerCheck, numbers_pass) {
  EXPECT_NO_THROW(
      check(std::array{std::uint64_t{0}, std::uint64_t{65535}, std::uint64_t{1} << 47U, ~std::uint64_t{0}}));
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 100000; ++i) {
    const double number = normal(random);
    ASSERT_NO_THROW(check_for_pointers(std::as_bytes(std::span(&number, 1)), "d")) << number;
  }
}

TEST(PointerCheck, a_mapping_made_later_is_found_and_one_that_is_gone_is_not) {
  check(std::array{word_of(nullptr)});
  EXPECT_THROW(check(std::array{word_of(&some_global)}), rankpool::PointerCapture);
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_THROW(check(std::array{word_of(page)}), rankpool::PointerCapture);
  munmap(page, 4096);
  EXPECT_NO_THROW(check(std::array{word_of(page)}));
}

TEST(PointerCheck, threads_check_at_once) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 50; ++i) EXPECT_THROW(check(std::array{word_of(&some_global)}), rankpool::PointerCapture);
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
