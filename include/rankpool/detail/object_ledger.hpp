/// @file
/// What Boost.Serialization knows of the classes and objects of an archive that it reads, kept a second time. Boost
/// takes the numbers of both from the archive and believes them: as indices, and that the object found there is of the
/// right class. Here they are looked at first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <boost/archive/detail/basic_iserializer.hpp>
#include <boost/archive/detail/basic_pointer_iserializer.hpp>

#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Every member that finds nonsense throws DecodeError.
class RANKPOOL_API ObjectLedger {
 public:
  using Class = boost::archive::detail::basic_iserializer;
  using PointerClass = boost::archive::detail::basic_pointer_iserializer;
  using FindClass = const PointerClass* (*)(const boost::serialization::extended_type_info&);

  /// Boost gives the class the next number, if it has none yet.
  void enter(const Class& kind) {
    if (current_ >= classes_.size() || classes_[current_] != &kind) current_ = number_of(kind);
  }

  /// An object of this class is about to be read where it is.
  void begin_object(const Class& kind) {
    enter(kind);
    pointer_ = nullptr;
  }

  /// An object behind a pointer is read: from construction to destruction.
  class Pointer {
   public:
    /// @param ahead the bytes that Boost is going to read: the number of its class, and where the class is new its
    /// name.
    /// @param kind the class that the pointer names; null for an abstract one.
    Pointer(ObjectLedger& ledger, Bytes ahead, const PointerClass* kind, FindClass find);
    Pointer(const Pointer&) = delete;
    Pointer& operator=(const Pointer&) = delete;
    ~Pointer() {
      ledger_.last_ = object_;
      ledger_.pointer_ = outer_;
    }

   private:
    friend class ObjectLedger;
    ObjectLedger& ledger_;
    Pointer* outer_;
    std::size_t object_ = untracked;
  };

  /// Boost has read this number as that of the object.
  void number_object(std::size_t number);

  /// Boost has read this number as the version of the class.
  void check_version(std::size_t version) const;

  /// The object of the last pointer gets an owner: the only one, or one of several. Objects that were not made behind a
  /// pointer have one already.
  void own_alone() { own(Owner::one); }
  void own_together() { own(Owner::several); }

 private:
  enum class Owner : std::uint8_t { none, one, several, place };

  struct Object {
    std::size_t kind;  ///< place in classes_
    Owner owner;
  };

  static constexpr std::size_t untracked = static_cast<std::size_t>(-1);

  std::size_t number_of(const Class& kind);
  void enter_new(const Class& kind);
  void own(Owner owner);

  std::vector<const Class*> classes_;
  std::vector<Object> objects_;
  std::size_t current_ = 0;     ///< place in classes_ of what is read
  Pointer* pointer_ = nullptr;  ///< through which it is read; null: none
  std::size_t last_ = untracked;
};

}  // namespace rankpool::detail
