// What an operation on a shared object costs in messages: none on the master's node, one question and one answer from
// others. Counted where this program's own MPI_Isend stands before the library's.
#include "pool/pool_test.hpp"

#include <mpi.h>

#include <atomic>

namespace {

std::atomic<long> sent = 0;

}  // namespace

int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  ++sent;
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

int MPI_Send(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  ++sent;
  return PMPI_Send(data, count, type, to, tag, comm);
}

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

constexpr int operations = 1000;

/// What the master sends while a task does that.
template <class Operation>
long answers_to(const Operation& operation) {
  const long before = sent;
  pool().apply([operation] {
    for (int i = 0; i < operations; ++i) operation();
  });
  return sent - before;
}

void expect_messages(long answers, int questions) {
  constexpr long of_the_call = 50;  // its lots, and its end
  const bool is_near =
      pool().apply([] { return rankpool::this_task::rank(); }) == 0 || std::getenv("RANKPOOL_TEST_NODES") == nullptr;
  const long expected = is_near ? 0 : long{questions} * operations;
  EXPECT_GE(answers, expected);
  EXPECT_LE(answers, expected + of_the_call);
}

TEST(SharedMessages, are_one_there_and_one_back_for_each_operation_from_another_node) {
  const auto value = pool().value<long>(0);
  const auto array = pool().array<double>(1000);
  const auto lock = pool().lock();
  const auto queue = pool().queue<int>();
  expect_messages(answers_to([=] { value.fetch_add(1); }), 1);
  expect_messages(answers_to([=] { array.put(0, array.get(500, 500)); }), 2);
  expect_messages(answers_to([=] {
                    lock.lock();
                    lock.unlock();
                  }),
                  2);
  expect_messages(answers_to([=] {
                    queue.put(1);
                    static_cast<void>(queue.get());
                  }),
                  2);
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
