#include "task/error_code_image.hpp"

#include <array>
#include <future>
#include <ios>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

namespace rankpool::task {

namespace {

/// Stands for one code of a category that only the program knows.
class ForeignCategory final : public std::error_category {
 public:
  ForeignCategory(std::string name, std::string message, int generic)
      : name_(std::move(name)), message_(std::move(message)), generic_(generic) {}

  [[nodiscard]] const char* name() const noexcept override { return name_.c_str(); }
  [[nodiscard]] std::string message(int /*value*/) const override { return message_; }
  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    return generic_ != 0 ? std::error_condition(generic_, std::generic_category()) : std::error_condition(value, *this);
  }

 private:
  std::string name_;
  std::string message_;
  int generic_;
};

// Enough for any real program; a sweep that makes a new message per task must not fill the memory.
constexpr std::size_t most_categories = 1024;

/// Codes point to their category for the rest of the program.
const std::error_category& foreign_category(const std::string& name, const std::string& message, int generic) {
  using Key = std::tuple<std::string, std::string, int>;
  static std::mutex mutex;
  static auto& categories = *new std::map<Key, ForeignCategory>;  // outlives static destructors that hold a code
  static const auto& overflow = *new ForeignCategory("unknown", "unknown error", 0);

  const std::lock_guard lock(mutex);
  const auto known = categories.find({name, message, generic});
  if (known != categories.end()) return known->second;
  if (categories.size() >= most_categories) return overflow;
  const auto added = categories.try_emplace({name, message, generic}, name, message, generic);
  return added.first->second;
}

std::array<const std::error_category*, 4> standard_categories() {
  return {&std::generic_category(), &std::system_category(), &std::iostream_category(), &std::future_category()};
}

/// The std::errc that a code stands for; 0 when it stands for none.
int generic_value(const std::error_code& code) {
  const std::error_condition condition = code.default_error_condition();
  return condition.category() == std::generic_category() ? condition.value() : 0;
}

}  // namespace

void put_error_code(detail::ByteBuffer& to, const std::error_code& code) {
  put_number(to, code.value());
  put_number(to, generic_value(code));
  put_text(to, code.category().name());
  put_text(to, code.message());
}

std::error_code take_error_code(FieldReader& from) {
  const int value = from.number<int>();
  const int generic = from.number<int>();
  const std::string name = from.text();
  const std::string message = from.text();
  for (const std::error_category* category : standard_categories()) {
    if (name == category->name()) return {value, *category};
  }
  return {value, foreign_category(name, message, generic)};
}

}  // namespace rankpool::task
