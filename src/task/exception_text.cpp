#include "task/exception_text.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <cxxabi.h>

#include <rankpool/errors.hpp>

namespace rankpool::task {

namespace {

constexpr std::size_t longest_text = 65536;
constexpr std::size_t longest_chain = 64;

std::string limited(std::string_view text) {
  if (text.size() <= longest_text) return std::string(text);
  return std::string(text.substr(0, longest_text)) + "... (cut)";
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

std::string text_without_value() { return "exception of type " + handled_type_name(); }

std::string text_with_value(std::string_view value) { return text_without_value() + ": " + limited(value); }

std::string text_with_value(const char* value) {
  return value == nullptr ? text_without_value() : text_with_value(std::string_view(value));
}

std::string text_with_value(bool value) { return text_with_value(value ? "true" : "false"); }

std::string text_with_value(char value) { return text_with_value(std::string_view(&value, 1)); }

template <class Number>
std::string text_with_number(Number value) {
  std::array<char, 64> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return text_with_value(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

std::string text_of_what(const char* what) {
  return what == nullptr ? text_without_value() + " without a text" : limited(what);
}

std::string text_of_number() {
  try {
    throw;
  } catch (int value) {
    return text_with_number(value);
  } catch (unsigned value) {
    return text_with_number(value);
  } catch (long value) {
    return text_with_number(value);
  } catch (unsigned long value) {
    return text_with_number(value);
  } catch (long long value) {
    return text_with_number(value);
  } catch (unsigned long long value) {
    return text_with_number(value);
  } catch (float value) {
    return text_with_number(value);
  } catch (double value) {
    return text_with_number(value);
  } catch (...) {
    return text_without_value();
  }
}

std::exception_ptr handled_nested() {
  try {
    throw;
  } catch (const std::nested_exception& outer) {
    return outer.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

// An exception of another language, or a thread's forced unwinding, may not be thrown again.
bool is_foreign() { return std::current_exception() == nullptr; }

}  // namespace

std::string readable_type(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                         std::free);
  std::string name = status == 0 ? demangled.get() : type.name();
  replace_all(name, "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string");
  replace_all(name, "std::basic_string_view<char, std::char_traits<char> >", "std::string_view");
  replace_all(name, "std::__ios_failure", "std::ios_base::failure");
  replace_all(name, "__cxx11::", "");
  replace_all(name, "[abi:cxx11]", "");
  return name;
}

std::string handled_type_name() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr || is_foreign()) return "a foreign exception";
  std::string name = readable_type(*type);
  constexpr std::string_view wrapper = "std::_Nested_exception<";
  if (name.starts_with(wrapper) && name.ends_with('>')) {
    name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    if (name.ends_with(' ')) name.pop_back();
  }
  return name;
}

std::string handled_text() {
  if (is_foreign()) return "an exception that is not of C++";
  try {
    throw;
  } catch (const std::exception& error) {
    return text_of_what(error.what());
  } catch (const Error& error) {
    return text_of_what(error.what());
  } catch (const char* value) {
    return text_with_value(value);
  } catch (const std::string& value) {
    return text_with_value(std::string_view(value));
  } catch (const std::string_view& value) {
    return text_with_value(value);
  } catch (const std::error_code& value) {
    return text_with_value(std::string_view(value.message()));
  } catch (bool value) {
    return text_with_value(value);
  } catch (char value) {
    return text_with_value(value);
  } catch (...) {
    return text_of_number();
  }
}

std::vector<std::string> handled_causes() {
  std::vector<std::string> causes;
  if (is_foreign()) return causes;
  std::exception_ptr cause = handled_nested();
  while (cause != nullptr && causes.size() < longest_chain) {
    try {
      std::rethrow_exception(std::exchange(cause, nullptr));
    } catch (...) {
      causes.push_back(handled_text());
      cause = handled_nested();
    }
  }
  return causes;
}

}  // namespace rankpool::task
