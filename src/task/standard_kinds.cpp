#include <any>
#include <array>
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
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>

#include <rankpool/errors.hpp>

#include "task/error_code_image.hpp"
#include "task/exception_kinds.hpp"
#include "task/fields.hpp"

namespace rankpool::task {

namespace {

using detail::ByteBuffer;
using detail::Bytes;
using detail::ExceptionKind;
using detail::RemoteReport;

/// How the state of E travels: nothing of it. E is made from its text where that is possible.
template <class E>
struct State {
  static void save(const E& /*error*/, ByteBuffer& /*state*/) {}
  static E load(FieldReader& /*state*/, const RemoteReport& report) { return detail::make_exception_object<E>(report); }
};

/// what() of a system_error is the text given to its constructor, then that of its code.
std::string text_without_code(const std::system_error& error) {
  std::string text = error.std::system_error::what();
  const std::string code = error.code().message();
  if (text == code) return {};
  if (text.ends_with(": " + code)) text.resize(text.size() - code.size() - 2);
  return text;
}

void save_system_error(const std::system_error& error, ByteBuffer& state) {
  put_error_code(state, error.code());
  put_text(state, text_without_code(error));
}

template <>
struct State<std::system_error> {
  static void save(const std::system_error& error, ByteBuffer& state) { save_system_error(error, state); }
  static std::system_error load(FieldReader& state, const RemoteReport& /*report*/) {
    const std::error_code code = take_error_code(state);
    const std::string text = state.text();
    return text.empty() ? std::system_error(code) : std::system_error(code, text);
  }
};

template <>
struct State<std::ios_base::failure> {
  static void save(const std::ios_base::failure& error, ByteBuffer& state) { save_system_error(error, state); }
  static std::ios_base::failure load(FieldReader& state, const RemoteReport& /*report*/) {
    const std::error_code code = take_error_code(state);
    return std::ios_base::failure(state.text(), code);
  }
};

template <>
struct State<std::filesystem::filesystem_error> {
  static void save(const std::filesystem::filesystem_error& error, ByteBuffer& state) {
    save_system_error(error, state);
    put_text(state, error.path1().native());
    put_text(state, error.path2().native());
  }
  static std::filesystem::filesystem_error load(FieldReader& state, const RemoteReport& /*report*/) {
    const std::error_code code = take_error_code(state);
    const std::string text = state.text();
    const std::filesystem::path first = state.text();
    const std::filesystem::path second = state.text();
    return {text, first, second, code};
  }
};

template <>
struct State<std::future_error> {
  static void save(const std::future_error& error, ByteBuffer& state) { put_number(state, error.code().value()); }
  static std::future_error load(FieldReader& state, const RemoteReport& /*report*/) {
    return std::future_error(static_cast<std::future_errc>(state.number<int>()));
  }
};

template <>
struct State<std::regex_error> {
  // Implementations have codes of their own above the standard's thirteen; this many fit the enumeration's bits.
  static constexpr int greatest_code = 15;

  static void save(const std::regex_error& error, ByteBuffer& state) {
    put_number(state, static_cast<int>(error.code()));
  }
  static std::regex_error load(FieldReader& state, const RemoteReport& /*report*/) {
    const int code = state.number<int>();
    if (code < 0 || code > greatest_code) throw detail::DecodeError("no such error of a regular expression");
    return std::regex_error(static_cast<std::regex_constants::error_type>(code));
  }
};

template <>
struct State<WorkerLost> {
  static constexpr int none = -1;
  static void save(const WorkerLost& error, ByteBuffer& state) {
    put_number(state, error.signal().value_or(none));
    put_number(state, error.exit_code().value_or(none));
    put_number(state, error.pid());
  }
  static WorkerLost load(FieldReader& state, const RemoteReport& report) {
    const auto known = [](int number) { return number == none ? std::nullopt : std::optional<int>(number); };
    const auto signal = known(state.number<int>());
    const auto exit_code = known(state.number<int>());
    return WorkerLost(report.text, report.place, signal, exit_code, state.number<int>());
  }
};

template <class E>
void save_state(const void* error, ByteBuffer& state) {
  State<E>::save(*static_cast<const E*>(error), state);
}

template <class E>
std::exception_ptr rebuild(Bytes state, RemoteReport report) {
  FieldReader reader(state);
  E error = State<E>::load(reader, report);
  reader.finish();
  return detail::make_remote(std::move(error), std::move(report));
}

/// Listed in order, so that nobody asks which is derived from which.
template <class E>
constexpr ExceptionKind kind_of{&typeid(E), &detail::find_handled<E>, &save_state<E>, &rebuild<E>, nullptr, nullptr};

template <class... Es>
constexpr std::array<ExceptionKind, sizeof...(Es)> kinds_of{kind_of<Es>...};

constexpr const auto& standard =
    kinds_of<WorkerLost, TaskTimeout, TimeoutError, PoolClosed, CancelledError, SerializationError, BrokenPool,
             BinaryMismatch, PointerCapture, Deadlock, QueueClosed,  //
             std::filesystem::filesystem_error, std::ios_base::failure, std::system_error, std::regex_error,
             std::range_error, std::overflow_error, std::underflow_error, std::runtime_error,  //
             std::future_error, std::invalid_argument, std::domain_error, std::length_error, std::out_of_range,
             std::logic_error,  //
             std::bad_array_new_length, std::bad_alloc, std::bad_any_cast, std::bad_cast, std::bad_typeid,
             std::bad_exception, std::bad_weak_ptr, std::bad_function_call, std::bad_optional_access,
             std::bad_variant_access, std::exception>;

}  // namespace

std::span<const ExceptionKind> standard_kinds() { return standard; }

}  // namespace rankpool::task
