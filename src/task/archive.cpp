#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/codec.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include <pthread.h>

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/impl/archive_serializer_map.ipp>

namespace rankpool::detail {

namespace {

/// Elements of classes without any data take no bytes, so a few more than the bytes left are believed.
constexpr std::uint64_t most_free_elements = 65536;

/// Stack that one more level of any object is sure to fit in.
constexpr std::size_t stack_of_a_level = std::size_t{64} << 10U;

/// A thread keeps buffers up to this size for its next archive.
constexpr std::size_t kept_capacity = std::size_t{1} << 20U;

thread_local ByteBuffer kept_buffer;

struct StackBounds {
  std::uintptr_t lowest = 0;  ///< the same as highest where it is not known
  std::uintptr_t highest = 0;
};

StackBounds stack_of_this_thread() noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* lowest = nullptr;
  std::size_t size = 0;
  const int error = pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  if (error != 0) return {};
  const auto begin = reinterpret_cast<std::uintptr_t>(lowest);
  return {begin, begin + size};
}

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

std::uint64_t InputArchive::load_count(std::size_t least) {
  std::uint64_t count = 0;
  load_binary(&count, sizeof(count));
  const std::uint64_t most = least != 0 ? left() / least : std::max<std::uint64_t>(left(), most_free_elements);
  if (count > most) throw_too_short("a container", count, most);
  return count;
}

void InputArchive::count_free_element() {
  if (++free_elements_ > most_free_elements) throw DecodeError("containers of too many elements without bytes");
}

// NOLINTNEXTLINE(bugprone-virtual-near-miss): Boost's name
void InputArchive::load(boost::archive::version_type& version) {
  load_binary(&version, sizeof(version));
  ledger_.check_version(std::as_const(version));
}

// NOLINTNEXTLINE(bugprone-virtual-near-miss): Boost's name
void InputArchive::load(boost::archive::object_id_type& number) {
  load_binary(&number, sizeof(number));
  ledger_.number_object(std::as_const(number));
}

void InputArchive::check_stack_left(std::uintptr_t here) {
  thread_local const StackBounds stack = stack_of_this_thread();
  const bool is_this_stack = here >= stack.lowest && here < stack.highest;
  if (is_this_stack && here - stack.lowest < stack_of_a_level) {
    throw DecodeError("objects are nested deeper than this thread's stack is");
  }
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
