// What both directions of a Transport share: the communicator, how messages are marked, and what MPI's errors become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <mpi.h>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>
#include <boost/mpi/exception.hpp>

namespace rankpool::transport {

// A message up to the part size travels whole; a longer one, or one with cargo, as a header and parts, which MPI keeps
// in order: first those of the message, then those of its cargo.
enum Tag : int { tag_whole = 1, tag_header, tag_part };

struct Header {
  std::uint64_t message = 0;  ///< bytes
  std::uint64_t cargo = 0;
};

// Reused buffers stay within these bounds, so that one large call does not hold its memory for ever.
inline constexpr std::size_t kept_buffers = 32;
inline constexpr std::size_t kept_buffer_bytes = std::size_t{4} << 20;

/// A communicator on which nobody else sends, where MPI's errors, while this lives, are exceptions that name the ranks.
class Link {
 public:
  explicit Link(const boost::mpi::communicator& communicator)
      : communicator_(communicator), raw_(communicator_), rank_(communicator_.rank()) {
    check(MPI_Comm_get_errhandler(raw_, &handler_before_), "MPI_Comm_get_errhandler", rank_);
    check(MPI_Comm_set_errhandler(raw_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", rank_);
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() {
    if (boost::mpi::environment::finalized()) return;
    MPI_Comm_set_errhandler(raw_, handler_before_);
    MPI_Errhandler_free(&handler_before_);
  }

  [[nodiscard]] MPI_Comm raw() const { return raw_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return communicator_.size(); }

  void check(int error, const char* what, int peer) const {
    if (error == MPI_SUCCESS) return;
    throw std::runtime_error("MPI failed between rank " + std::to_string(rank_) + " and rank " + std::to_string(peer) +
                             ": " + boost::mpi::exception(what, error).what());
  }

 private:
  boost::mpi::communicator communicator_;
  MPI_Comm raw_;
  MPI_Errhandler handler_before_ = MPI_ERRHANDLER_NULL;
  int rank_;
};

}  // namespace rankpool::transport
