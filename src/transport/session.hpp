// MPI itself: started at most once per process, finalised at exit by whoever started it.
#pragma once

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

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

  /// @returns whether the launcher lets the job go on after a rank's death.
  [[nodiscard]] static bool outlives_ranks();

  /// @returns how many threads MPI has started here, as far as is known: none where it was not started by this.
  [[nodiscard]] static std::ptrdiff_t threads();

  /// @returns MPI's name and version, such as "Open MPI v4.1.4".
  [[nodiscard]] static std::string library();

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

  /// Ranks have died: MPI may wait for them for ever when it is finalised, and in everything that all ranks do
  /// together. If MPI is not finalised within that limit when the process exits, the process ends all the same, with
  /// the status given to exit(). What the program registered with std::atexit() before MPI was started is not called
  /// then.
  /// @param loss what happened, for messages. @param last_word called when the process exits, with the status.
  /// @param limit for MPI to be finalised; 0: it is not tried.
  void expect_no_answers(std::string loss, std::function<void(int status)> last_word,
                         std::chrono::seconds limit = std::chrono::seconds(5));
  [[nodiscard]] bool has_lost_ranks() const { return loss_.has_value(); }
  /// @throws std::runtime_error if ranks have died: those that live can do nothing together any more.
  void require_all_ranks() const;

  /// Ends all ranks of the job at once.
  [[noreturn]] void abort(int status) const;

 private:
  MpiSession();

  /// What is known once ranks have died.
  struct Loss {
    std::string text;
    std::function<void(int status)> last_word;
    std::chrono::seconds limit{};
    int exit_status = 0;  ///< of this process, when it exits
  };

  void finalise();
  [[noreturn]] void exit_unfinalised() const;

  std::unique_ptr<boost::mpi::environment> environment_;
  boost::mpi::communicator world_;
  int pid_;
  std::optional<Loss> loss_;
};

}  // namespace rankpool::transport
