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
#include <rankpool/detail/object_ledger.hpp>
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

/// Reads objects from bytes that outlive it. Bytes that make no sense end in a DecodeError, or in what Boost throws:
/// never in memory beyond what the bytes could fill, nor in a read or a jump elsewhere.
class RANKPOOL_API InputArchive final : public boost::archive::detail::common_iarchive<InputArchive> {
 public:
  explicit InputArchive(Bytes from)
      : at_(from.data()),
        end_(from.data() + from.size()),
        stack_begin_(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))) {}
  InputArchive(const InputArchive&) = delete;
  InputArchive& operator=(const InputArchive&) = delete;
  ~InputArchive() override;

  template <class T>
  void load_override(T& value) {
    if constexpr (std::is_same_v<T, boost::archive::class_id_optional_type>) {
      // Only text formats need it.
    } else if constexpr (std::is_same_v<T, boost::archive::class_name_type>) {
      load_name(value.t);
    } else if constexpr (boost_number<T>) {
      load(value);
    } else if constexpr (fixed_size<T>) {
      if constexpr (copied_back<T>)
        std::memcpy(static_cast<void*>(&value), take(sizeof(T)), sizeof(T));
      else
        value = decode_fixed<T>(take(fixed_bytes<T>));
    } else if constexpr (standard<T>) {
      Standard<T>::load(*this, value);
    } else if constexpr (std::is_pointer_v<T>) {
      check_stack();
      load_pointer_or_null(value);
    } else {
      check_stack();
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

  // NOLINTBEGIN(bugprone-virtual-near-miss): Boost's names

  void load(boost::serialization::collection_size_type& count) {
    count = boost::serialization::collection_size_type(load_count());
  }
  void load(boost::archive::tracking_type& tracked) { tracked = *take(1) != std::byte{0}; }
  void load(boost::archive::version_type& version);
  void load(boost::archive::object_id_type& number);

  // In place of the base's members of these names: Boost's templates call the archive's own.
  void register_basic_serializer(const ObjectLedger::Class& kind) {
    ledger_.enter(kind);
    basic_iarchive::register_basic_serializer(kind);
  }
  void load_object(void* object, const ObjectLedger::Class& kind) {
    ledger_.begin_object(kind);
    basic_iarchive::load_object(object, kind);
  }
  const ObjectLedger::PointerClass* load_pointer(void*& object, const ObjectLedger::PointerClass* kind,
                                                 ObjectLedger::FindClass find) {
    const ObjectLedger::Pointer entry(ledger_, {at_, end_}, kind, find);
    return basic_iarchive::load_pointer(object, kind, find);
  }

  // NOLINTEND(bugprone-virtual-near-miss)

  template <class T>
  void load_array(boost::serialization::array_wrapper<T>& values, unsigned /*version*/) {
    decode_fixed_run<T>(take_run(values.count(), fixed_bytes<T>), values.count(), values.address());
  }

  void load_binary(void* to, std::size_t bytes) {
    if (bytes != 0) std::memcpy(to, take(bytes), bytes);
  }

  /// A container's length. Lengths that what is left can't hold are refused before anyone allocates for them.
  /// @param least bytes that each element takes at least.
  std::uint64_t load_count(std::size_t least = 0);

  /// To be called for each element of a container, with what left() was before it: an element may take no bytes, but
  /// not any number of them.
  void count_element(std::size_t left_before) {
    if (left() == left_before) [[unlikely]]
      count_free_element();
  }

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

  struct SharedObject {
    std::shared_ptr<void> object;  ///< null until it is made
    std::type_index type;
  };

  /// Objects that shared pointers own, by the number OutputArchive::share gave them.
  std::vector<SharedObject>& shared() { return shared_; }
  /// Objects that Boost made and shared pointers own, by address.
  std::unordered_map<const void*, std::shared_ptr<void>>& owners() { return owners_; }
  /// The classes and objects that Boost has read.
  ObjectLedger& ledger() { return ledger_; }

 private:
  void load_name(char* name);
  void count_free_element();

  // What fails half-way stays behind: nobody may take it for an object.
  template <class T>
  void load_pointer_or_null(T*& pointer) {
    try {
      boost::archive::load(*this, pointer);
    } catch (...) {
      pointer = nullptr;
      throw;
    }
  }

  /// Objects in objects in objects take stack: what nests deeper than there is stack is refused.
  void check_stack() const {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (stack_begin_ - here > always_there) [[unlikely]]
      check_stack_left(here);
  }
  static void check_stack_left(std::uintptr_t here);

  static constexpr std::size_t always_there = std::size_t{128} << 10U;

  const std::byte* at_;
  const std::byte* end_;
  std::uintptr_t stack_begin_;
  std::uint64_t free_elements_ = 0;  ///< elements of containers that took no bytes
  ObjectLedger ledger_;
  std::vector<SharedObject> shared_;
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
