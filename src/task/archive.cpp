#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/codec.hpp>

#include <algorithm>
#include <limits>
#include <string>

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/impl/archive_serializer_map.ipp>

namespace rankpool::detail {

namespace {

/// Elements of classes without any data take no bytes, so a few more than the bytes left are believed.
constexpr std::uint64_t always_believed_count = 65536;

/// A thread keeps buffers up to this size for its next archive.
constexpr std::size_t kept_capacity = std::size_t{1} << 20U;

thread_local ByteBuffer kept_buffer;

}  // namespace

DecodeError::~DecodeError() = default;

void throw_too_short(const char* what, std::size_t needed, std::size_t available) {
  throw DecodeError("encoded data ends too early: " + std::string(what) + " needs " + std::to_string(needed) +
                    " and there are " + std::to_string(available) +
                    ". If the type has a serialize function, do its save and load agree?");
}

void throw_too_long(const char* what, std::size_t surplus) {
  throw DecodeError("encoded data goes on for " + std::to_string(surplus) + " bytes after the end of " + what +
                    ". If the type has a serialize function, do its save and load agree?");
}

void ByteBuffer::grow(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() / 2 - size_) throw std::bad_alloc();
  const std::size_t capacity = std::max({size_ + bytes, capacity_ * 2, std::size_t{256}});
  auto* grown = static_cast<std::byte*>(std::realloc(data_.get(), capacity));
  if (grown == nullptr) throw std::bad_alloc();
  (void)data_.release();
  data_.reset(grown);
  capacity_ = capacity;
}

ScratchBuffer::ScratchBuffer() : buffer_(std::move(kept_buffer)) { buffer_.clear(); }

ScratchBuffer::~ScratchBuffer() {
  if (buffer_.capacity() <= kept_capacity) kept_buffer = std::move(buffer_);
}

OutputArchive::~OutputArchive() = default;

void OutputArchive::save_name(const char* name) {
  const std::size_t length = std::strlen(name);
  save_count(length);
  save_binary(name, length);
}

std::pair<std::uint64_t, bool> OutputArchive::share(const void* object, std::type_index type) {
  const auto [place, is_new] = shared_.try_emplace({object, type}, shared_.size() + 1);
  return {place->second, is_new};
}

InputArchive::~InputArchive() = default;

std::uint64_t InputArchive::load_count() {
  std::uint64_t count = 0;
  load_binary(&count, sizeof(count));
  if (count > left() && count > always_believed_count) throw_too_short("a container", count, left());
  return count;
}

void InputArchive::load_name(char* name) {
  const std::uint64_t length = load_count();
  if (length >= BOOST_SERIALIZATION_MAX_KEY_SIZE) {
    throw boost::archive::archive_exception(boost::archive::archive_exception::invalid_class_name);
  }
  load_binary(name, static_cast<std::size_t>(length));
  name[length] = '\0';
}

}  // namespace rankpool::detail

template class boost::archive::detail::archive_serializer_map<rankpool::detail::OutputArchive>;
template class boost::archive::detail::archive_serializer_map<rankpool::detail::InputArchive>;
