#include <rankpool/detail/object_ledger.hpp>

#include <algorithm>
#include <array>
#include <cstring>

#include <boost/archive/basic_archive.hpp>
#include <boost/serialization/extended_type_info.hpp>

namespace rankpool::detail {

namespace {

using ClassName = std::array<char, BOOST_SERIALIZATION_MAX_KEY_SIZE>;

/// The name of a class as OutputArchive::save_name writes it; empty when it makes no sense.
ClassName read_name(Bytes ahead) {
  ClassName name{};
  std::uint64_t length = 0;
  if (ahead.size() < sizeof(length)) throw_too_short("the name of a class", sizeof(length), ahead.size());
  std::memcpy(&length, ahead.data(), sizeof(length));
  ahead = ahead.subspan(sizeof(length));
  if (length >= name.size() || length > ahead.size()) return name;
  std::memcpy(name.data(), ahead.data(), static_cast<std::size_t>(length));
  return name;
}

[[noreturn]] void throw_unknown_class() {
  throw DecodeError("a pointer to an object of a class that was never named, or that is not exported");
}

}  // namespace

std::size_t ObjectLedger::number_of(const Class& kind) {
  const auto same = [&kind](const Class* other) { return other == &kind || other->get_eti() == kind.get_eti(); };
  const auto known = std::ranges::find_if(classes_, same);
  const auto number = static_cast<std::size_t>(known - classes_.begin());
  if (known == classes_.end()) classes_.push_back(&kind);
  return number;
}

void ObjectLedger::enter_new(const Class& kind) {
  const std::size_t classes = classes_.size();
  enter(kind);
  if (classes_.size() == classes) throw DecodeError("a class has two numbers");
}

ObjectLedger::Pointer::Pointer(ObjectLedger& ledger, Bytes ahead, const PointerClass* kind, FindClass find)
    : ledger_(ledger), outer_(ledger.pointer_) {
  std::int16_t number = 0;
  static_assert(sizeof(number) == sizeof(boost::archive::class_id_type));
  if (ahead.size() < sizeof(number)) throw_too_short("a pointer", sizeof(number), ahead.size());
  std::memcpy(&number, ahead.data(), sizeof(number));
  if (number == -1) return;  // a null pointer
  if (number < 0 || static_cast<std::size_t>(number) > ledger.classes_.size()) throw_unknown_class();
  const auto place = static_cast<std::size_t>(number);
  if (place < ledger.classes_.size()) {
    if (ledger.classes_[place]->get_bpis_ptr() == nullptr) throw_unknown_class();
    ledger.current_ = place;
  } else {
    if (kind != nullptr && !kind->get_basic_serializer().is_polymorphic()) throw_unknown_class();
    const ClassName name = read_name(ahead.subspan(sizeof(number)));
    const auto* type = boost::serialization::extended_type_info::find(name.data());
    const PointerClass* actual = type != nullptr ? find(*type) : nullptr;
    if (actual == nullptr) throw_unknown_class();
    ledger.enter_new(actual->get_basic_serializer());
  }
  ledger.pointer_ = this;
}

void ObjectLedger::number_object(std::size_t number) {
  if (number > objects_.size()) throw DecodeError("an object's number is out of turn");
  if (number == objects_.size()) {
    objects_.push_back({current_, pointer_ != nullptr ? Owner::none : Owner::place});
  } else if (objects_[number].kind != current_) {
    throw DecodeError("an object is said to be the same as one of another class");
  }
  if (pointer_ != nullptr) pointer_->object_ = number;
}

void ObjectLedger::check_version(std::size_t version) const {
  if (current_ >= classes_.size()) throw DecodeError("a version of no class");
  const boost::archive::version_type known = classes_[current_]->version();
  if (version != known) {
    throw DecodeError("a class has version " + std::to_string(version) + ", which is not the program's");
  }
}

void ObjectLedger::own(Owner owner) {
  if (last_ == untracked) return;
  Owner& known = objects_[last_].owner;
  const bool shares = known == Owner::several && owner == Owner::several;
  if (known != Owner::none && !shares) throw DecodeError("an object has two owners that do not share it");
  known = owner;
}

}  // namespace rankpool::detail
