#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/outcome.hpp>

namespace {

using rankpool::Outcome;

std::exception_ptr failure(const std::string& text) { return std::make_exception_ptr(std::out_of_range(text)); }

struct NoDefault {
  explicit NoDefault(int number) : n(number) {}
  int n;
};

TEST(Outcome, holds_the_value_of_a_task_that_ended_well) {
  Outcome<std::string> outcome = std::string("done");
  EXPECT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome);
  EXPECT_EQ(outcome.value(), "done");
  EXPECT_EQ(*outcome, "done");
  EXPECT_EQ(outcome->size(), 4U);
  EXPECT_EQ(outcome.exception(), nullptr);
  EXPECT_EQ(outcome.error_text(), "");
}

TEST(Outcome, holds_the_error_of_a_task_that_failed) {
  const auto outcome = Outcome<int>::failure(failure("row 7"));
  EXPECT_FALSE(outcome.has_value());
  EXPECT_FALSE(outcome);
  EXPECT_NE(outcome.exception(), nullptr);
  EXPECT_EQ(outcome.error_text(), "row 7");
}

TEST(Outcome, value_throws_the_stored_error_each_time_for_every_value_category) {
  auto outcome = Outcome<int>::failure(failure("row 7"));
  EXPECT_THROW((void)outcome.value(), std::out_of_range);
  EXPECT_THROW((void)std::as_const(outcome).value(), std::out_of_range);
  EXPECT_THROW((void)std::move(outcome).value(), std::out_of_range);
}

TEST(Outcome, of_void_tells_success_from_failure) {
  const auto good = Outcome<void>::success();
  EXPECT_TRUE(good.has_value());
  EXPECT_NO_THROW(good.value());
  EXPECT_EQ(good.exception(), nullptr);
  EXPECT_EQ(good.error_text(), "");

  const auto bad = Outcome<void>::failure(failure("row 7"));
  EXPECT_FALSE(bad);
  EXPECT_THROW(bad.value(), std::out_of_range);
  EXPECT_EQ(bad.error_text(), "row 7");
}

TEST(Outcome, moves_a_move_only_value_in_and_out) {
  Outcome<std::unique_ptr<int>> outcome = std::make_unique<int>(5);
  Outcome<std::unique_ptr<int>> moved = std::move(outcome);
  const std::unique_ptr<int> value = std::move(moved).value();
  EXPECT_EQ(*value, 5);
  static_assert(!std::is_copy_constructible_v<Outcome<std::unique_ptr<int>>>);
}

TEST(Outcome, needs_no_default_constructor_of_its_value) {
  std::vector<Outcome<NoDefault>> outcomes(2);
  outcomes[1] = NoDefault(4);
  EXPECT_EQ(outcomes[1]->n, 4);
  EXPECT_FALSE(outcomes[0].has_value());
}

TEST(Outcome, of_bool_does_not_take_its_value_for_success) {
  const Outcome<bool> outcome = false;
  EXPECT_TRUE(outcome.has_value());
  EXPECT_TRUE(static_cast<bool>(outcome));
  EXPECT_FALSE(*outcome);
}

TEST(Outcome, of_an_exception_ptr_tells_value_from_error) {
  const Outcome<std::exception_ptr> value = failure("a result");
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(value.exception(), nullptr);
  EXPECT_FALSE(Outcome<std::exception_ptr>::failure(failure("an error")).has_value());
}

TEST(Outcome, without_value_and_error_is_a_clear_error) {
  const Outcome<int> nothing;
  EXPECT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.exception(), nullptr);
  EXPECT_THROW((void)nothing.value(), rankpool::BrokenPool);
  EXPECT_THROW(Outcome<void>().value(), rankpool::BrokenPool);
}

TEST(Outcome, gives_a_text_for_errors_without_a_std_base) {
  EXPECT_EQ(Outcome<int>::failure(std::make_exception_ptr(42)).error_text(), "exception of type int: 42");
}

}  // namespace
