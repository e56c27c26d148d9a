#include "task/exception_image.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "task/exception_kinds.hpp"
#include "task/exception_text.hpp"
#include "task/fields.hpp"

namespace rankpool::task {

namespace {

using detail::ByteBuffer;
using detail::Bytes;
using detail::RemoteReport;

constexpr std::uint32_t image_magic = 0x31584552;  // "REX1"
constexpr std::size_t most_causes = 1024;

struct ImageParts {
  std::string kind;  ///< key of the type to make; empty when there is none
  RemoteReport report;
  ByteBuffer state;
};

/// FNV-1a.
std::uint64_t checksum(Bytes bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return hash;
}

ExceptionImage encode(const ImageParts& parts) {
  ByteBuffer body;
  put_text(body, parts.kind);
  put_text(body, parts.report.type_name);
  put_text(body, parts.report.text);
  put_number<std::uint64_t>(body, parts.report.causes.size());
  for (const std::string& cause : parts.report.causes) put_text(body, cause);
  put_bytes(body, parts.state.bytes());

  ByteBuffer head;
  put_number(head, image_magic);
  put_number(head, checksum(body.bytes()));
  ExceptionImage image;
  image.reserve(head.size() + body.size());
  image.insert(image.end(), head.data(), head.data() + head.size());
  image.insert(image.end(), body.data(), body.data() + body.size());
  return image;
}

struct DecodedImage {
  std::string kind;
  RemoteReport report;
  Bytes state;
};

DecodedImage decode(Bytes image, const TaskPlace& place) {
  FieldReader reader(image);
  if (reader.number<std::uint32_t>() != image_magic) throw detail::DecodeError("it does not start as one");
  if (reader.number<std::uint64_t>() != checksum(reader.left())) throw detail::DecodeError("its checksum is wrong");
  DecodedImage decoded;
  decoded.kind = reader.text();
  decoded.report.place = place;
  decoded.report.type_name = reader.text();
  decoded.report.text = reader.text();
  const auto causes = reader.number<std::uint64_t>();
  if (causes > most_causes) throw detail::DecodeError("its chain of exceptions is too long");
  for (std::uint64_t i = 0; i < causes; ++i) decoded.report.causes.push_back(reader.text());
  decoded.state = reader.bytes();
  reader.finish();
  return decoded;
}

/// Takes the first kind whose state can be saved: when the program's own `serialize` throws, the type's standard base
/// still arrives.
bool save_kind(const KindMatch& match, ImageParts& parts) {
  parts.state.clear();
  try {
    match.kind->save(match.error, parts.state);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    parts.state.clear();
    return false;
  }
  parts.kind = match.key;
  return true;
}

void find_handled_kind(ImageParts& parts) {
  const auto accept = [&parts](const KindMatch& match) { return save_kind(match, parts); };
  try {
    throw;
  } catch (const std::exception& error) {
    match_kinds(&error, accept);
  } catch (...) {
    match_kinds(nullptr, accept);
  }
}

ExceptionImage capture_handled() {
  ImageParts parts;
  parts.report.type_name = handled_type_name();
  parts.report.text = handled_text();
  parts.report.causes = handled_causes();
  if (std::current_exception() != nullptr) find_handled_kind(parts);  // a foreign one can't be thrown again
  return encode(parts);
}

ExceptionImage capture_handled_as_serialization_error(std::string_view result_type) {
  ImageParts parts;
  parts.kind = typeid(SerializationError).name();
  parts.report.type_name = "rankpool::SerializationError";
  parts.report.causes = handled_causes();
  const std::string inner = handled_text();
  parts.report.text = "the task's result";
  if (!result_type.empty()) parts.report.text.append(" of type ").append(result_type);
  parts.report.text += " could not be serialized: " + handled_type_name() + ": " + inner;
  parts.report.causes.insert(parts.report.causes.begin(), inner);
  return encode(parts);
}

/// Memory for the report of a task that used up all there was.
class MemoryReserve {
 public:
  MemoryReserve() { refill(); }
  MemoryReserve(const MemoryReserve&) = delete;
  MemoryReserve& operator=(const MemoryReserve&) = delete;
  ~MemoryReserve() { release(); }

  void release() noexcept { delete[] memory_.exchange(nullptr); }

  void refill() noexcept {
    if (memory_.load() != nullptr) return;
    delete[] memory_.exchange(new (std::nothrow) std::byte[size]);
  }

 private:
  // Under malloc's mmap threshold: freed memory stays within the heap's limit.
  static constexpr std::size_t size = 65536;
  std::atomic<std::byte*> memory_ = nullptr;
};

MemoryReserve reserve;  // NOLINT(cert-err58-cpp): taken when the program starts, before memory can be short

template <class Capture>
ExceptionImage capture_in_any_case(Capture capture) noexcept {
  try {
    reserve.refill();
    return capture();
  } catch (...) {
    reserve.release();
  }
  try {
    return capture();
  } catch (...) {
    return {};
  }
}

std::exception_ptr unknown(const RemoteReport& report) {
  return std::make_exception_ptr(detail::UnknownRemoteError(report));
}

std::exception_ptr unknown(const TaskPlace& place, std::string text) {
  return unknown({place, "an unknown exception", std::move(text), {}});
}

std::exception_ptr rebuild_kind(const DecodedImage& image) {
  const detail::ExceptionKind* kind = image.kind.empty() ? nullptr : find_kind(image.kind);
  if (kind == nullptr) return unknown(image.report);
  try {
    return kind->rebuild(image.state, image.report);
  } catch (...) {
    RemoteReport report = image.report;
    report.text += " (arrived without its own type, which could not be made anew: " + handled_text() + ")";
    return unknown(report);
  }
}

}  // namespace

ExceptionImage capture_current_exception() noexcept { return capture_in_any_case(&capture_handled); }

ExceptionImage capture_encoding_failure(std::string_view result_type) noexcept {
  return capture_in_any_case([result_type] { return capture_handled_as_serialization_error(result_type); });
}

bool handles_lack_of_memory() noexcept {
  if (std::current_exception() == nullptr) return false;  // a foreign one
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

std::exception_ptr rebuild(Bytes image, const TaskPlace& place) {
  if (image.empty()) return unknown(place, "the task threw, and its executor had no memory left to say what");
  try {
    return rebuild_kind(decode(image, place));
  } catch (const detail::DecodeError& error) {
    return unknown(place, std::string("the task threw, but the report of its exception was damaged: ") + error.what());
  }
}

}  // namespace rankpool::task
