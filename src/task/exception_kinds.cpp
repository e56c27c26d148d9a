#include "task/exception_kinds.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace rankpool::task {

namespace {

using detail::ExceptionKind;

struct Registered {
  std::string key;
  const ExceptionKind* kind;
};
using Kinds = std::vector<Registered>;

/// Replaced whole, so that readers hold no lock while they call the program's own code.
class Registry {
 public:
  std::shared_ptr<const Kinds> kinds() {
    const std::lock_guard lock(mutex_);
    return kinds_;
  }

  void add(const ExceptionKind& kind) {
    const std::lock_guard lock(mutex_);
    const auto is_same = [&kind](const Registered& other) { return *other.kind->type == *kind.type; };
    if (std::ranges::any_of(*kinds_, is_same)) return;
    auto kinds = std::make_shared<Kinds>(*kinds_);
    const auto is_base = [&kind](const Registered& other) { return other.kind->catches(kind.throw_pointer); };
    kinds->insert(std::ranges::find_if(*kinds, is_base), {unused_key(kind), &kind});
    kinds_ = std::move(kinds);
  }

 private:
  // Classes of the same name in unnamed namespaces of several files are different types. All processes register them in
  // the same order.
  std::string unused_key(const ExceptionKind& kind) const {
    const std::string name = kind.type->name();
    const auto namesakes =
        std::ranges::count_if(*kinds_, [&name](const Registered& other) { return name == other.kind->type->name(); });
    return namesakes == 0 ? name : name + "#" + std::to_string(namesakes + 1);
  }

  std::mutex mutex_;
  std::shared_ptr<const Kinds> kinds_ = std::make_shared<const Kinds>();
};

Registry& registry() {
  static Registry the_registry;
  return the_registry;
}

bool is_standard(const ExceptionKind& kind) {
  return std::ranges::any_of(standard_kinds(),
                             [&kind](const ExceptionKind& standard) { return *standard.type == *kind.type; });
}

}  // namespace

bool match_kinds(const std::exception* handled, const std::function<bool(const KindMatch&)>& accept) {
  const auto accepts = [&](std::string_view key, const ExceptionKind& kind) {
    const void* error = kind.find(handled);
    return error != nullptr && accept({key, &kind, error});
  };
  const auto registered = registry().kinds();
  if (std::ranges::any_of(*registered, [&](const Registered& r) { return accepts(r.key, *r.kind); })) return true;
  return handled != nullptr && std::ranges::any_of(standard_kinds(), [&](const ExceptionKind& kind) {
           return accepts(kind.type->name(), kind);
         });
}

const ExceptionKind* find_kind(std::string_view key) {
  const auto registered = registry().kinds();
  const auto own = std::ranges::find(*registered, key, &Registered::key);
  if (own != registered->end()) return own->kind;
  const auto standard =
      std::ranges::find_if(standard_kinds(), [key](const ExceptionKind& kind) { return key == kind.type->name(); });
  return standard != standard_kinds().end() ? &*standard : nullptr;
}

}  // namespace rankpool::task

void rankpool::detail::register_exception_kind(const ExceptionKind& kind) {
  if (!task::is_standard(kind)) task::registry().add(kind);
}
