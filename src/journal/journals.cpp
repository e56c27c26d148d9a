#include "journal/journals.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <vector>

#include <rankpool/errors.hpp>

#include "support/unique_fd.hpp"

namespace rankpool::journal {
namespace {

/// A file that has been a journal in this process.
struct File {
  std::mutex mutex;             ///< held while it is opened, which may wait for its last owner's silence
  std::weak_ptr<Journal> open;  ///< while a pool uses it
  std::uint64_t calls = 0;      ///< that had no key of their own
};

/// Of the process, as its files are.
class Files {
 public:
  static Files& of_this_process() {
    static Files files;
    return files;
  }

  std::shared_ptr<File> file(const std::string& name) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<File>& known = files_[name];
    if (!known) known = std::make_shared<File>();
    return known;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<File>> files_;
};

/// The file's one name, whatever it is called and wherever this process goes. Makes the file where there is none.
std::string name_of(const std::string& path) {
  const support::UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file) throw JournalError("the journal " + path + " can't be used: " + std::strerror(errno));
  return std::filesystem::canonical(path).string();
}

}  // namespace

std::shared_ptr<CallLog> Journals::open_call(const std::string& path, CallIdentity identity) {
  const std::string name = name_of(path);
  const std::shared_ptr<File> file = Files::of_this_process().file(name);
  std::shared_ptr<Journal> journal;
  {
    const std::lock_guard lock(file->mutex);
    journal = file->open.lock();
    if (!journal) file->open = journal = Journal::open(name, warn_);
    identity.is_named = !identity.key.empty();
    if (!identity.is_named) identity.key = '#' + std::to_string(++file->calls);
  }
  {
    const std::lock_guard lock(mutex_);
    used_.emplace(name, journal);
  }
  return journal->open_call(identity);
}

void Journals::flush() {
  std::vector<std::shared_ptr<Journal>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, journal] : used_) all.push_back(journal);
  }
  for (const auto& journal : all) journal->flush();
}

}  // namespace rankpool::journal
