// MPI itself: started at most once per process, finalised at exit by whoever started it.
#pragma once

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>

#include <memory>

namespace rankpool::transport {

class MpiSession {
 public:
  /// Starts MPI with MPI_THREAD_MULTIPLE unless it runs already. The first call decides who finalises: if it started
  /// MPI, the process does so when its static objects are destroyed. Later calls return the same session.
  /// @throws std::runtime_error if MPI has been finalised.
  static MpiSession& start();

  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  [[nodiscard]] bool started_here() const { return environment_ != nullptr; }
  [[nodiscard]] boost::mpi::threading::level thread_level() const { return boost::mpi::environment::thread_level(); }
  [[nodiscard]] bool any_thread_may_call() const { return thread_level() == boost::mpi::threading::multiple; }

  /// At the levels below MPI_THREAD_SERIALIZED only the thread that started MPI.
  [[nodiscard]] bool this_thread_may_call() const {
    return thread_level() >= boost::mpi::threading::serialized || boost::mpi::environment::is_main_thread();
  }

  /// @throws std::runtime_error that says what a lower level means and what to do.
  void require_thread_multiple() const;

  [[nodiscard]] const boost::mpi::communicator& world() const { return world_; }

  /// Ranks have died: MPI may wait for them when it is finalised, so the process is not to wait for MPI for long.
  void expect_no_answers();

  /// Ends all ranks of the job at once.
  [[noreturn]] void abort(int status) const;

 private:
  MpiSession();

  std::unique_ptr<boost::mpi::environment> environment_;
  boost::mpi::communicator world_;
  int pid_;
};

}  // namespace rankpool::transport
