/// @file
/// The parts of the test of a pool's life.
#pragma once

namespace rankpool::test {

/// Each runs its cases, one after the other with pools of their own, on all ranks alike.
/// @returns the program's status.
int run_initializer_cases(int argc, char** argv);
int run_executor_cases(int argc, char** argv);

}  // namespace rankpool::test
