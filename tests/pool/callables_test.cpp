// LATE_LIBRARY in the environment: a shared library with `add_two` that the program is not linked with.
#include "pool/pool_test.hpp"

#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include <dlfcn.h>

#include "pool/callables_library.hpp"

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::PointerCapture;

int factor_of_the_program = 1;
int factor_of_the_initializer = 1;

const std::vector<int> inputs{0, 1, 2, 3, 4, 5, 6, 7};

std::vector<int> times(int factor) {
  std::vector<int> results = inputs;
  for (int& x : results) x *= factor;
  return results;
}

int twice(int x) { return 2 * x; }
int twice_without_throwing(int x) noexcept { return 2 * x; }
template <class T>
T twice_of(T x) {
  return x + x;
}
inline int twice_inline(int x) { return 2 * x; }

struct Numbers {
  static int twice(int x) { return 2 * x; }
};

TEST(Callable, may_be_a_function) {
  EXPECT_EQ(pool().map(twice, inputs), times(2));
  EXPECT_EQ(pool().map(&twice, inputs), times(2));
  EXPECT_EQ(pool().map(twice_without_throwing, inputs), times(2));
  EXPECT_EQ(pool().map(twice_of<int>, inputs), times(2));
  EXPECT_EQ(pool().map(twice_inline, inputs), times(2));
  EXPECT_EQ(pool().map(Numbers::twice, inputs), times(2));
}

TEST(Callable, may_be_a_function_pointer_chosen_at_run_time) {
  int (*chosen)(int) = inputs.size() > 3 ? twice : twice_inline;
  EXPECT_EQ(pool().map(chosen, inputs), times(2));
  chosen = nullptr;
  EXPECT_THROW((void)pool().map(chosen, inputs), std::invalid_argument);
  EXPECT_THROW((void)pool().apply(chosen, 1), std::invalid_argument);
}

TEST(Callable, may_be_a_function_of_the_standard_library) {
  const std::vector<double> angles{0.0, 0.5, 1.0};
  double (*const sine)(double) = std::sin;
  EXPECT_EQ(pool().map(sine, angles), (std::vector<double>{std::sin(0.0), std::sin(0.5), std::sin(1.0)}));
  EXPECT_EQ(pool().map([](double x) { return std::sqrt(x); }, {4.0, 9.0}), (std::vector<double>{2, 3}));
}

TEST(Callable, may_be_a_function_known_at_compile_time) {
  EXPECT_EQ(pool().map(rankpool::fn<twice>, inputs), times(2));
  EXPECT_EQ(pool().apply(rankpool::fn<twice>, 4), 8);
}

TEST(Callable, may_be_a_lambda_without_captures) {
  EXPECT_EQ(pool().map([](int x) { return 3 * x; }, inputs), times(3));
  EXPECT_EQ(pool().map([](auto x) { return 3 * x; }, inputs), times(3));
}

TEST(Callable, may_be_a_lambda_with_captured_values) {
  const int factor = 5;
  const double unused = 0.25;
  EXPECT_EQ(pool().map([factor](int x) { return factor * x; }, inputs), times(5));
  EXPECT_EQ(pool().map([factor, unused](int x) { return unused < 1 ? factor * x : 0; }, inputs), times(5));
  // Padding between the captures is nobody's pointer.
  const char small = 1;
  const long large = 6;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(pool().apply([small, large](int x) { return static_cast<int>(small * large) * x; }, 7), 42);
  }
}

TEST(Callable, that_captures_by_reference_is_refused) {
  int factor = 5;
  const auto by_reference = [&factor](int x) { return factor * x; };
  const auto text = text_of_thrown<PointerCapture>([&] { (void)pool().map(by_reference, inputs); });
  EXPECT_TRUE(contains(text, "bind")) << text;
  EXPECT_THROW((void)pool().apply(by_reference, 1), PointerCapture);
  EXPECT_EQ(pool().map(twice, inputs), times(2));
}

TEST(Callable, that_captures_a_pointer_is_refused) {
  const auto heap = std::make_unique<int>(5);
  int* const pointer = heap.get();
  EXPECT_THROW((void)pool().map([pointer](int x) { return *pointer * x; }, inputs), PointerCapture);
  int (*const function)(int) = twice;
  EXPECT_THROW((void)pool().map([function](int x) { return function(x); }, inputs), PointerCapture);
}

struct Stateless {
  int operator()(int x) const { return 4 * x; }
};

TEST(Callable, may_be_a_functor_without_state) {
  EXPECT_EQ(pool().map(Stateless{}, inputs), times(4));
  EXPECT_EQ(pool().map(std::negate<>{}, inputs), times(-1));
  EXPECT_EQ(pool().starmap(std::plus<>{}, {std::pair{1, 2}, std::pair{3, 4}}), (std::vector{3, 7}));
}

class Polynomial {
 public:
  Polynomial() = default;
  explicit Polynomial(std::vector<int> coefficients) : coefficients_(std::move(coefficients)) {}

  int operator()(int x) const {
    return std::accumulate(coefficients_.rbegin(), coefficients_.rend(), 0,
                           [x](int sum, int c) { return sum * x + c; });
  }

  [[nodiscard]] int at(int x) const { return (*this)(x); }
  [[nodiscard]] virtual int virtual_at(int x) const { return at(x); }
  virtual ~Polynomial() = default;
  Polynomial(const Polynomial&) = default;
  Polynomial& operator=(const Polynomial&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& coefficients_;
  }

 private:
  std::vector<int> coefficients_;
};

TEST(Callable, may_be_a_functor_with_serialize) {
  const Polynomial line({0, 7});
  EXPECT_EQ(pool().map(line, inputs), times(7));
  EXPECT_EQ(pool().apply(Polynomial({1, 2, 3}), 10), 321);
}

struct Counter {
  int calls = 0;
  int operator()(int /*unused*/) { return ++calls; }
};

TEST(Callable, may_change_its_own_copy) {
  EXPECT_EQ(pool().apply(Counter{}, 0), 1);
  for (const int calls : pool().map(Counter{}, inputs)) {
    EXPECT_GE(calls, 1);
    EXPECT_LE(calls, static_cast<int>(inputs.size()));
  }
}

struct Point {
  double x = 0;
  double y = 0;
  [[nodiscard]] double norm() const { return std::hypot(x, y); }
  [[nodiscard]] double scaled(double factor) const { return factor * x + y; }
};

TEST(Callable, may_be_a_pointer_to_a_member_function) {
  const std::vector<Point> points{{3, 4}, {5, 12}};
  EXPECT_EQ(pool().map(&Point::norm, points), (std::vector<double>{5, 13}));
  EXPECT_EQ(pool().map(rankpool::fn<&Point::norm>, points), (std::vector<double>{5, 13}));
  EXPECT_EQ(pool().map(&Point::scaled, points, std::vector{2.0, 10.0}), (std::vector<double>{10, 62}));
  EXPECT_EQ(pool().map(&std::string::size, {std::string("ab"), std::string()}), (std::vector<std::size_t>{2, 0}));
}

TEST(Callable, that_is_a_virtual_member_function_is_refused) {
  EXPECT_THROW((void)pool().apply(&Polynomial::virtual_at, Polynomial({1}), 1), std::invalid_argument);
  EXPECT_EQ(pool().apply(&Polynomial::at, Polynomial({1}), 1), 1);
}

int weighted(const std::vector<int>& weights, const std::string& name, int x) {
  return weights.at(static_cast<std::size_t>(x)) * static_cast<int>(name.size());
}

TEST(Bind, gives_the_first_arguments) {
  const std::vector<int> weights = times(1);
  EXPECT_EQ(pool().map(rankpool::bind(weighted, weights, "four"), inputs), times(4));
  EXPECT_EQ(pool().map(rankpool::bind(weighted, weights), std::vector<std::string>(8, "abc"), inputs), times(3));
  EXPECT_EQ(pool().apply(rankpool::bind(weighted, weights, std::string("12345"), 2)), 10);
}

TEST(Bind, takes_every_callable) {
  const auto scale = [](int factor, int x) { return factor * x; };
  const int base = 2;
  EXPECT_EQ(pool().map(rankpool::bind(scale, 9), inputs), times(9));
  EXPECT_EQ(pool().map(rankpool::bind([base](int factor, int x) { return base * factor * x; }, 3), inputs), times(6));
  EXPECT_EQ(pool().map(rankpool::bind(&Polynomial::at, Polynomial({0, 8})), inputs), times(8));
  EXPECT_EQ(pool().map(rankpool::bind(rankpool::fn<weighted>, times(1), "ab"), inputs), times(2));
  EXPECT_EQ(pool().map(rankpool::bind(rankpool::bind(weighted, times(1)), "ab"), inputs), times(2));
}

TEST(Bind, sends_numbers_that_look_like_pointers) {
  const auto address = reinterpret_cast<std::uintptr_t>(&factor_of_the_program);
  const auto same = [](std::uintptr_t sent, int x) { return sent % 2 == 0 ? x : x + 1; };
  EXPECT_EQ(pool().apply(rankpool::bind([](std::uintptr_t sent) { return sent; }, address)), address);
  EXPECT_EQ(pool().map(rankpool::bind(same, std::uintptr_t{2}), inputs), inputs);
}

TEST(Library, functions_run_in_tasks) {
  EXPECT_EQ(pool().apply(add_one, 1), 2);
  EXPECT_EQ(pool().map(twice_in_library, inputs), times(2));
  EXPECT_EQ(pool().map(hidden_function(), inputs), times(-1));
}

TEST(Library, loaded_after_the_start_is_refused) {
  const char* const file = std::getenv("LATE_LIBRARY");
  ASSERT_NE(file, nullptr);
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto function = reinterpret_cast<int (*)(int)>(dlsym(library, "add_two"));
  ASSERT_NE(function, nullptr);
  EXPECT_EQ(function(1), 3);
  try {
    (void)pool().map(function, inputs);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::exception& error) {
    EXPECT_TRUE(contains(error.what(), "run()")) << error.what();
    EXPECT_NE(dynamic_cast<const rankpool::Error*>(&error), nullptr);
  }
  EXPECT_EQ(pool().map(twice, inputs), times(2));
  dlclose(library);
}

int times_global(int x) { return factor_of_the_program * x; }

TEST(Globals, set_before_the_start_are_seen_in_tasks_and_later_changes_are_not) {
  factor_of_the_program = 100;  // was 12 when the executors were forked
  EXPECT_EQ(pool().map(times_global, inputs), times(12));
}

TEST(Globals, set_by_the_initializer_are_seen_in_tasks) {
  EXPECT_EQ(pool().map([](int x) { return factor_of_the_initializer * x; }, inputs), times(11));
  EXPECT_EQ(factor_of_the_initializer, 1);
}

}  // namespace

int main(int argc, char** argv) {
  factor_of_the_program = 12;
  const auto set_factor = [](int factor) { factor_of_the_initializer = factor; };
  return run_cases(argc, argv, "*", {.initializer = rankpool::bind(set_factor, 11)});
}
