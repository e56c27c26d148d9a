#include <cxxabi.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

#include <rankpool/detail/callable.hpp>
#include <rankpool/errors.hpp>

#include "task/mappings.hpp"

namespace rankpool::detail {

namespace {

// Nothing is mapped outside of user space, and numbers under vm.mmap_min_addr's usual value are common.
constexpr std::uint64_t lowest_address = 65536;
constexpr std::uint64_t end_of_user_space = std::uint64_t{1} << 47U;

bool may_be_address(std::uint64_t word) { return word >= lowest_address && word < end_of_user_space; }

/// The mappings as last read. What was mapped may be gone and new ones may be there, so an answer that matters is
/// checked against a fresh reading, once for each object.
class MappingCache {
 public:
  struct Check {
    bool fresh = false;
  };

  bool contains(std::uint64_t word, Check& check) {
    const std::scoped_lock lock(mutex_);
    if (!mappings_) refresh(check);
    const bool found = mappings_->contains(word);
    if (check.fresh || (!found && !mappings_->in_range(word))) return found;
    refresh(check);
    return mappings_->contains(word);
  }

 private:
  void refresh(Check& check) {
    mappings_ = task::Mappings::read();
    check.fresh = true;
  }

  std::mutex mutex_;
  std::optional<task::Mappings> mappings_;
};

MappingCache& cache() {
  static MappingCache instance;
  return instance;
}

std::string readable(const char* type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(type, nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type;
}

[[noreturn]] void refuse(std::size_t offset, std::uint64_t word, const char* type) {
  std::array<char, 16> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), word, 16);
  throw PointerCapture("rankpool: the 8 bytes at offset " + std::to_string(offset) + " of " + readable(type) + " (0x" +
                       std::string(digits.data(), result.ptr) +
                       ") look like a pointer into this process, such as a capture by reference or a captured pointer "
                       "or function pointer. It would mean nothing in another process. Capture the value itself; if "
                       "it is a number that only looks like a pointer, give it with rankpool::bind(f, value), which "
                       "isn't checked.");
}

}  // namespace

void check_for_pointers(Bytes object, const char* type) {
  MappingCache::Check check;
  for (std::size_t offset = 0; offset + sizeof(std::uint64_t) <= object.size(); offset += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, object.data() + offset, sizeof(word));
    if (may_be_address(word) && cache().contains(word, check)) refuse(offset, word, type);
  }
}

void MemberFunctionParts::check() const {
#if defined(__x86_64__)
  const bool is_virtual = (reinterpret_cast<std::uintptr_t>(function) & 1U) != 0;
#elif defined(__aarch64__)
  const bool is_virtual = (static_cast<std::uintptr_t>(adjustment) & 1U) != 0;
#else
#error "rankpool: where this ABI flags pointers to virtual member functions is not known"
#endif
  if (is_virtual) {
    throw std::invalid_argument(
        "rankpool: a pointer to a virtual member function can't be sent. Give a lambda that calls it: [](const Base& "
        "object) { return object.f(); }.");
  }
  if (function == nullptr) throw std::invalid_argument("rankpool: the pointer to a member function is null");
}

}  // namespace rankpool::detail
