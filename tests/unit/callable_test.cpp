#include <rankpool/bind.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <rankpool/errors.hpp>

namespace {

using rankpool::detail::arguments_of_t;
using rankpool::detail::ByteBuffer;
using rankpool::detail::result_t;
using rankpool::detail::Shipped;

template <class F>
auto ship(const F& callable) {
  ByteBuffer state;
  Shipped<F>::encode(callable, state);
  EXPECT_EQ(state.size() == 0, Shipped<F>::stateless);
  return Shipped<F>::decode(state.bytes());
}

double square(double x) { return x * x; }
int add(int a, int b) noexcept { return a + b; }
std::size_t length(std::string_view text) { return text.size(); }
double sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }
int take(std::unique_ptr<int> value) { return *value; }

struct Base {
  virtual ~Base() = default;
  [[nodiscard]] virtual int polymorphic() const { return 1; }
};

struct Other {
  int other = 5;
  [[nodiscard]] int get_other() const { return other; }
};

struct First {
  int first = 1;
};

struct Model : First, Other {
  int factor = 2;
  [[nodiscard]] int scaled(int x) const { return factor * x; }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& factor& other;
  }
};

struct Table {
  std::vector<double> values;
  double operator()(std::size_t i) const { return values[i]; }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& values;
  }
};

struct Plain {
  int offset;
  int operator()(int x) const { return x + offset; }
};

TEST(Callable, functions_travel_by_their_place_in_the_program) {
  auto there = ship(&square);
  EXPECT_EQ(there, &square);
  EXPECT_EQ(there(3), 9);
  EXPECT_EQ(ship(&add)(1, 2), 3);
  double (*null)(double) = nullptr;
  EXPECT_THROW(ship(null), std::invalid_argument);
}

TEST(Callable, captureless_lambdas_have_no_state) {
  const auto twice = [](int x) { return 2 * x; };
  static_assert(Shipped<std::remove_const_t<decltype(twice)>>::stateless);
  EXPECT_EQ(ship(twice)(4), 8);
}

TEST(Callable, captured_values_travel) {
  const int n = 3;
  const double d = 0.5;
  const auto captures = [n, d](int x) { return n * x + d; };
  EXPECT_EQ(ship(captures)(2), 6.5);
  EXPECT_EQ(ship(Plain{4})(1), 5);
}

TEST(Callable, a_capture_by_reference_is_refused) {
  int n = 3;
  const auto captures = [&n](int x) { return n * x; };
  EXPECT_THROW(ship(captures), rankpool::PointerCapture);
  double (*f)(double) = square;
  EXPECT_THROW(ship([f](double x) { return f(x); }), rankpool::PointerCapture);
}

TEST(Callable, padding_is_cleared_and_never_taken_for_a_pointer) {
  struct Gap {
    char tag;
    double value;
    double operator()() const { return value; }
  };
  alignas(Gap) std::array<std::byte, sizeof(Gap)> memory;
  const void* pointer = memory.data();
  std::memcpy(memory.data(), &pointer, sizeof(pointer));
  Gap* gap = ::new (memory.data()) Gap;
  std::memcpy(memory.data(), &pointer, sizeof(pointer));
  gap->tag = 'a';
  gap->value = 2;
  EXPECT_EQ(ship(*gap)(), 2);
}

TEST(Callable, functors_with_serialize_travel) { EXPECT_EQ(ship(Table{{1, 2, 3}})(2), 3); }

TEST(Callable, member_functions_travel) {
  Model model;
  model.factor = 7;
  auto scaled = ship(&Model::scaled);
  EXPECT_EQ(std::invoke(scaled, model, 2), 14);
  int (Model::*adjusted)() const = &Model::get_other;
  EXPECT_EQ(std::invoke(ship(adjusted), model), 5);
}

TEST(Callable, virtual_and_null_member_functions_are_refused) {
  EXPECT_THROW(ship(&Base::polymorphic), std::invalid_argument);
  int (Model::*null)(int) const = nullptr;
  EXPECT_THROW(ship(null), std::invalid_argument);
}

TEST(Callable, fn_calls_the_function_itself) {
  static_assert(Shipped<rankpool::Fn<square>>::stateless);
  EXPECT_EQ(ship(rankpool::fn<square>)(3), 9);
  EXPECT_EQ(ship(rankpool::fn<&Model::scaled>)(Model{}, 4), 8);
  static_assert(std::is_same_v<arguments_of_t<rankpool::Fn<square>>, std::tuple<double>>);
}

TEST(Bind, arguments_come_first_and_stay) {
  auto bound = ship(rankpool::bind(add, 40));
  EXPECT_EQ(bound(2), 42);
  EXPECT_EQ(bound(3), 43);
  const std::vector<std::string> words{"a", "b"};
  auto pick = ship(rankpool::bind([](const std::vector<std::string>& all, std::size_t i) { return all[i]; }, words));
  EXPECT_EQ(pick(1), "b");
}

TEST(Bind, binds_every_kind_of_callable) {
  EXPECT_EQ(ship(rankpool::bind(rankpool::fn<add>, 1))(2), 3);
  Model model;
  model.factor = 3;
  EXPECT_EQ(ship(rankpool::bind(&Model::scaled, model))(5), 15);
  EXPECT_EQ(ship(rankpool::bind(Table{{4, 5}}, 1U))(), 5);
  EXPECT_EQ(ship(rankpool::bind(rankpool::bind(add, 1), 2))(), 3);
  EXPECT_EQ(ship(rankpool::bind(length, "literal"))(), 7U);
}

TEST(Bind, bound_values_are_not_checked_for_pointers) {
  const int local = 0;
  const auto number = reinterpret_cast<std::uintptr_t>(&local);
  EXPECT_THROW(ship([number](int x) { return number + static_cast<unsigned>(x); }), rankpool::PointerCapture);
  auto bound = ship(rankpool::bind([](std::uintptr_t n, int x) { return n + static_cast<unsigned>(x); }, number));
  EXPECT_EQ(bound(1), number + 1);
}

TEST(Bind, what_is_left_is_its_signature) {
  static_assert(std::is_same_v<arguments_of_t<decltype(rankpool::bind(add, 1))>, std::tuple<int>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(rankpool::bind(square, 1.0))>, std::tuple<>>);
}

TEST(Signature, parameters_own_what_they_take) {
  const auto lambda = [](const std::string&, int&&) {};
  static_assert(std::is_same_v<arguments_of_t<decltype(&square)>, std::tuple<double>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(square)&>, std::tuple<double>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(&add)>, std::tuple<int, int>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(lambda)>, std::tuple<std::string, int>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(&length)>, std::tuple<std::string>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(&sum)>, std::tuple<std::vector<double>>>);
  static_assert(std::is_same_v<arguments_of_t<decltype(&Model::scaled)>, std::tuple<Model, int>>);
  const auto generic = [](auto x) { return x; };
  static_assert(std::is_void_v<arguments_of_t<decltype(generic)>>);
  static_assert(std::is_void_v<arguments_of_t<int>>);
}

TEST(Result, is_what_the_task_returns) {
  static_assert(std::is_same_v<result_t<decltype(square)&, double>, double>);
  static_assert(std::is_same_v<result_t<decltype(square)&, int>, double>);
  static_assert(std::is_same_v<result_t<decltype(length)&, const char(&)[3]>, std::size_t>);
  static_assert(std::is_same_v<result_t<decltype(sum)&, std::vector<double>>, double>);
  static_assert(std::is_same_v<result_t<decltype(take)&, std::unique_ptr<int>>, int>);
  static_assert(std::is_same_v<result_t<decltype(&Model::scaled), Model, int>, int>);
  const auto nothing = [](int) {};
  static_assert(std::is_void_v<result_t<decltype(nothing), int>>);
}

TEST(ValueCheck, classes_whose_members_are_private_are_looked_into) {
  class Hidden {
   public:
    explicit Hidden(const int* p) : pointer_(p) {}
    [[nodiscard]] const int* get() const { return pointer_; }

   private:
    const int* pointer_;
  };
  const int local = 0;
  EXPECT_THROW(rankpool::detail::check_value_for_pointers(Hidden(&local)), rankpool::PointerCapture);
  EXPECT_THROW(rankpool::detail::check_value_for_pointers(std::vector{Hidden(&local)}), rankpool::PointerCapture);
  EXPECT_NO_THROW(rankpool::detail::check_value_for_pointers(Hidden(nullptr)));
  const auto number = reinterpret_cast<std::uintptr_t>(&local);
  EXPECT_NO_THROW(rankpool::detail::check_value_for_pointers(number));
}

}  // namespace
