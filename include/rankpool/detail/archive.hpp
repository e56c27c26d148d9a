/// @file
/// Boost.Serialization archives over plain bytes: no stream, no header, no locale, every read checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <type_traits>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

// Boost's headers have warnings of their own under -Wconversion; system headers keep them quiet.
#include <boost/archive/basic_archive.hpp>
#include <boost/archive/detail/common_iarchive.hpp>
#include <boost/archive/detail/common_oarchive.hpp>
#include <boost/archive/detail/iserializer.hpp>
#include <boost/archive/detail/oserializer.hpp>
#include <boost/archive/detail/register_archive.hpp>
#include <boost/serialization/array_optimization.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/nvp.hpp>

#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/fixed_size.hpp>
#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Boost asks this for C arrays and `make_array`: elements of a fixed size go through save_array and load_array.
struct CopiesArrays {
  template <class T>  // NOLINTNEXTLINE(readability-identifier-naming): Boost's name
  struct apply : boost::mpl::bool_<fixed_size<std::remove_const_t<T>>> {};
};

template <class T, class... Types>
inline constexpr bool one_of = (... || std::is_same_v<T, Types>);

/// Boost's bookkeeping between the objects: numbers in classes of their own, not all of which are trivially copyable.
template <class T>
inline constexpr bool boost_number =
    one_of<T, boost::archive::library_version_type, boost::archive::version_type, boost::archive::class_id_type,
           boost::archive::class_id_reference_type, boost::archive::object_id_type,
           boost::archive::object_reference_type, boost::archive::tracking_type,
           boost::serialization::collection_size_type, boost::serialization::item_version_type>;

/// What Boost calls a primitive goes as it lies in memory: a compile error with advice where that loses something.
template <class T>
consteval void explain_raw_bytes() {
  static_assert(std::is_trivially_copyable_v<T> || boost_number<T>,
                "rankpool: Boost.Serialization would send this class as the bytes of the object itself, without what "
                "it owns, because of BOOST_CLASS_IMPLEMENTATION(..., primitive_type). Remove that, and give the class "
                "a serialize function; for standard classes include <rankpool/serialization.hpp>.");
}

/// Writes objects to a ByteBuffer.
class RANKPOOL_API OutputArchive final : public boost::archive::detail::common_oarchive<OutputArchive> {
 public:
  explicit OutputArchive(ByteBuffer& to) : to_(&to) {}
  OutputArchive(const OutputArchive&) = delete;
  OutputArchive& operator=(const OutputArchive&) = delete;
  ~OutputArchive() override;

  template <class T>
  void save_override(const T& value) {
    if constexpr (std::is_same_v<T, boost::archive::class_id_optional_type>) {
      // Only text formats need it.
    } else if constexpr (std::is_same_v<T, boost::archive::class_name_type>) {
      save_name(value.t);
    } else if constexpr (fixed_size<T>) {
      encode_fixed(value, to_->append(fixed_bytes<T>));
    } else if constexpr (standard<T>) {
      Standard<T>::save(*this, value);
    } else {
      boost::archive::save(*this, value);
    }
  }

  /// Boost's own small types.
  template <class T>
  void save(const T& value) {
    if constexpr (standard<T>) {
      Standard<T>::save(*this, value);
    } else {
      explain_raw_bytes<T>();
      save_binary(&value, sizeof(T));
    }
  }

  template <class T>
  void save_array(const boost::serialization::array_wrapper<T>& values, unsigned /*version*/) {
    using Value = std::remove_const_t<T>;
    encode_fixed_run<Value>(values.address(), values.count(), to_->append(values.count() * fixed_bytes<Value>));
  }

  void save_binary(const void* from, std::size_t bytes) { to_->append(from, bytes); }
  void save_count(std::uint64_t count) { save_binary(&count, sizeof(count)); }

  [[nodiscard]] ByteBuffer& buffer() { return *to_; }

  /// @returns the number under which the object that shared pointers of this type own is known, and whether it is new.
  std::pair<std::uint64_t, bool> share(const void* object, std::type_index type);

 private:
  void save_name(const char* name);

  ByteBuffer* to_;
  std::map<std::pair<const void*, std::type_index>, std::uint64_t> shared_;
};

/// Reads objects from bytes that outlive it.
class RANKPOOL_API InputArchive final : public boost::archive::detail::common_iarchive<InputArchive> {
 public:
  explicit InputArchive(Bytes from) : at_(from.data()), end_(from.data() + from.size()) {}
  InputArchive(const InputArchive&) = delete;
  InputArchive& operator=(const InputArchive&) = delete;
  ~InputArchive() override;

  template <class T>
  void load_override(T& value) {
    if constexpr (std::is_same_v<T, boost::archive::class_id_optional_type>) {
      // Only text formats need it.
    } else if constexpr (std::is_same_v<T, boost::archive::class_name_type>) {
      load_name(value.t);
    } else if constexpr (fixed_size<T>) {
      if constexpr (bitwise<T>)
        std::memcpy(static_cast<void*>(&value), take(sizeof(T)), sizeof(T));
      else
        value = decode_fixed<T>(take(fixed_bytes<T>));
    } else if constexpr (standard<T>) {
      Standard<T>::load(*this, value);
    } else {
      boost::archive::load(*this, value);
    }
  }

  template <class T>  // NOLINTNEXTLINE(bugprone-virtual-near-miss): Boost's name
  void load(T& value) {
    if constexpr (standard<T>) {
      Standard<T>::load(*this, value);
    } else {
      explain_raw_bytes<T>();
      load_binary(&value, sizeof(T));
    }
  }

  // NOLINTNEXTLINE(bugprone-virtual-near-miss): Boost's name
  void load(boost::serialization::collection_size_type& count) {
    count = boost::serialization::collection_size_type(load_count());
  }

  template <class T>
  void load_array(boost::serialization::array_wrapper<T>& values, unsigned /*version*/) {
    decode_fixed_run<T>(take_run(values.count(), fixed_bytes<T>), values.count(), values.address());
  }

  void load_binary(void* to, std::size_t bytes) {
    if (bytes != 0) std::memcpy(to, take(bytes), bytes);
  }

  /// A container's length. Lengths that what is left can't hold are refused before anyone allocates for them.
  std::uint64_t load_count();

  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  /// The next `bytes` bytes.
  /// @throws DecodeError when there are fewer.
  const std::byte* take(std::size_t bytes) {
    if (bytes > left()) [[unlikely]]
      throw_too_short("an object", bytes, left());
    return std::exchange(at_, at_ + bytes);
  }

  /// The next `count` values of `stride` bytes.
  const std::byte* take_run(std::uint64_t count, std::size_t stride) {
    if (stride != 0 && count > left() / stride) [[unlikely]]
      throw_too_short("an array", count, left() / stride);
    return take(static_cast<std::size_t>(count) * stride);
  }

  /// @throws DecodeError when bytes are left.
  void finish() const {
    if (at_ != end_) [[unlikely]]
      throw_too_long("an object", left());
  }

  /// Objects that shared pointers own, by the number OutputArchive::share gave them.
  std::vector<std::shared_ptr<void>>& shared() { return shared_; }
  /// Objects that Boost made and shared pointers own, by address.
  std::unordered_map<const void*, std::shared_ptr<void>>& owners() { return owners_; }

 private:
  void load_name(char* name);

  const std::byte* at_;
  const std::byte* end_;
  std::vector<std::shared_ptr<void>> shared_;
  std::unordered_map<const void*, std::shared_ptr<void>> owners_;
};

}  // namespace rankpool::detail

namespace boost::serialization {

template <>
struct use_array_optimization<rankpool::detail::OutputArchive> : rankpool::detail::CopiesArrays {};
template <>
struct use_array_optimization<rankpool::detail::InputArchive> : rankpool::detail::CopiesArrays {};

}  // namespace boost::serialization

BOOST_SERIALIZATION_REGISTER_ARCHIVE(rankpool::detail::OutputArchive)
BOOST_SERIALIZATION_REGISTER_ARCHIVE(rankpool::detail::InputArchive)
