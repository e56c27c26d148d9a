#include "journal/journals.hpp"

#include <filesystem>
#include <vector>

#include <rankpool/errors.hpp>

namespace rankpool::journal {

std::shared_ptr<CallLog> Journals::open_call(const std::string& path, const CallIdentity& identity) {
  std::shared_ptr<Journal> journal;
  {
    const std::lock_guard lock(mutex_);
    std::error_code unknown;
    const std::filesystem::path whole = std::filesystem::weakly_canonical(path, unknown);
    const std::string name = unknown ? path : whole.string();
    auto known = open_.find(name);
    if (known == open_.end()) known = open_.emplace(name, Journal::open(name, warn_)).first;
    journal = known->second;
  }
  return journal->open_call(identity);
}

void Journals::flush() {
  std::vector<std::shared_ptr<Journal>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, journal] : open_) all.push_back(journal);
  }
  for (const auto& journal : all) journal->flush();
}

std::size_t Journals::count() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

}  // namespace rankpool::journal
