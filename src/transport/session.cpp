#include "transport/session.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <thread>
#include <utility>

#include "support/threads.hpp"

namespace rankpool::transport {
namespace {

std::atomic<std::ptrdiff_t> threads_of_mpi{0};

std::unique_ptr<boost::mpi::environment> start_mpi() {
  using boost::mpi::environment;
  if (environment::finalized()) {
    throw std::runtime_error(
        "rankpool: can't start: MPI has been finalised, and cannot be initialised twice in one "
        "process. Call rankpool before MPI_Finalize.");
  }
  if (environment::initialized()) return nullptr;
  // Then MPI_Finalize must not wait for the dead.
  if (MpiSession::outlives_ranks()) setenv("OMPI_MCA_async_mpi_finalize", "1", 0);
  // Not MPI_Abort when an exception is flying: the pool itself ends the job, with a message and a status.
  constexpr bool abort_on_exception = false;
  const auto before = support::threads_of_this_process();
  auto started = std::make_unique<environment>(boost::mpi::threading::multiple, abort_on_exception);
  const auto after = support::threads_of_this_process();
  if (before && after) threads_of_mpi = std::max<std::ptrdiff_t>(0, *after - *before);
  return started;
}

}  // namespace

bool MpiSession::outlives_ranks() {
  const char* recovery = std::getenv("OMPI_MCA_orte_enable_recovery");
  return recovery != nullptr && std::string_view(recovery) == "1";
}

std::ptrdiff_t MpiSession::threads() { return threads_of_mpi; }

// "Open MPI v4.1.4, package: ...", with other libraries a line.
std::string MpiSession::library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "MPI";
  const std::string_view version(text.data());
  return std::string(version.substr(0, version.find_first_of(",\n")));
}

MpiSession& MpiSession::start() {
  static MpiSession session;
  return session;
}

MpiSession::MpiSession() : environment_(start_mpi()), pid_(getpid()) {}

// A child that the program forked inherits the session but is no rank: MPI is not its to finalise.
MpiSession::~MpiSession() {
  if (getpid() != pid_) {
    static_cast<void>(environment_.release());
  } else {
    finalise();
  }
}

void MpiSession::finalise() {
  std::optional<std::jthread> watchdog;
  if (environment_ && loss_) {
    if (loss_->limit == std::chrono::seconds::zero()) exit_unfinalised();
    watchdog.emplace([this](const std::stop_token& finalised) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any never;
      never.wait_for(lock, finalised, loss_->limit, [] { return false; });
      if (!finalised.stop_requested()) exit_unfinalised();
    });
  }
  environment_.reset();
  if (!watchdog) return;
  watchdog.reset();
  loss_->last_word(loss_->exit_status);
}

void MpiSession::exit_unfinalised() const {
  std::cout.flush();
  std::fflush(nullptr);
  loss_->last_word(loss_->exit_status);
  _exit(loss_->exit_status);
}

void MpiSession::require_thread_multiple() const {
  if (any_thread_may_call()) return;
  std::ostringstream text;
  text
      << "rankpool: run() needs MPI_THREAD_MULTIPLE, but MPI was started with MPI_THREAD_"
      << (thread_level() == boost::mpi::threading::single     ? "SINGLE"
          : thread_level() == boost::mpi::threading::funneled ? "FUNNELED"
                                                              : "SERIALIZED")
      << ": the pool works in a thread of its own while yours does something else. Let run() start MPI, or call "
         "MPI_Init_thread(…, MPI_THREAD_MULTIPLE, …) before it; or use Pool::open(), which makes do with any level and "
         "then calls MPI only inside calls on the pool, from the thread that initialised MPI.";
  throw std::runtime_error(text.str());
}

void MpiSession::expect_no_answers(std::string loss, std::function<void(int status)> last_word,
                                   std::chrono::seconds limit) {
  if (loss_) return;
  loss_ = {.text = std::move(loss), .last_word = std::move(last_word), .limit = limit};
  // Comes before the end of the session, as exit's handlers run in reverse order.
  on_exit([](int status, void* session) { static_cast<MpiSession*>(session)->loss_->exit_status = status; }, this);
}

void MpiSession::require_all_ranks() const {
  if (!loss_) return;
  throw std::runtime_error("rankpool: can't start another pool: " + loss_->text +
                           " in an earlier one, and MPI can't bring the ranks together that are left. Do all the work "
                           "in one run(), or start the program again.");
}

void MpiSession::abort(int status) const {
  boost::mpi::environment::abort(status);
  std::_Exit(status);  // MPI_Abort may return
}

}  // namespace rankpool::transport
