#include "transport/session.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace rankpool::transport {
namespace {

constexpr std::chrono::seconds finalize_limit{5};

std::unique_ptr<boost::mpi::environment> start_mpi() {
  using boost::mpi::environment;
  if (environment::finalized()) {
    throw std::runtime_error(
        "rankpool: can't start: MPI has been finalised, and cannot be initialised twice in one "
        "process. Call rankpool before MPI_Finalize.");
  }
  if (environment::initialized()) return nullptr;
  // Where the launcher lets a job go on after a rank's death, MPI_Finalize must not wait for the dead.
  if (const char* recovery = std::getenv("OMPI_MCA_orte_enable_recovery"); recovery != nullptr && *recovery == '1') {
    setenv("OMPI_MCA_async_mpi_finalize", "1", 0);
  }
  // Not MPI_Abort when an exception is flying: the pool itself ends the job, with a message and a status.
  constexpr bool abort_on_exception = false;
  return std::make_unique<environment>(boost::mpi::threading::multiple, abort_on_exception);
}

}  // namespace

MpiSession& MpiSession::start() {
  static MpiSession session;
  return session;
}

MpiSession::MpiSession() : environment_(start_mpi()), pid_(getpid()) {}

// A child that the program forked inherits the session but is no rank: MPI is not its to finalise.
MpiSession::~MpiSession() {
  if (getpid() != pid_) static_cast<void>(environment_.release());
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

void MpiSession::expect_no_answers() {
  // Before MPI is finalised, as exit's handlers run in reverse order.
  static const int registered = on_exit(
      [](int status, void*) {
        std::thread([status] {
          std::this_thread::sleep_for(finalize_limit);
          _exit(status);
        }).detach();
      },
      nullptr);
  static_cast<void>(registered);
}

void MpiSession::abort(int status) const {
  boost::mpi::environment::abort(status);
  std::_Exit(status);  // MPI_Abort may return
}

}  // namespace rankpool::transport
