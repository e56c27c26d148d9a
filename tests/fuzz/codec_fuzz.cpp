// Values as bytes: any bytes are refused, or are a value that keeps its bytes when it is sent on.
#include <exception>
#include <optional>
#include <utility>

#include <rankpool/detail/results.hpp>

#include "fuzz/codec_types.hpp"
#include "fuzz/target.hpp"
#include "launch/pool_settings.hpp"

BOOST_CLASS_EXPORT_IMPLEMENT(rankpool::fuzz::Square)
BOOST_CLASS_EXPORT_IMPLEMENT(rankpool::fuzz::Hull)
BOOST_CLASS_EXPORT_IMPLEMENT(rankpool::fuzz::Stranger)

// What Boost has made behind a pointer stays behind when its content turns out to be nonsense.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }  // NOLINT: the sanitizer's name

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using detail::ByteBuffer;
using fuzz::require;

bool same(fuzz::Bytes a, fuzz::Bytes b) { return std::ranges::equal(a, b); }

/// @returns nothing when that throws, as it may for bytes that make no sense.
template <class Decode>
auto decoded_by(const Decode& decode) {
  std::optional<decltype(decode())> value;
  try {
    value.emplace(decode());
  } catch (const std::exception&) {
    // DecodeError, what Boost throws, or std::length_error.
  }
  return value;
}

template <class T>
void look_at_value(fuzz::Bytes bytes) {
  const auto value = decoded_by([bytes] { return detail::decode<T>(bytes); });
  if (!value) return;
  ByteBuffer first;
  detail::encode_append(*value, first);
  const T again = detail::decode<T>(first.bytes());
  ByteBuffer second;
  detail::encode_append(again, second);
  require(first.size() == second.size(), "a value keeps its size when it is sent on");
  if constexpr (fuzz::has_order<T>) require(same(first.bytes(), second.bytes()), "a value keeps its bytes");
}

template <class Tuple>
void look_at_arguments(fuzz::Bytes bytes) {
  const auto encode = [](const Tuple& arguments, ByteBuffer& to) {
    std::apply([&to](const auto&... each) { detail::encode_args_append(to, each...); }, arguments);
  };
  const auto arguments = decoded_by([bytes] { return detail::decode_args<Tuple>(bytes); });
  if (!arguments) return;
  ByteBuffer first;
  encode(*arguments, first);
  const Tuple again = detail::decode_args<Tuple>(first.bytes());
  ByteBuffer second;
  encode(again, second);
  require(same(first.bytes(), second.bytes()), "arguments keep their bytes");
}

template <class R>
void look_at_results(fuzz::Bytes bytes) {
  constexpr std::uint8_t most = 16;
  const auto count = static_cast<std::uint8_t>(fuzz::take<std::uint8_t>(bytes) % (most + 1));
  if (count == 0) return;
  std::uint64_t heard = 0;
  detail::for_each_result<R>(
      3, count, bytes, [&heard](std::uint64_t, auto decode) { static_cast<void>(decode()), ++heard; },
      [&heard](std::uint64_t, const std::exception_ptr& error) {
        require(error != nullptr, "an error is one"), ++heard;
      });
  require(heard == count, "each task has a result or an error");

  detail::MapSink<R> sink;
  sink.expect(count);
  static_cast<detail::ResultSink&>(sink).values(0, count, bytes);
  const auto results = decoded_by([&sink] { return sink.take(); });
  require(!results || results->size() >= count, "there are as many results as tasks");
}

void look_at_settings(fuzz::Bytes bytes) {
  const auto settings = decoded_by([bytes] { return launch::decode_settings({bytes.begin(), bytes.end()}); });
  if (!settings) return;
  const auto first = launch::encode(*settings);
  require(same(first, launch::encode(launch::decode_settings(first))), "settings keep their bytes");
}

/// Looks at the bytes as the type of this place.
struct Look {
  std::size_t place;
  fuzz::Bytes bytes;

  template <class... Types>
  void in(fuzz::TypeList<Types...> /*list*/, auto look_at) {
    (look_if<Types>(look_at), ...);
  }
  template <class T>
  void look_if(auto look_at) {
    if (place-- == 0) look_at(static_cast<std::type_identity<T>*>(nullptr), bytes);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes = std::as_bytes(std::span(data, size));
  Look look{fuzz::take<std::uint8_t>(bytes) % (fuzz::settings_place + 1), {}};
  look.bytes = bytes;
  if (look.place == fuzz::settings_place) {
    look_at_settings(bytes);
    return 0;
  }
  look.in(fuzz::Values(), []<class T>(std::type_identity<T>*, fuzz::Bytes b) { look_at_value<T>(b); });
  look.in(fuzz::Arguments(), []<class T>(std::type_identity<T>*, fuzz::Bytes b) { look_at_arguments<T>(b); });
  look.in(fuzz::Results(), []<class T>(std::type_identity<T>*, fuzz::Bytes b) { look_at_results<T>(b); });
  return 0;
}
